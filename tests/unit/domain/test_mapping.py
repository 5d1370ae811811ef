"""Mapping: values go into texts by the place they stand in, and an event can write no structure."""

import json
from typing import Any

import pytest

from holdfast.domain.actions import HttpAction, NatsAction, WorkflowAction
from holdfast.domain.matching import CompiledTriggers, Matched, Undecidable
from holdfast.domain.triggers import TriggerConfig
from holdfast.errors import ErrorCode, RejectedInput
from tests.property.test_events import envelope

DATA = {
    "id": "a/b ?#",
    "n": 7,
    "dots": "..",
    "none": None,
    "line": "x\r\nX-Evil: 1",
    "ref": "env:SECRET",
    "url": "http://h/p",
}


def mapped(run: dict[str, Any], data: Any = DATA) -> Any:
    """The verdict of a trigger with this action."""
    config = TriggerConfig.model_validate({"on": "s", "run": run})
    (verdict,) = CompiledTriggers({"t": config}).decide(envelope(json.dumps(data).encode()))
    return verdict


def test_values_in_a_url_are_encoded() -> None:
    """A value can neither leave its path segment nor begin a query."""
    action = mapped({"http": {"url": "https://h.example/v/${event.data.id}?q=${event.data.n}&$${x}"}}).spec.action
    assert action.url == "https://h.example/v/a%2Fb%20%3F%23?q=7&${x}"


@pytest.mark.parametrize(
    "run",
    [
        {"http": {"url": "https://h/${event.data.dots}/x"}},
        {"http": {"url": "https://h/${event.data.absent}"}},
        {"http": {"url": "https://h/${event.data.none}"}},
        {"http": {"url": "https://h/${'' + event.data.id.substring(0, 0)}/x"}},
        {"http": {"url": "${event.data.id}"}},
        {"http": {"url": "https://h/x", "headers": {"X-A": "${event.data.line}"}}},
        {"nats": {"subject": "a.${event.data.id}"}},
        {"workflow": "W", "task_queue": "q", "id": "${event.data.none}"},
        {"workflow": "W", "task_queue": "q", "search_attributes": {"N": {"type": "int", "value": "${event.data.id}"}}},
    ],
)
def test_a_mapping_that_fails_is_a_dead_letter(run: dict[str, Any]) -> None:
    """What has no value, or may not stand where it should, is visible."""
    verdict = mapped(run)
    assert isinstance(verdict, Undecidable)
    assert verdict.code is ErrorCode.MAPPING_FAILED


@pytest.mark.parametrize(
    "run",
    [
        {"http": {"url": "https://${event.data.id}.example/x"}},
        {"http": {"url": "https://h${event.data.id}/x"}},
        {"http": {"url": "ftp://h/x"}},
        {"http": {"url": "https://h/${event.data.id"}},
        {"http": {"url": "https://h/${[1]}"}},
        {"http": {"url": "https://h/x", "headers": {"X A": "y"}}},
        {"nats": {"subject": "${event.data.id}.x"}},
        {"workflow": "W", "task_queue": "q", "id": "constant"},
        {"workflow": "W", "task_queue": "q", "id": "a/${event.id}"},
    ],
)
def test_what_cannot_be_right_is_refused_at_load(run: dict[str, Any]) -> None:
    """An event never chooses the host, a subject's first word or another's workflow id."""
    with pytest.raises((RejectedInput, ValueError)):
        mapped(run)


def test_a_header_out_of_an_event_is_never_a_secret_reference() -> None:
    """An event that says env:SECRET gets that text sent, and not the secret."""
    headers = {"X-A": "v ${event.data.n}", "X-B": "${event.data.ref}", "X-C": "env:REAL"}
    action = mapped({"http": {"url": "${event.data.url}", "headers": headers}}).spec.action
    assert isinstance(action, HttpAction)
    assert action.url == "http://h/p"
    assert action.headers == {"X-C": "env:REAL"}
    assert action.mapped_headers == {"X-A": "v 7", "X-B": "env:SECRET"}


def test_workflow_ids_and_search_attributes() -> None:
    """Ids are readable and cannot be one of Holdfast's own; attributes have the type they are registered with."""
    action = mapped(
        {
            "workflow": "W",
            "task_queue": "q",
            "id": "order-${event.data.id}",
            "search_attributes": {"K": "n ${event.data.n}", "N": {"type": "int", "value": "${event.data.n}"}},
        }
    ).spec.action
    assert isinstance(action, WorkflowAction)
    assert action.id == "order-a%2Fb ?#"
    assert [(one.name, one.type, one.value) for one in action.search_attributes] == [
        ("K", "keyword", "n 7"),
        ("N", "int", 7),
    ]


def test_a_subject_takes_tokens() -> None:
    """A value is one word of the subject."""
    assert mapped({"nats": {"subject": "a.n${event.data.n}"}}).spec.action == NatsAction(subject="a.n7")


def test_sources_by_pattern_and_windows() -> None:
    """`on` takes patterns; a trigger outside of its window does not want the event."""
    run: dict[str, Any] = {"log": {}}
    for on, during, wanted in (
        ("s*", None, True),
        ("team-*", None, None),
        ("s", {"from": "03:00", "to": "04:00"}, True),
        ("s", [{"days": "sat,sun"}, {"days": "thu"}], False),
        ("s", {"from": "22:00", "to": "04:30", "timezone": "Europe/Berlin"}, True),
    ):
        given = {"on": on, "run": run} | ({"during": during} if during else {})
        verdicts = CompiledTriggers({"t": TriggerConfig.model_validate(given)}).decide(envelope(b"{}"))
        assert [isinstance(one, Matched) for one in verdicts] == ([] if wanted is None else [wanted])
