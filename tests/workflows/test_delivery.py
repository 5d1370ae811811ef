"""EventDelivery on a clock that jumps: retries, waits, limits, cancellation."""

import asyncio
import contextlib
from collections import deque
from datetime import timedelta
from itertools import pairwise

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from holdfast.bus.news import Newsroom
from holdfast.contracts import names
from holdfast.contracts.delivery import Progress
from holdfast.domain.retry import RetryPolicy
from holdfast.embedded.sink import Reply
from tests import durable
from tests.durable import QUICK, Stack, delivery, failure, kinds

pytestmark = pytest.mark.integration


async def test_the_first_success_costs_nothing_but_the_attempt(stack: Stack) -> None:
    """A delivery that succeeds at once has no timer, no search attribute and no scheduled activity."""
    handle = await stack.start(names.EVENT_DELIVERY, delivery(stack.post()), "bill/shop/e-1")
    result = await handle.result()
    assert result["outcome"] == "delivered"
    assert result["attempts"] == 1
    assert result["result"] == {"status": 200}
    assert await kinds(handle) == [
        "workflow_execution_started",
        "workflow_task_scheduled",
        "workflow_task_started",
        "workflow_task_completed",
        "marker_recorded",
        "workflow_execution_completed",
    ]
    assert [call.key for call in stack.sink.calls] == ["bill/shop/e-1"]


async def test_attempts_continue_until_one_succeeds(stack: Stack) -> None:
    """Two transient failures, then success: three calls under one Idempotency-Key, and the state says delivered."""
    stack.sink.script["/"] = deque([Reply(503), Reply(500)])
    handle = await stack.start(names.EVENT_DELIVERY, delivery(stack.post()), "bill/shop/e-2")
    result = await handle.result()
    assert result["attempts"] == 3
    assert {call.key for call in stack.sink.calls} == {"bill/shop/e-2"}
    history = await kinds(handle)
    assert history.count("upsert_workflow_search_attributes") == 2
    assert history.count("timer_started") == 1


async def test_a_delivery_that_never_succeeds_is_dead_lettered_with_every_attempt(stack: Stack) -> None:
    """Exhausted: the record holds each attempt with its code, and the run fails as `dead_lettered`."""
    stack.sink.standing["/"] = Reply(503)
    handle = await stack.start(names.EVENT_DELIVERY, delivery(stack.post()), "bill/shop/e-3")
    error = await failure(handle)
    assert error.type == "dead_lettered"
    assert "503" in error.message
    assert len(stack.sink.calls) == QUICK.max_attempts
    (record,) = await stack.dead_letters()
    assert record.id == "bill/shop/e-3"
    assert record.code == "target.failed"
    assert record.attempt_count == QUICK.max_attempts
    assert [one.number for one in record.attempts] == [1, 2, 3, 4]
    assert {one.code for one in record.attempts} == {"target.failed"}
    assert all(a.at <= b.at for a, b in pairwise(record.attempts))


async def test_a_refusal_is_not_tried_again(stack: Stack) -> None:
    """A permanent failure ends at the first attempt."""
    stack.sink.standing["/"] = Reply(404)
    handle = await stack.start(names.EVENT_DELIVERY, delivery(stack.post()), "bill/shop/e-4")
    await failure(handle)
    (record,) = await stack.dead_letters()
    assert (record.code, record.attempt_count) == ("target.refused", 1)
    assert len(stack.sink.calls) == 1


async def test_retry_after_is_honoured(stack: Stack) -> None:
    """The wait is what the target asked for, where that is longer than the policy's."""
    stack.sink.script["/"] = deque([Reply(429, (("Retry-After", "1800"),))])
    handle = await stack.start(names.EVENT_DELIVERY, delivery(stack.post()), "bill/shop/e-5")
    await handle.result()
    waits = [
        event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
        async for event in handle.fetch_history_events()
        if event.HasField("timer_started_event_attributes")
    ]
    assert waits == [timedelta(seconds=1800)]


async def test_give_up_after_ends_the_trying_whatever_attempts_are_left(stack: Stack) -> None:
    """No attempt is made after give_up_after."""
    stack.sink.standing["/"] = Reply(503, (("Retry-After", "3600"),))
    policy = RetryPolicy(max_attempts=100, initial=timedelta(seconds=1), give_up_after=timedelta(hours=2, minutes=30))
    handle = await stack.start(names.EVENT_DELIVERY, delivery(stack.post(), retry=policy), "bill/shop/e-6")
    await failure(handle)
    (record,) = await stack.dead_letters()
    assert record.attempt_count == 3
    assert "give_up_after" in record.message


