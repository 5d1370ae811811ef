"""What people and policies do with a case, on a clock that jumps: snooze, assign, redrive by itself; signals."""

import itertools
from collections import deque
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.dead_letter import CarriedCase, CaseView, DeadLetterRecord
from holdfast.domain.triggers import AutoRedrive, DeadLetterConfig
from holdfast.embedded.sink import Reply
from tests.conftest import assert_eventually
from tests.durable import Stack
from tests.workflows.test_dead_letter import closed, move, open_case, record, refused, until
from workflows import policies
from workflows.case import Case

pytestmark = pytest.mark.integration


def policed(stack: Stack, number: int, **policy: Any) -> DeadLetterRecord:
    """A dead letter whose trigger wants it handled so."""
    return record(stack, number).model_copy(update={"policy": DeadLetterConfig(**policy)})


async def seen(handle: WorkflowHandle[Any, Any]) -> CaseView:
    """The case now."""
    view: CaseView = await handle.query(names.CASE, result_type=CaseView)
    return view


async def test_a_case_is_assigned_and_commented_in_any_state_that_is_not_closed(stack: Stack) -> None:
    """Both leave the state as it is, and say who did it; the assignee is a search attribute."""
    handle = await open_case(stack, record(stack, 101))
    view = await move(handle, names.ASSIGN, {"by": "ana", "to": "ben", "note": "yours"})
    assert (view.state, view.assignee) == ("open", "ben")
    view = await move(handle, names.COMMENT, {"by": "ben", "text": "asked them"})
    assert [(one.move, one.by, one.note) for one in view.history] == [
        ("assign", "ana", "to ben: yours"),
        ("comment", "ben", "asked them"),
    ]
    assert (await move(handle, names.ASSIGN, {"by": "ben", "to": ""})).assignee == ""
    assert "text: Field required" in (await refused(handle, names.COMMENT, None)).message
    await move(handle, names.DISCARD, {"reason": "done"})


async def test_a_snoozed_case_opens_again_when_the_snooze_ends_and_does_not_expire_before(stack: Stack) -> None:
    """An acknowledged case that was put aside needs somebody again; expiry counts from then."""
    handle = await open_case(stack, policed(stack, 102, expire_after=timedelta(days=1)))
    await move(handle, names.ACKNOWLEDGE, {"by": "ana"})
    view = await move(handle, names.SNOOZE, {"by": "ana", "for": "3d", "reason": "their holiday"})
    assert view.snoozed_until is not None
    view = await closed(handle)
    assert [one.move for one in view.history] == ["acknowledge", "snooze", "wake", "expire"]
    assert view.history[2].at >= view.history[1].at + timedelta(days=3)
    assert view.history[3].at >= view.history[2].at + timedelta(days=1)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (None, "either"),
        ({"for": "1h", "until": "2100-01-01T00:00:00Z"}, "either"),
        ({"for": 5}, "not a duration"),
        ({"until": "2020-01-01T00:00:00Z"}, "in the past"),
        ({"until": "2020-01-01T00:00:00"}, "timezone"),
        ({"until": "9000-01-01T00:00:00Z"}, "at most 366 days"),
    ],
)
async def test_a_snooze_that_makes_no_sense_is_refused(stack: Stack, given: Any, why: str) -> None:
    """The text says what is wrong."""
    handle = await open_case(stack, record(stack, 103))
    error = await refused(handle, names.SNOOZE, given)
    assert (error.type, why in error.message) == ("input.invalid", True), error.message
    await move(handle, names.DISCARD, {"reason": "done"})


async def test_acknowledging_ends_a_snooze(stack: Stack) -> None:
    """Who looks after it now is not woken later."""
    handle = await open_case(stack, record(stack, 104))
    await move(handle, names.SNOOZE, {"for": "1h"})
    assert (await move(handle, names.ACKNOWLEDGE, None)).snoozed_until is None
    await move(handle, names.DISCARD, {"reason": "done"})


async def test_an_edited_redrive_that_fails_links_both_payloads_and_both_records(stack: Stack) -> None:
    """The original, the edited body, the second record and its attempts are in one view; refusals have their codes."""
    stack.sink.script["/"] = deque([Reply(410)])
    handle = await open_case(stack, record(stack, 105))
    await move(handle, names.REDRIVE, {"by": "ana", "body": '{"n": 2}'})
    await until(handle, "open")
    view = await seen(handle)
    (line,) = view.redrive_log
    assert view.record.envelope is not None
    assert view.record.envelope.raw_body == b'{"n": 1}'
    assert (line.body, line.body_sha256) == ('{"n": 2}', ids.sha256_hex(b'{"n": 2}'))
    (second,) = await stack.dead_letters()
    assert (line.outcome, line.code, line.dead_letter) == ("failed", "target.refused", second.id)
    assert (line.stream, line.sequence) == ("DEAD_LETTERS", 1)
    assert [one.number for one in line.attempts] == [one.number for one in second.attempts] == [1]
    await move(handle, names.DISCARD, {"reason": "done"})


