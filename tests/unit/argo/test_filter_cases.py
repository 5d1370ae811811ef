"""Argo's own filter cases, from manifest to verdict: through `holdfast import argo` and `holdfast triggers test`."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from holdfast.cli.main import app
from tests.conftest import SHARED

NO_EVENT = "an event is never nil here: the bus holds no empty message"


def cases() -> list[dict[str, Any]]:
    """Return every filter case; skips the test where they are not on this machine."""
    file = SHARED / "argo_filter_cases.json"
    if not file.exists():
        pytest.skip(f"the public Argo filter cases are not at {SHARED}")
    found: list[dict[str, Any]] = json.loads(file.read_text())["filter_cases"]
    return found


def manifests(case: dict[str, Any], *, with_source: bool) -> list[dict[str, Any]]:
    """The Sensor of a case, and its EventSource where it is asked for or carries the filter."""
    filters = dict(case["filter"])
    expression = filters.pop("expression", None)
    hook: dict[str, Any] = {"endpoint": "/x", "port": "12000", "method": "POST"}
    if expression is not None:
        hook["filter"] = {"expression": expression}
    source = {"kind": "EventSource", "metadata": {"name": "es"}, "spec": {"webhook": {"ev": hook}}}
    dependency = {"name": "dep", "eventSourceName": "es", "eventName": "ev", "filters": filters}
    sensor = {
        "kind": "Sensor",
        "metadata": {"name": "s"},
        "spec": {"dependencies": [dependency], "triggers": [{"template": {"name": "t", "log": {}}}]},
    }
    return [source, sensor] if with_source or expression is not None else [sensor]


def accepted(case: dict[str, Any]) -> set[bool]:
    """Which outcomes are right: what is documented, else what it does; or what is recommended to us."""
    documented = case.get("docs_semantics_pass", case["expect"]["pass"])
    return {documented, not documented} if "recommended_for_us" in case else {documented}


def outcome(case: dict[str, Any], folder: Path, *, with_source: bool) -> tuple[bool, dict[str, Any]]:
    """Import the case's manifests, and try its event with the result."""
    runner, manifest, event, config = CliRunner(), folder / "m.yaml", folder / "e.json", folder / "h.yaml"
    with manifest.open("w", encoding="utf-8") as out:
        YAML(typ="safe", pure=True).dump_all(manifests(case, with_source=with_source), out)
    event.write_text(json.dumps(case["event"]))
    made = runner.invoke(app, ["import", "argo", str(manifest), "--force", "--output", str(config)])
    assert made.exit_code == 0, made.output
    words = [
        "triggers",
        "test",
        "-c",
        str(config),
        "--event",
        str(event),
        "--as",
        "argo",
        "--source",
        "es-ev",
        "--json",
    ]
    tried = runner.invoke(app, words)
    (found,) = json.loads(tried.stdout)["events"][0]["triggers"]
    assert tried.exit_code == (1 if found["outcome"] == "error" else 0)
    return found["matched"], found


@pytest.mark.parametrize("with_source", [True, False], ids=["with its EventSource", "the Sensor alone"])
def test_every_case_has_its_documented_outcome(tmp_path: Path, *, with_source: bool) -> None:
    """What Argo documents (or what is recommended instead) is what an imported filter decides, whatever its kind."""
    wrong = {}
    for case in cases():
        if case["event"] is None:
            assert case["expect"]["pass"] is False, NO_EVENT
            continue
        matched, found = outcome(case, tmp_path, with_source=with_source)
        if matched not in accepted(case):
            wrong[case["id"]] = (case["title"], found)
    assert not wrong


def test_what_is_recommended_is_what_we_do(tmp_path: Path) -> None:
    """Where Argo's own behaviour is not to be copied, we differ on purpose; docs/argo.md lists each."""
    by_id = {case["id"]: case for case in cases()}
    differs = ("data-003", "data-037", "data-039", "data-047", "expr-036")
    for name in differs:
        if name in by_id:
            matched, _ = outcome(by_id[name], tmp_path, with_source=True)
            assert matched is False, name
