"""Several actions in order, on a clock that jumps: results, failures, compensation, cancellation, redrive."""

import json
from collections import deque
from datetime import timedelta
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.delivery import DeliveryInput
from holdfast.domain.expressions import EVENT
from holdfast.domain.mapping import CompiledRun
from holdfast.domain.retry import RetryPolicy
from holdfast.domain.runs import RunConfig
from holdfast.embedded.sink import Reply
from tests.durable import Stack, delivery, failure, until_state

pytestmark = pytest.mark.integration

QUICK = RetryPolicy(max_attempts=2, initial=timedelta(seconds=1), jitter=0.0)


def step(stack: Stack, name: str, *, undo: bool = True, **more: Any) -> dict[str, Any]:
    """One step that calls the target at its name."""
    url = stack.sink.url
    made: dict[str, Any] = {"name": name, "http": {"url": f"{url}/{name}", "result": "response.status", **more}}
    if undo:
        body = f'{{"undo": "{name}", "of": steps.?{name}.?result.orValue(0), "because": failed.step + failed.code}}'
        made["compensate"] = {"http": {"url": f"{url}/undo-{name}", "body": body}}
    return made


def steps(*given: dict[str, Any], **more: Any) -> DeliveryInput:
    """One delivery with these steps, resolved as the dispatcher does."""
    run = RunConfig.model_validate({"steps": list(given)})
    return delivery(CompiledRun(run).action(EVENT.bind(event={})), retry=QUICK, **more)


def paths(stack: Stack) -> list[str]:
    """What was called, in order."""
    return [call.path for call in stack.sink.calls]


async def dead(stack: Stack, given: DeliveryInput, key: str) -> DeadLetterRecord:
    """Run a delivery that must fail; return its dead letter."""
    await failure(await stack.start(names.EVENT_DELIVERY, given, key))
    (record,) = [one for one in await stack.dead_letters() if one.id == key]
    return record