async def test_a_redrive_can_go_by_another_trigger_whose_filter_is_not_asked(stack: Stack) -> None:
    """`picky` does not want n = 1; a person who names it does."""
    handle = await open_case(stack, record(stack, 106))
    await move(handle, names.REDRIVE, {"by": "ana", "trigger": "picky"})
    view = await closed(handle)
    assert (view.state, view.redrive_log[0].trigger) == ("resolved", "picky")
    assert stack.sink.calls == []  # it logs


async def test_an_edit_that_the_filter_does_not_want_is_refused_and_resolves_nothing(stack: Stack) -> None:
    """A slip in an edited body must not close the case with nothing delivered; naming the trigger overrules."""
    handle = await open_case(stack, record(stack, 120).model_copy(update={"trigger": "picky"}))
    error = await refused(handle, names.REDRIVE, {"body": '{"n": 3}'})
    assert (error.type, "does not want the edited event" in error.message) == ("case.refused", True)
    assert (await seen(handle)).state == "open"
    await move(handle, names.REDRIVE, {"body": '{"n": 3}', "trigger": "picky"})
    assert (await closed(handle)).state == "resolved"


async def test_a_redrive_as_recorded_repeats_the_action_that_failed(stack: Stack) -> None:
    """Though the trigger is configured otherwise now."""
    given = record(stack, 107).model_copy(update={"trigger": "picky"})
    handle = await open_case(stack, given)
    await move(handle, names.REDRIVE, {"by": "ana", "config": "recorded"})
    assert (await closed(handle)).state == "resolved"
    assert len(stack.sink.calls) == 1


@pytest.mark.parametrize(
    ("given", "code", "why"),
    [
        ({"trigger": "nowhere"}, "case.refused", "there are: bill, picky"),
        ({"trigger": "bill", "config": "recorded"}, "input.invalid", "takes no"),
        ({"config": "other"}, "input.invalid", "config"),
    ],
)
async def test_a_redrive_that_cannot_be_done_as_asked_leaves_the_case_as_it_was(
    stack: Stack, given: Any, code: str, why: str
) -> None:
    """Refused with a code and the reason; who had it still has it."""
    handle = await open_case(stack, record(stack, 108))
    await move(handle, names.ACKNOWLEDGE, {"by": "ana"})
    error = await refused(handle, names.REDRIVE, given)
    assert (error.type, why in error.message) == (code, True), error.message
    view = await seen(handle)
    assert (view.state, view.failures) == ("acknowledged", ())
    await move(handle, names.DISCARD, {"reason": "done"})


async def test_an_edited_body_that_the_recorded_action_would_not_see_is_refused(stack: Stack) -> None:
    """Its body was computed from the original: sending that again as if edited would be a lie."""
    given = record(stack, 109)
    assert given.spec is not None
    action = stack.post().model_copy(update={"body": '{"computed": 1}'})
    given = given.model_copy(update={"spec": given.spec.model_copy(update={"action": action})})
    handle = await open_case(stack, given)
    error = await refused(handle, names.REDRIVE, {"body": "{}"})
    assert "edited body would change nothing" in error.message
    assert stack.sink.calls == []
    await move(handle, names.DISCARD, {"reason": "done"})


async def test_a_case_is_redriven_by_itself_at_growing_distances_and_then_waits_for_a_person(stack: Stack) -> None:
    """After 10, 20 and 40 minutes, three times in all; the view says when the next one is."""
    stack.sink.standing["/"] = Reply(410)
    auto = AutoRedrive(after=timedelta(minutes=10), max=3)
    handle = await open_case(stack, policed(stack, 110, auto_redrive=auto, expire_after=timedelta(days=2)))
    view = await closed(handle)
    assert view.state == "expired"
    assert [(one.automatic, one.outcome) for one in view.redrive_log] == [(True, "failed")] * 3
    times = [one.at for one in view.redrive_log]
    gaps = [(later - earlier).total_seconds() / 60 for earlier, later in itertools.pairwise(times)]
    assert [round(gap) for gap in gaps] == [20, 40]
    assert view.redrive_log[2].reason.startswith("automatic redrive 3 of 3")


async def test_acknowledging_stops_automatic_redrives_and_some_codes_never_begin_them(stack: Stack) -> None:
    """A person who looks after it is not surprised; a refusal is not repeated where the policy says so."""
    auto = AutoRedrive(after=timedelta(minutes=10), codes=("target.unreachable",))
    handle = await open_case(stack, policed(stack, 111, auto_redrive=auto, expire_after=timedelta(days=1)))
    assert (await closed(handle)).redrives == ()
    auto = AutoRedrive(after=timedelta(minutes=10))
    handle = await open_case(stack, policed(stack, 112, auto_redrive=auto, expire_after=timedelta(days=1)))
    assert (await seen(handle)).next_redrive_at is not None
    assert (await move(handle, names.ACKNOWLEDGE, None)).next_redrive_at is None
    assert (await closed(handle)).redrives == ()


