"""DeadLetter on a clock that jumps: every move, every refusal, redrives to their end, expiry."""

import asyncio
import base64
from collections import deque
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from holdfast import ids
from holdfast.bus.streams import EVENTS
from holdfast.contracts import names
from holdfast.contracts.dead_letter import CaseView, DeadLetterRecord
from holdfast.contracts.scheduled import ScheduledInput
from holdfast.domain.deadletters import Stage
from holdfast.embedded.sink import Reply
from tests.durable import RECEIVED, Stack, delivery, event, failure

pytestmark = pytest.mark.integration


def record(stack: Stack, number: int = 1, **more: Any) -> DeadLetterRecord:
    """A dead letter of a trigger that the configuration no longer has, so that its recorded action is redriven."""
    given = delivery(stack.post(), trigger="gone", **more)
    return DeadLetterRecord(
        id=f"gone/shop/d-{number}",
        stage=Stage.DELIVERY,
        code="target.refused",
        message="HTTP 404",
        at=RECEIVED,
        source="shop",
        event_id="e-1",
        event_type="order.created",
        trigger="gone",
        envelope=given.envelope,
        spec=given.spec,
        workflow_id=f"gone/shop/d-{number}",
    )


async def open_case(stack: Stack, given: DeadLetterRecord) -> WorkflowHandle[Any, Any]:
    """Start the case as the escalator does."""
    return await stack.start(names.DEAD_LETTER, given, ids.case_id(given.id))


async def move(handle: WorkflowHandle[Any, Any], name: str, given: Any) -> CaseView:
    """Send an Update."""
    view: CaseView = await handle.execute_update(name, given, result_type=CaseView)
    return view


async def refused(handle: WorkflowHandle[Any, Any], name: str, given: Any) -> ApplicationError:
    """Send an Update that must be rejected."""
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await handle.execute_update(name, given)
    assert isinstance(caught.value.cause, ApplicationError)
    return caught.value.cause


async def closed(handle: WorkflowHandle[Any, Any]) -> CaseView:
    """Await the end of a case."""
    return CaseView.model_validate(await handle.result())


async def test_a_redrive_that_delivers_resolves_the_case(stack: Stack) -> None:
    """The answer names the new delivery, which runs under its own id and carries its lineage."""
    handle = await open_case(stack, record(stack, 1))
    seen = await move(handle, names.ACKNOWLEDGE, {"by": "ana", "note": "looking"})
    assert seen.state == "acknowledged"
    answer = await move(handle, names.REDRIVE, {"by": "ana", "reason": "mended"})
    assert answer.redrives == ("gone/shop/d-1:r1",)
    view = await closed(handle)
    assert view.state == "resolved"
    assert [(one.move, one.by) for one in view.history] == [
        ("acknowledge", "ana"),
        ("redrive", "ana"),
        ("succeed", "holdfast"),
    ]
    assert [call.key for call in stack.sink.calls] == ["gone/shop/d-1:r1"]


async def test_a_redrive_that_fails_opens_the_case_again(stack: Stack) -> None:
    """The failure is kept with its code, and the next redrive has the next number."""
    stack.sink.script["/"] = deque([Reply(403)])
    handle = await open_case(stack, record(stack, 2))
    await move(handle, names.REDRIVE, {"by": "ana"})
    error = await failure(stack.client.get_workflow_handle("gone/shop/d-2:r1"))
    assert error.type == "dead_lettered"
    await until(handle, "open")
    view = await handle.query(names.CASE, result_type=CaseView)
    assert [(one.number, one.code) for one in view.failures] == [(1, "target.refused")]
    (again,) = await stack.dead_letters()
    assert again.redrive is not None
    assert again.redrive.case == handle.id
    answer = await move(handle, names.REDRIVE, {"by": "ana"})
    assert answer.redrives[-1] == "gone/shop/d-2:r2"
    assert (await closed(handle)).state == "resolved"


async def test_an_edited_body_is_delivered_and_the_original_is_kept(stack: Stack) -> None:
    """The target gets the new bytes; the record still holds the old ones."""
    handle = await open_case(stack, record(stack, 3))
    await move(handle, names.REDRIVE, {"by": "ana", "body": '{"n": 2}'})
    view = await closed(handle)
    assert stack.sink.calls[0].body_sha256 == ids.sha256_hex(b'{"n": 2}')
    assert view.record.envelope is not None
    assert view.record.envelope.raw_body == b'{"n": 1}'


async def test_a_trigger_that_no_longer_wants_the_event_resolves_the_case(stack: Stack) -> None:
    """Nothing is delivered, and the history says why."""
    given = record(stack, 4).model_copy(update={"trigger": "picky"})
    handle = await open_case(stack, given)
    await move(handle, names.REDRIVE, {"by": "ana"})
    view = await closed(handle)
    assert view.state == "resolved"
    assert "when: is false" in view.history[-1].note
    assert stack.sink.calls == []


async def test_discarding_closes_the_case_with_its_reason(stack: Stack) -> None:
    """A discarded case ends, and says who and why."""
    handle = await open_case(stack, record(stack, 5))
    await move(handle, names.DISCARD, {"by": "ana", "reason": "a test"})
    view = await closed(handle)
    assert (view.state, view.history[-1].by, view.history[-1].note) == ("discarded", "ana", "a test")


