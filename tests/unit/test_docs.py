"""The documents name only what exists: files, links, commands, variables, metrics, tests."""

import re
from pathlib import Path

import pytest

from holdfast.cli.main import COMMANDS
from holdfast.contracts.names import SEARCH_ATTRIBUTES
from holdfast.settings.process import ProcessSettings
from holdfast.telemetry.names import METRICS
from tests.architecture.sources import ROOT

DOCS = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]
_PATH = re.compile(r"`((?:docs|holdfast|gateway|workers|workflows|activities|tests|deploy)/[\w./-]+\.\w+)`")
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
_COMMAND = re.compile(r"(?:^|`|exec worker )holdfast ([a-z][a-z-]+)", re.MULTILINE)
_VARIABLE = re.compile(r"`((?:HOLDFAST|NATS|TEMPORAL)_[A-Z_]+)`")
_ATTRIBUTE = re.compile(r"\bHoldfast[A-Z]\w+")
_METRIC = re.compile(r"\bholdfast_[a-z0-9_]+")


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page_names_what_exists(page: Path) -> None:
    """Every path, link, command, variable, search attribute and metric on the page is one of the project's."""
    assert wrong_in(page.read_text(encoding="utf-8"), page.parent) == []


def test_what_does_not_exist_is_found(tmp_path: Path) -> None:
    """The check is able to fail, for each kind of name."""
    text = (
        "`tests/unit/test_no.py` [a](no.md) `holdfast nosuch` `HOLDFAST_NO_SUCH` HoldfastNoSuch holdfast_no_such_total"
    )
    assert len(wrong_in(text, tmp_path)) == 6


def wrong_in(text: str, folder: Path) -> list[str]:
    """Return the names in `text` that nothing bears."""
    metrics = {m.prometheus + suffix for m in METRICS for suffix in ("", "_bucket", "_count", "_sum")}
    variables = {str(f.validation_alias or f"HOLDFAST_{n.upper()}") for n, f in ProcessSettings.model_fields.items()}
    found = [name for name in _PATH.findall(text) if not (ROOT / name).exists()]
    found += [link for link in _LINK.findall(text) if not (folder / link).exists()]
    found += [f"holdfast {name}" for name in _COMMAND.findall(text) if name not in COMMANDS]
    found += [name for name in _VARIABLE.findall(text) if name not in variables]
    found += [name for name in _ATTRIBUTE.findall(text) if name not in SEARCH_ATTRIBUTES and name not in _alerts()]
    return found + [name for name in _METRIC.findall(text) if name not in metrics]


def _alerts() -> set[str]:
    rules = (ROOT / "deploy" / "prometheus" / "rules.yml").read_text(encoding="utf-8")
    return set(re.findall(r"alert: (\w+)", rules))