def sha(value: Any) -> str:
    """The hash of a JSON body as it is sent."""
    return ids.sha256_hex(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


async def test_steps_run_in_order_and_read_what_came_before(stack: Stack) -> None:
    """Each has its own identity; a later mapping reads earlier results; all of them are the delivery's."""
    given = steps(
        step(stack, "reserve"),
        step(stack, "charge", body='{"r": steps.reserve.result, "n": event.data.n}'),
        {"name": "note", "log": {"message": '"charged " + string(steps.charge.result)'}},
    )
    result = await stack.deliver(given, "bill/shop/s-1")
    assert result["result"] == {"reserve": 200, "charge": 200, "note": "logged"}
    assert [(call.path, call.key) for call in stack.sink.calls] == [
        ("/reserve", "bill/shop/s-1/reserve"),
        ("/charge", "bill/shop/s-1/charge"),
    ]
    assert stack.sink.calls[1].body_sha256 == sha({"n": 1, "r": 200})


async def test_a_step_that_fails_for_good_undoes_what_was_done(stack: Stack) -> None:
    """The last first, each once, with the results and the reason; the step that was refused is not undone."""
    stack.sink.standing["/ship"] = Reply(422)
    given = steps(step(stack, "reserve"), step(stack, "mail", undo=False), step(stack, "charge"), step(stack, "ship"))
    record = await dead(stack, given, "bill/shop/s-2")
    assert paths(stack) == ["/reserve", "/mail", "/charge", "/ship", "/undo-charge", "/undo-reserve"]
    assert stack.sink.calls[-1].body_sha256 == sha({"undo": "reserve", "of": 200, "because": "shiptarget.refused"})
    assert stack.sink.calls[-1].key == "bill/shop/s-2/reserve/compensate"
    assert record.code == "target.refused"
    assert record.message == "step ship: HTTP 422; done: mail; compensated: reserve, charge"
    assert [(one.name, one.state, one.compensation) for one in record.steps] == [
        ("reserve", "done", "done"),
        ("mail", "done", ""),
        ("charge", "done", "done"),
        ("ship", "failed", ""),
    ]


async def test_each_step_and_each_compensation_is_retried_by_the_policy(stack: Stack) -> None:
    """A passing failure costs an attempt; a compensation that fails for good is named and stops no other."""
    stack.sink.script["/a"] = deque([Reply(503)])
    stack.sink.standing["/c"] = Reply(500)
    stack.sink.standing["/undo-b"] = Reply(500)
    record = await dead(stack, steps(*(step(stack, name) for name in "abc")), "bill/shop/s-3")
    assert paths(stack) == ["/a", "/a", "/b", "/c", "/c", "/undo-b", "/undo-b", "/undo-a"]
    assert "compensated: a; NOT compensated: b (target.failed: HTTP 500)" in record.message
    assert record.attempt_count == 2


async def test_a_step_whose_outcome_is_unknown_is_undone_too(stack: Stack) -> None:
    """It timed out, so it may have been carried out."""
    stack.sink.standing["/b"] = Reply(delay=30)
    given = steps(step(stack, "a"), step(stack, "b", timeout="100ms"))
    record = await dead(stack, given, "bill/shop/s-4")
    assert paths(stack)[-2:] == ["/undo-b", "/undo-a"]
    assert [one.compensation for one in record.steps] == ["done", "done"]


async def test_a_mapping_that_fails_ends_the_steps(stack: Stack) -> None:
    """It is a failure of that step, for good, and what was done is undone."""
    given = steps(step(stack, "a"), step(stack, "b", body="event.data.nope"))
    record = await dead(stack, given, "bill/shop/s-5")
    assert record.code == "mapping.failed"
    assert record.message.startswith("step b: ")
    assert paths(stack) == ["/a", "/undo-a"]


async def test_a_redrive_goes_on_where_it_failed(stack: Stack) -> None:
    """What was done and not undone is not done again and keeps its result; what was undone is done anew."""
    stack.sink.script["/c"] = deque([Reply(422)])
    given = steps(
        step(stack, "a", undo=False), step(stack, "b"), step(stack, "c", body="[steps.a.result, steps.b.result]")
    )
    record = await dead(stack, given, "bill/shop/s-6")
    stack.sink.calls.clear()
    completed = tuple(one for one in record.steps if one.stands)
    again = given.model_copy(update={"completed": completed})
    result = await stack.deliver(again, "bill/shop/s-6:r1")
    assert paths(stack) == ["/b", "/c"]
    assert result["result"] == {"a": 200, "b": 200, "c": 200}
    assert stack.sink.calls[-1].body_sha256 == sha([200, 200])
    assert stack.sink.calls[-1].key == "bill/shop/s-6:r1/c"


async def test_a_cancelled_delivery_undoes_what_was_done(stack: Stack) -> None:
    """Cancelling in the middle compensates, also the step that was under way, and says so in the dead letter."""
    stack.sink.standing["/b"] = Reply(503, (("Retry-After", "600"),))
    given = steps(step(stack, "a"), step(stack, "b"))
    handle = await stack.start(names.EVENT_DELIVERY, given, "bill/shop/s-7")
    await until_state(handle, "timer_started")
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    assert paths(stack) == ["/a", "/b", "/undo-b", "/undo-a"]
    (record,) = [one for one in await stack.dead_letters() if one.id == handle.id]
    assert record.code == "delivery.cancelled"
    assert [one.compensation for one in record.steps] == ["done", "done"]


@workflow.defn(name="Reserve", sandboxed=False)
class Reserve:
    """A workflow of the user's own as a step."""

    @workflow.run
    async def run(self, what: Any) -> Any:
        """Answer, or fail."""
        if what == "fail":
            raise ApplicationError("no", non_retryable=True)
        return {"reserved": what}


async def test_a_workflow_can_be_a_step(stack: Stack) -> None:
    """It is supervised like any; its result is read by later steps, its failure compensates."""

    def run(what: str) -> dict[str, Any]:
        return {"name": "reserve", "workflow": "Reserve", "task_queue": "theirs", "args": [what]}

    async with Worker(stack.client, task_queue="theirs", workflows=[Reserve]):
        given = steps(step(stack, "a"), run("steps.a.result"), step(stack, "c", body="steps.reserve.result.reserved"))
        result = await stack.deliver(given, "bill/shop/s-8")
        assert result["result"]["reserve"] == {"reserved": 200}
        assert stack.sink.calls[-1].body_sha256 == sha(200)
        stack.sink.calls.clear()
        record = await dead(stack, steps(step(stack, "a"), run("'fail'")), "bill/shop/s-9")
    assert record.code == "workflow.failed"
    assert paths(stack) == ["/a", "/undo-a"]
