"""`holdfast triggers test`: what would happen to an event, and why, without any server."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from holdfast.cli.main import app
from holdfast.domain.explain import conjuncts

CONFIG = """version: 1
sources:
  github: {verify: {preset: github, secrets: ["env:NO_SUCH_SECRET"]}}
  shop: {dangerous_unverified: true}
triggers:
  deploy:
    on: git*
    match: {type: push, data: {ref: {prefix: refs/heads/}}}
    when: event.data.commits > 0 && event.data.repo.name != "sandbox"
    run: {http: {url: "https://ci.example/${event.data.repo.name}", body: event.data.after}}
  broken: {on: shop, when: event.data.total > 3, run: {log: {}}}
"""
PUSH = {"ref": "refs/heads/main", "commits": 2, "after": "abc", "repo": {"name": "app"}}


def tried(folder: Path, event: Any, *words: str) -> Result:
    """Run the command on one event."""
    (folder / "h.yaml").write_text(CONFIG)
    (folder / "e.json").write_text(json.dumps(event))
    start = ["triggers", "test", "-c", str(folder / "h.yaml"), "-e", str(folder / "e.json")]
    return CliRunner().invoke(app, [*start, *words])


def verdict(folder: Path, event: Any, *words: str) -> dict[str, Any]:
    """The verdict of the one trigger that is named."""
    found: dict[str, Any] = json.loads(tried(folder, event, *words, "--json").stdout)["events"][0]["triggers"][0]
    return found


POSTED = ("--source", "github", "-H", "X-GitHub-Event: push", "-t", "deploy")


def test_a_payload_is_named_as_the_gateway_would_and_the_action_is_shown(tmp_path: Path) -> None:
    """A payload as the sender posts it is enough; no secret is needed."""
    found = verdict(tmp_path, PUSH, *POSTED)
    assert found["matched"] is True
    assert found["action"]["url"] == "https://ci.example/app"
    assert found["action"]["body"] == '"abc"'
    result = tried(tmp_path, PUSH, *POSTED)
    assert result.exit_code == 0
    assert "would run: POST https://ci.example/app" in result.stdout


@pytest.mark.parametrize(
    ("change", "clause", "condition", "outcome", "seen"),
    [
        (
            {"ref": "refs/tags/v1"},
            "match",
            'data.ref: {"prefix": "refs/heads/"}',
            "false",
            {"event.data.ref": "refs/tags/v1"},
        ),
        ({"commits": 0}, "when", "event.data.commits > 0", "false", {"event.data.commits": 0}),
        ({"repo": {}}, "when", 'event.data.repo.name != "sandbox"', "absent", {"event.data.repo.name": "(absent)"}),
    ],
)
def test_it_says_which_clause_decided_and_what_it_saw(  # noqa: PLR0913, PLR0917 - one per column
    tmp_path: Path, change: dict[str, Any], clause: str, condition: str, outcome: str, seen: dict[str, Any]
) -> None:
    """Of `a && b` it is the conjunct that was not true; of a pattern the field."""
    found = verdict(tmp_path, PUSH | change, *POSTED)
    assert found["matched"] is False
    decided = found["decided_by"]
    assert (decided["clause"], decided["condition"], decided["outcome"], decided["seen"]) == (
        clause,
        condition,
        outcome,
        seen,
    )


def test_a_failure_exits_1_and_a_mismatch_0(tmp_path: Path) -> None:
    """So a pipeline can test a configuration."""
    result = tried(tmp_path, {"total": "many"}, "--source", "shop", "--json")
    assert result.exit_code == 1
    broken = json.loads(result.stdout)["events"][0]["triggers"][1]
    assert (broken["outcome"], broken["error"]["code"]) == ("error", "filter.failed")
    assert tried(tmp_path, {"total": 1}, "--source", "shop").exit_code == 0
    assert tried(tmp_path, {"total": 1}, "--source", "shop", "--require-match").exit_code == 1
    assert tried(tmp_path, {"total": 1}).exit_code == 1  # which source?


def test_cloudevents_and_lists_of_them(tmp_path: Path) -> None:
    """A CloudEvent says itself what it is; a list is tried one by one."""
    one = {"specversion": "1.0", "id": "1", "source": "shop", "type": "order.paid", "data": {"total": 5}}
    result = tried(tmp_path, [one, one | {"id": "2", "data": {"total": 1}}], "-t", "broken", "--json")
    events = json.loads(result.stdout)["events"]
    assert [(each["type"], each["triggers"][0]["matched"]) for each in events] == [
        ("order.paid", True),
        ("order.paid", False),
    ]


def test_triggers_are_listed_and_shown(tmp_path: Path) -> None:
    """`show` has the CEL of a pattern."""
    (tmp_path / "h.yaml").write_text(CONFIG)
    listed = CliRunner().invoke(app, ["triggers", "list", "-c", str(tmp_path / "h.yaml")])
    assert "deploy" in listed.stdout
    shown = CliRunner().invoke(app, ["triggers", "show", "deploy", "-c", str(tmp_path / "h.yaml")])
    assert 'event["type"] == "push"' in shown.stdout


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("a && (b && c)", ["a", "b", "c"]),
        ("a && b || c", ["a && b || c"]),
        ("(a || b) && c", ["a || b", "c"]),
        ('a == "x && y"', ['a == "x && y"']),
        ("a ? b && c : d", ["a ? b && c : d"]),
    ],
)
def test_only_a_conjunction_is_taken_apart(source: str, parts: list[str]) -> None:
    """What is taken apart means the same as the whole."""
    assert conjuncts(source) == parts