async def test_a_case_that_nobody_handles_expires(stack: Stack) -> None:
    """After expire_after, and not before."""
    handle = await open_case(stack, record(stack, 6, expire_after=timedelta(days=30)))
    view = await closed(handle)
    assert view.state == "expired"
    assert view.history[-1].move == "expire"
    description = await handle.describe()
    assert description.close_time is not None
    waited = description.close_time - description.start_time
    assert timedelta(days=30) <= waited < timedelta(days=31)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        (names.DISCARD, {"by": "ana"}),
        (names.DISCARD, {"by": "ana", "reason": "x", "extra": 1}),
        (names.DISCARD, "please"),
        (names.DISCARD, None),
        (names.REDRIVE, {"by": 7}),
        (names.REDRIVE, [1, 2]),
        (names.ACKNOWLEDGE, "x" * 10),
    ],
)
async def test_a_wrong_input_is_rejected_and_the_case_lives_on(stack: Stack, name: str, given: Any) -> None:
    """Garbage never reaches the history and never blocks a workflow task."""
    handle = await open_case(stack, record(stack, 7))
    error = await refused(handle, name, given)
    assert error.type == "input.invalid"
    assert (await move(handle, names.DISCARD, {"by": "ana", "reason": "done"})).state == "discarded"


async def test_an_illegal_move_is_rejected_and_says_what_is_possible(stack: Stack) -> None:
    """Acknowledging twice is refused, with the moves that are left."""
    handle = await open_case(stack, record(stack, 8))
    await move(handle, names.ACKNOWLEDGE, None)
    error = await refused(handle, names.ACKNOWLEDGE, {"by": "ben"})
    assert error.type == "case.illegal_move"
    assert "redrive, discard" in error.message
    await move(handle, names.DISCARD, {"by": "ana", "reason": "done"})


async def test_two_redrives_at_once_are_one(stack: Stack) -> None:
    """The second is refused while the first is under way."""
    handle = await open_case(stack, record(stack, 9))
    answers = await asyncio.gather(
        move(handle, names.REDRIVE, {"by": "ana"}), move(handle, names.REDRIVE, {"by": "ben"}), return_exceptions=True
    )
    assert sum(isinstance(one, CaseView) for one in answers) == 1
    assert len((await closed(handle)).redrives) == 1
    assert len(stack.sink.calls) == 1


async def test_a_message_that_was_no_event_goes_back_on_the_bus(stack: Stack) -> None:
    """Redriving a letter of stage decode republishes its bytes, or the edited ones."""
    stray = DeadLetterRecord(
        id=ids.stray_id(EVENTS, 7),
        stage=Stage.DECODE,
        code="envelope.invalid",
        message="not JSON",
        at=RECEIVED,
        raw_base64=base64.b64encode(b"\xff garbage").decode(),
        stream=EVENTS,
        sequence=7,
    )
    handle = await open_case(stack, stray)
    await move(handle, names.REDRIVE, {"by": "ana", "body": event("e-77").encode().decode()})
    assert (await closed(handle)).state == "resolved"
    message = await stack.bus.jetstream.get_msg(EVENTS, 1)
    assert message.data == event("e-77").encode()
    assert message.subject == f"events.shop.{ids.shard('shop', 'e-77')}"


async def test_a_tick_that_failed_is_published_with_edited_data(stack: Stack) -> None:
    """Redriving a letter of stage schedule publishes the tick it was, under its nominal time."""
    letter = DeadLetterRecord(
        id=ids.foreign_id("tick/x"),
        stage=Stage.SCHEDULE,
        code="mapping.failed",
        message="data: no",
        at=RECEIVED,
        source="nightly",
        event_id="20260102T030000Z",
        event_type="report",
        tick=ScheduledInput(schedule="nightly", type="report", data_expression="tick.nope"),
    )
    handle = await open_case(stack, letter)
    await move(handle, names.REDRIVE, {"by": "ana", "body": '{"day": "x"}'})
    assert (await closed(handle)).state == "resolved"
    message = await stack.bus.jetstream.get_msg(EVENTS, 1)
    assert b'"id":"20260102T030000Z"' in (message.data or b"")


async def test_a_redrive_that_cannot_be_prepared_opens_the_case_again(stack: Stack) -> None:
    """A trigger that is gone and was not recorded is a failure with a code, not an endless redrive."""
    handle = await open_case(stack, record(stack, 10).model_copy(update={"spec": None}))
    await move(handle, names.REDRIVE, {"by": "ana"})
    await until(handle, "open")
    view = await handle.query(names.CASE, result_type=CaseView)
    assert view.failures[0].code == "not_found"
    await move(handle, names.DISCARD, {"by": "ana", "reason": "done"})


async def test_a_case_that_is_cancelled_says_so(stack: Stack) -> None:
    """Cancelling the case itself leaves it discarded, not open for ever in people's lists."""
    handle = await open_case(stack, record(stack, 11))
    await handle.query(names.CASE, result_type=CaseView)  # it has begun
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    view = await handle.query(names.CASE, result_type=CaseView)
    assert (view.state, view.history[-1].move) == ("discarded", "cancel")


async def test_redriving_steps_over_ids_that_an_earlier_case_used(stack: Stack) -> None:
    """A second case of the same dead letter takes the next free number."""
    given = record(stack, 12)
    await stack.start(names.EVENT_DELIVERY, delivery(stack.post("/earlier")), "gone/shop/d-12:r1")
    handle = await open_case(stack, given)
    answer = await move(handle, names.REDRIVE, {"by": "ana"})
    assert answer.redrives == ("gone/shop/d-12:r2",)
    assert (await closed(handle)).state == "resolved"


async def until(handle: WorkflowHandle[Any, Any], state: str) -> None:
    """Wait until the case is in a state."""
    from tests.conftest import assert_eventually

    async def there() -> bool:
        view = await handle.query(names.CASE, result_type=CaseView)
        return bool(view.state == state)

    await assert_eventually(there, why=state)
