"""docker-compose.yml as an engine would see it: variables filled in, anchors resolved."""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "docker-compose.yml"
OURS = ("gateway", "worker")
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<kind>[-?])(?P<word>[^}]*))?\}")


def example() -> dict[str, str]:
    """Return the variables of .env.example with their values."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def variables() -> list[tuple[str, str, str]]:
    """Return name, kind (`-` has a default, `?` is required, empty repeats one) and word of every variable used."""
    text = COMPOSE.read_text()
    return [(m["name"], m["kind"] or "", m["word"] or "") for m in _VARIABLE.finditer(text)]


def composed() -> dict[str, Any]:
    """Return the file with a filled-in environment."""
    filled = {name: value or f"p{name.lower().replace('_', '')}" for name, value in example().items()}
    text = _VARIABLE.sub(lambda match: filled[match["name"]], COMPOSE.read_text())
    return plain(YAML(typ="safe", pure=True).load(text))  # type: ignore[no-any-return]


def services() -> dict[str, dict[str, Any]]:
    """Return the services by name."""
    found: dict[str, dict[str, Any]] = composed()["services"]
    return found


def plain(node: Any) -> Any:
    """Return a YAML tree as plain data."""
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    return [plain(value) for value in node] if isinstance(node, list) else node