async def test_a_wait_longer_than_give_up_after_ends_it_at_once(stack: Stack) -> None:
    """Waiting for an attempt that would come too late is pointless, so it is not done."""
    stack.sink.standing["/"] = Reply(503, (("Retry-After", "7200"),))
    policy = RetryPolicy(max_attempts=100, give_up_after=timedelta(hours=1))
    handle = await stack.start(names.EVENT_DELIVERY, delivery(stack.post(), retry=policy), "bill/shop/e-7")
    await failure(handle)
    (record,) = await stack.dead_letters()
    assert record.attempt_count == 1
    assert "timer_started" not in await kinds(handle)


async def test_one_attempt_means_one(stack: Stack) -> None:
    """max_attempts 1 dead-letters at the first failure."""
    stack.sink.standing["/"] = Reply(503)
    handle = await stack.start(
        names.EVENT_DELIVERY, delivery(stack.post(), retry=RetryPolicy(max_attempts=1)), "bill/shop/e-8"
    )
    await failure(handle)
    assert len(stack.sink.calls) == 1


async def test_a_cancelled_delivery_is_recorded_and_then_cancelled(stack: Stack) -> None:
    """Cancelling while it waits leaves a dead letter, and the run ends as cancelled."""
    stack.sink.standing["/"] = Reply(503, (("Retry-After", "80000"),))
    handle = await stack.start(names.EVENT_DELIVERY, delivery(stack.post()), "bill/shop/e-9")
    await durable.until_state(handle, "timer_started")
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    assert isinstance(caught.value.cause, CancelledError)
    (record,) = await stack.dead_letters()
    assert record.code == "delivery.cancelled"


async def test_a_slow_action_is_not_tried_inside_the_workflow_task(stack: Stack) -> None:
    """An action with more than ten seconds runs as a regular activity from the first attempt on."""
    handle = await stack.start(
        names.EVENT_DELIVERY, delivery(stack.post(timeout=timedelta(seconds=30))), "bill/shop/e-10"
    )
    await handle.result()
    history = await kinds(handle)
    assert "activity_task_scheduled" in history
    assert "marker_recorded" not in history


async def test_an_answer_that_does_not_come_is_a_timeout_with_an_unknown_outcome(stack: Stack) -> None:
    """Past its timeout an attempt failed as target.timeout, and is tried again."""
    stack.sink.script["/"] = deque([Reply(200, delay=3.0)])
    action = stack.post(timeout=timedelta(milliseconds=300))
    handle = await stack.start(names.EVENT_DELIVERY, delivery(action), "bill/shop/e-11")
    result = await handle.result()
    assert result["attempts"] == 2


@pytest.mark.parametrize(("status", "told"), [(200, "delivered"), (404, "dead_lettered")])
async def test_who_waits_is_told_once_and_nobody_else(stack: Stack, status: int, told: str) -> None:
    """One local activity after the outcome is fixed, only while somebody waits; the result carries the answer."""
    stack.sink.standing["/"] = Reply(status, body=b"said")
    heard = Newsroom(stack.bus)
    await heard.listen()
    until = durable.RECEIVED + timedelta(days=36_500)  # the test's clock may be years ahead
    with heard.watch("shop", "e-told") as watch:
        given = delivery(stack.post(), event_id="e-told").model_copy(update={"awaited_until": until})
        awaited = await stack.start(names.EVENT_DELIVERY, given, "bill/shop/e-told")
        with contextlib.suppress(WorkflowFailureError):
            await awaited.result()
        async with asyncio.timeout(10):
            await watch.changed.wait()
        ended = watch.ended["bill/shop/e-told"]
    assert (ended.status, ended.trigger, ended.attempts) == (told, "bill", 1)
    if status == 200:
        assert ended.result == {"status": 200, "body": "said"}
    else:
        assert (ended.code, ended.dead_letter) == ("target.refused", "bill/shop/e-told")
    past = delivery(stack.post(), event_id="e-late").model_copy(update={"awaited_until": durable.RECEIVED})
    late = await stack.start(names.EVENT_DELIVERY, past, "bill/shop/e-late")
    with contextlib.suppress(WorkflowFailureError):
        await late.result()
    assert (await kinds(awaited)).count("marker_recorded") == (await kinds(late)).count("marker_recorded") + 1


async def test_a_delivery_tells_how_its_first_attempt_failed(stack: Stack) -> None:
    """The query `progress`: what Temporal itself does not show of a local attempt, and when the next one is."""
    stack.sink.script["/"] = deque([Reply(503)])
    handle = await stack.start(names.EVENT_DELIVERY, delivery(stack.post()), "bill/shop/e-progress")
    await handle.result()
    progress = await handle.query(names.PROGRESS, result_type=Progress)
    assert [(each.number, each.code) for each in progress.failures] == [(1, "target.failed")]
    assert progress.next_attempt_at is not None
