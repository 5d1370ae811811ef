"""Importing manifests: nothing is dropped in silence, and what comes out passes `holdfast check`."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from holdfast.argo.filters import data_filter, expression, source_expression
from holdfast.argo.findings import Notes, Untranslatable
from holdfast.argo.lua import script
from holdfast.argo.manifests import documents, translate
from holdfast.argo.payload import Layout
from holdfast.cli.main import app
from holdfast.domain.expressions import EVENT, Found
from holdfast.settings.file import load_config

MANIFESTS = Path(__file__).parents[3] / "examples" / "argo.yaml"


def layout() -> Layout:
    """A webhook's payload."""
    return Layout("webhook", "es", "ev")


def decides(cel: str, data: Any, **headers: str) -> Any:
    """What CEL says of an event with this data; None where a field is absent or it fails."""
    event = {"id": "1", "type": "t", "source": "s", "headers": headers, "data": data}
    result = EVENT.compile(cel).evaluate(EVENT.bind(event=event))
    return result.value if isinstance(result, Found) else None


def test_the_example_becomes_a_file_that_passes_check(tmp_path: Path) -> None:
    """A whole set of manifests gives a sound holdfast.yaml, and every piece that was lost is named in it."""
    file = tmp_path / "holdfast.yaml"
    imported = translate(documents(MANIFESTS.read_text(), "argo.yaml"))
    file.write_text(imported.text)
    config = load_config(file).config
    assert "webhook-push" in config.sources
    assert config.schedules["nightly"].overlap == "skip"
    assert config.triggers["deploy-call"].retry.max_attempts == 3
    for finding in imported.findings:
        assert finding.show() in imported.text
    lost = {finding.what for finding in imported.findings if finding.kind == "lost"}
    assert {"dlqTrigger", "rateLimit", "trigger of kind slack"} <= lost
    assert "#     slack:" in imported.text
    (join,) = [trigger for trigger in config.triggers.values() if trigger.join is not None]
    assert join.condition == "push && paid"
    assert {part.key for part in join.join.values()} == {'"all"'} if join.join else False


def test_the_command_writes_the_file_once_and_lists_what_is_lost(tmp_path: Path) -> None:
    """A second import does not overwrite the first, and --json has the findings."""
    out = tmp_path / "out.yaml"
    runner = CliRunner()
    assert runner.invoke(app, ["import", "argo", str(MANIFESTS), "-o", str(out)]).exit_code == 0
    assert runner.invoke(app, ["check", "-c", str(out)]).exit_code == 0
    assert runner.invoke(app, ["import", "argo", str(MANIFESTS), "-o", str(out)]).exit_code == 1
    listed = json.loads(runner.invoke(app, ["import", "argo", str(MANIFESTS), "--json"]).stdout)
    assert {"kind", "where", "what", "reason"} == set(listed["findings"][0])
    assert listed["yaml"] == out.read_text()


@pytest.mark.parametrize(
    ("given", "data", "expected"),
    [
        ({"path": "body.n", "type": "number", "value": ["5"], "comparator": ">="}, {"n": "5.0"}, True),
        ({"path": "body.n", "type": "number", "value": ["5", "7"]}, {"n": 7}, True),
        ({"path": "body.n", "type": "number", "value": ["1"]}, {"n": True}, True),
        ({"path": "body.n", "type": "number", "value": ["0"]}, {"n": None}, True),
        ({"path": "body.n", "type": "number", "value": ["0"]}, {"m": 1}, None),
        ({"path": "body.l.#", "type": "number", "value": ["2"]}, {"l": [1, 2]}, True),
        ({"path": 'body.l.#(k=="a").v', "type": "string", "value": ["^x$"]}, {"l": [{"k": "a", "v": "x"}]}, True),
        ({"path": "body.a\\.b", "type": "string", "value": ["x"]}, {"a.b": "x"}, True),
        ({"path": "body.s", "type": "string", "value": ["^a.c$", "zz"]}, {"s": "abc"}, True),
        ({"path": "body.s", "type": "string", "value": ["a", "b"], "comparator": "!="}, {"s": "b"}, False),
        ({"path": "body.s", "type": "string", "value": ["HI"], "template": "{{ .Input | upper }}"}, {"s": "hi"}, True),
        ({"path": "header.X-Kind.0", "type": "string", "value": ["^push$"]}, {}, True),
    ],
)
def test_data_filters(given: dict[str, Any], data: Any, expected: object) -> None:
    """Types, comparators, lists of values, paths of gjson and templates decide as they did."""
    assert decides(data_filter(given, layout(), Notes("x")), data, **{"x-kind": "push"}) is expected


@pytest.mark.parametrize(
    ("text", "data", "expected"),
    [
        ("a == 'x' && n > 3", {"a": "x", "n": 4}, True),
        ("a == 'x' || n > 3", {"a": "x"}, None),
        ("!(a == 'x')", {"a": "y", "n": 1}, True),
        ("a =~ '^x' && n in (1, 2)", {"a": "xy", "n": 2}, True),
        ("n % 2 == 0", {"a": "", "n": 4}, True),
        ("a + 'z' == 'xz'", {"a": "x", "n": 0}, True),
        ("[a] == 'x' && [n] == 1", {"a": "x", "n": 1}, True),
        ("n ** 2 > 8 ? true : false", {"a": "", "n": 3}, True),
    ],
)
def test_govaluate(text: str, data: Any, expected: object) -> None:
    """Operators of `exprs` decide as they did; a field that is missing is never true."""
    fields = [{"name": "a", "path": "body.a"}, {"name": "n", "path": "body.n"}]
    assert decides(expression({"expr": text, "fields": fields}, layout()), data) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("body.name contains 'nn' and body.id in [3, 4]", True),
        ("not (body.name startsWith 'A')", False),
        ("body.name matches '^A.n$' || body.none == 1", True),
        ("len(body.name) == 3", True),
        ("body.user_id == 1", None),
    ],
)
def test_event_source_expressions(text: str, expected: object) -> None:
    """The expr of an EventSource's filter, over body and header."""
    assert decides(source_expression(text, layout(), Notes("x")), {"id": 4, "name": "Ann"}) is expected


@pytest.mark.parametrize(
    ("text", "data", "expected"),
    [
        ("local b = event.body; if b.n > 3 and b.a ~= 'x' then return true end", {"n": 4, "a": "y"}, True),
        ("if event.body.a == nil then return true end return false", {"n": 4}, True),
        ("return not (event.body.a == 'x')", {"a": "x"}, False),
        ("-- a comment\nreturn string.find(event.body.a, '^v%d+') ~= nil and true", {"a": "v12"}, None),
        ("if string.match(event.body.a, '^v%d+') then return true end return false", {"a": "v12"}, True),
        ("if event.body.t[1] == 'p' then return true else return false end", {"t": ["p"]}, True),
        ("if event.body.a.b.c == 1 then return true end return false", {"a": {}}, None),
    ],
)
def test_lua(text: str, data: Any, expected: object) -> None:
    """A script that only decides is CEL; indexing nil is an error in Lua, and an absent field here."""
    try:
        decided = decides(script(text, layout()), data)
    except Untranslatable:
        decided = None
    assert decided is expected


@pytest.mark.parametrize(
    "text", ["for i=1,3 do end return true", "x = 1 return true", "return os.time() > 1", "return ("]
)
def test_lua_that_is_not_simple_is_refused(text: str) -> None:
    """Loops, assignments and the library are not guessed at."""
    with pytest.raises(Untranslatable):
        script(text, layout())
