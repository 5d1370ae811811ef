"""The table of routes in `docs/api.md`, from the description of the API itself: python -m workers.api.reference."""

from pathlib import Path
from typing import Any

from holdfast.bus.connect import Bus
from holdfast.clock import SystemClock
from holdfast.domain.access import Access
from holdfast.settings.file import load_config
from holdfast.settings.process import ProcessSettings
from workers.api.app import rest
from workers.api.desk import Desk

PAGE = Path("docs/api.md")
BEGIN, END = "<!-- routes -->\n", "<!-- end of routes -->\n"


def description(config: Path) -> dict[str, Any]:
    """Return the OpenAPI document; `config` is any valid configuration, as none of it shows."""
    bus = Bus.from_settings(ProcessSettings(), "holdfast-reference")
    desk = Desk(bus, load_config(config), SystemClock(), None, lambda: None)
    found: dict[str, Any] = rest(desk, Access({})).openapi()
    return found


def table(document: dict[str, Any]) -> str:
    """Return the routes as a table."""
    lines = ["| request | scope | what it does |", "|---|---|---|"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            text, _, scope = operation["description"].rpartition(" Scope: ")
            lines.append(f"| `{method.upper()} {path}` | {scope.rstrip('.')} | {' '.join(text.split())} |")
    return "\n".join(lines) + "\n"


def page(text: str, routes: str) -> str:
    """Return the page with its table renewed."""
    before, _, rest_of_it = text.partition(BEGIN)
    _, _, after = rest_of_it.partition(END)
    return f"{before}{BEGIN}{routes}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), table(description(Path("examples/holdfast.yaml")))))