async def test_a_recovery_redrives_a_case_that_wants_it_and_a_newer_event_resolves_one(stack: Stack) -> None:
    """Only what came after the failure counts, and only where the policy asks for it."""
    auto = AutoRedrive(after=timedelta(days=30), max_wait=timedelta(days=30), when_recovered=True)
    wants = await open_case(stack, policed(stack, 113, auto_redrive=auto))
    told = {"at": "2026-01-01T00:00:00Z", "delivery": "bill/shop/e-9"}
    await wants.signal(names.RECOVERED, told)  # before it failed
    assert (await seen(wants)).state == "open"
    await wants.signal(names.RECOVERED, {**told, "at": "2099-01-01T00:00:00Z"})
    view = await closed(wants)
    assert (view.state, "because bill/shop/e-9" in view.redrive_log[0].reason) == ("resolved", True)
    plain = await open_case(stack, record(stack, 114))
    await plain.signal(names.SUPERSEDED, told)
    assert (await seen(plain)).state == "open"
    await plain.signal(names.DISCARD, {"reason": "done"})
    keyed = await open_case(stack, policed(stack, 115, resolve_on_newer=True))
    await keyed.signal(names.SUPERSEDED, told)
    assert (await closed(keyed)).history[-1].move == "supersede"


async def test_a_signal_moves_the_case_and_one_that_cannot_is_noted(stack: Stack) -> None:
    """Illegal, malformed and unknown signals are in the history with the reason; none is lost, none blocks."""
    handle = await open_case(stack, record(stack, 116))
    await handle.signal(names.ACKNOWLEDGE, {"by": "ana"})
    await handle.signal(names.ACKNOWLEDGE, {"by": "ben"})
    await handle.signal(names.DISCARD)
    await handle.signal("explode", {"now": True})
    await handle.signal(names.DISCARD, {"by": "ana", "reason": "a test"})
    view = await closed(handle)
    moves = [(one.move, one.by) for one in view.history]
    assert moves == [("acknowledge", "ana"), *[("refuse", "signal")] * 3, ("discard", "ana")]
    assert "cannot acknowledge a case that is acknowledged" in view.history[1].note
    assert "reason: Field required" in view.history[2].note
    assert "there is no such signal" in view.history[3].note


async def test_the_same_update_twice_is_done_once_also_in_a_later_run(stack: Stack) -> None:
    """Its id makes it the same; the second answer is the case, not a refusal."""
    handle = await open_case(stack, record(stack, 117))
    for _ in range(2):
        view: CaseView = await handle.execute_update(
            names.ACKNOWLEDGE, {"by": "ana"}, id="bulk-1/7", result_type=CaseView
        )
        assert [one.move for one in view.history] == ["acknowledge"]
    await move(handle, names.DISCARD, {"reason": "done"})
    later = Case.of(record(stack, 118), "dead-letter/x", view.history[0].at)
    later.remember("bulk-1/7")
    handle = await stack.start(names.DEAD_LETTER, later.carry(), "dead-letter/x")
    view = await handle.execute_update(names.ACKNOWLEDGE, {"by": "ana"}, id="bulk-1/7", result_type=CaseView)
    assert (view.state, view.history) == ("open", ())
    await move(handle, names.DISCARD, {"reason": "done"})


async def test_a_long_history_goes_on_in_a_new_run_with_all_that_the_case_knows(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of comments do not end a case: who has it, what was done and the next number survive."""
    stack.sink.script["/"] = deque([Reply(410)])
    handle = await open_case(stack, record(stack, 119))
    await move(handle, names.ASSIGN, {"by": "ana", "to": "ben"})
    await move(handle, names.REDRIVE, {"by": "ben"})
    await until(handle, "open")
    first = (await handle.describe()).run_id
    monkeypatch.setattr(policies, "LONG_HISTORY", 300)
    carried = CarriedCase.model_validate_json(Case.carried(_carry(await seen(handle))).carry().model_dump_json())
    assert carried.view.history == (await seen(handle)).history
    for number in range(350):
        await handle.signal(names.COMMENT, {"by": "ben", "text": f"note {number}"})

    async def went_on() -> bool:
        return (await stack.client.get_workflow_handle(handle.id).describe()).run_id != first

    await assert_eventually(went_on, within=60, why="a new run")
    handle = stack.client.get_workflow_handle(handle.id)
    view = await seen(handle)
    assert {one.move for one in view.history} == {"comment"}
    assert (view.state, view.assignee, view.redrives) == ("open", "ben", ("gone/shop/d-119:r1",))
    assert view.history_omitted >= 250
    assert (await move(handle, names.REDRIVE, {"by": "ben"})).redrives[-1] == "gone/shop/d-119:r2"
    assert (await closed(handle)).state == "resolved"


def _carry(view: CaseView) -> CarriedCase:
    return CarriedCase(view=view, since=view.record.at, failed_at=view.record.at, failed_code="x")
