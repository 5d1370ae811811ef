import json
from typing import Any

import pytest

from holdfast.domain.actions import HttpAction, LogAction, NatsAction, WorkflowAction
from holdfast.domain.matching import CompiledTriggers, Matched, Passed, Undecidable
from holdfast.domain.triggers import TriggerConfig
from holdfast.errors import RejectedInput
from tests.property.test_events import envelope

PUSH = {"ref": "refs/heads/main", "after": "abc", "n": 3, "nothing": None, "list": [1]}


def decide(run: dict[str, Any], when: str | None = None, body: Any = PUSH) -> Any:
    """The verdict of one trigger on one event of source `s`."""
    config = TriggerConfig.model_validate({"on": "s", "run": run} | ({"when": when} if when else {}))
    (verdict,) = CompiledTriggers({"t": config}).decide(envelope(json.dumps(body).encode()))
    return verdict


LOG: dict[str, Any] = {"log": {}}


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ('event.data.ref == "refs/heads/main"', Matched),
        ('event.data.ref == "other"', Passed),
        ('event.data.absent == "x"', Passed),
        ('event.absent.deeper == "x"', Passed),
        ('event.headers["x-none"] == "x"', Passed),
        ('event.data.absent == 1 || event.type == "t"', Matched),
        ("event.data.n + 'a' == 'b'", Undecidable),
        ("1 / (event.data.n - 3) == 1", Undecidable),
        ("event.data.n", Undecidable),
    ],
)
def test_a_filter_is_true_false_or_visible(when: str, expected: type) -> None:
    """An absent field makes a filter false; every other failure is undecidable, which becomes a dead letter."""
    assert isinstance(decide(LOG, when), expected)


def test_actions_are_resolved_for_the_event() -> None:
    """Bodies and arguments are computed once; without a mapping the event's own bytes go out."""
    http = decide({"http": {"url": "https://x/y", "body": '{"sha": event.data.after, "a": 1}'}}).spec.action
    assert http == HttpAction(url="https://x/y", body='{"a":1,"sha":"abc"}')
    assert decide({"http": {"url": "https://x/y"}}).spec.action.body is None
    workflow = decide({"workflow": "W", "task_queue": "q", "args": ["event.data.after", "[event.data.n]"]}).spec.action
    assert workflow == WorkflowAction(workflow="W", task_queue="q", args=("abc", [3]))
    assert decide({"nats": {"subject": "a.b"}}).spec.action == NatsAction(subject="a.b")
    assert decide({"log": {"message": "event.data.list"}}).spec.action == LogAction(message="[1]")


def test_a_workflow_without_args_gets_the_whole_event() -> None:
    """The default argument is the event as expressions see it."""
    (argument,) = decide({"workflow": "W", "task_queue": "q"}).spec.action.args
    assert argument["data"] == PUSH
    assert argument["type"] == "t"


def test_a_mapping_that_fails_is_visible() -> None:
    """A body that cannot be computed is never sent as something else."""
    verdict = decide({"http": {"url": "https://x/y", "body": "event.data.absent"}})
    assert isinstance(verdict, Undecidable)
    assert verdict.code == "mapping.failed"


def test_a_trigger_listens_only_to_its_sources() -> None:
    """Events of other sources are not even evaluated."""
    config = TriggerConfig.model_validate({"on": ["other", "more"], "run": LOG})
    assert CompiledTriggers({"t": config}).decide(envelope(b"{}")) == ()


@pytest.mark.parametrize("when", ["event.type ==", "evnt.type == 'x'", "'text'", "1 + 1", "x" * 3_000])
def test_a_filter_that_cannot_be_right_is_refused_when_loaded(when: str) -> None:
    """Type and syntax errors are found before any event is."""
    with pytest.raises(RejectedInput):
        decide(LOG, when)


def test_integers_beyond_64_bits_do_not_poison_an_event() -> None:
    """A huge number is seen as a double; the other fields can still be filtered on."""
    assert isinstance(decide(LOG, "event.data.ok == 1", {"ok": 1, "huge": 2**80}), Matched)
