"""Signals, updates and detached starts on a real Temporal: they arrive once, however often they are sent."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.common import TypedSearchAttributes
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from holdfast.contracts import names
from holdfast.domain.actions import MessageAction, WorkflowAction
from holdfast.domain.retry import RetryPolicy
from holdfast.errors import ErrorCode, PermanentFailure
from holdfast.temporal import messages
from tests import buses, durable
from tests.durable import Stack, delivery, failure
from tests.servers import NatsServer, TemporalServer

pytestmark = pytest.mark.integration

QUEUE = "orders"
ONCE = RetryPolicy(max_attempts=1)


@workflow.defn(name="Order", sandboxed=False)
class Order:
    """A workflow of the user's own, which lives as long as its order."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.closed = False

    @workflow.run
    async def run(self, *_: Any) -> list[Any]:
        """Wait for the end."""
        await workflow.wait_condition(lambda: self.closed)
        return self.seen

    @workflow.signal
    def note(self, what: Any) -> None:
        """Take a signal."""
        self.seen.append(what)

    @workflow.signal
    def close(self, _: Any) -> None:
        """End."""
        self.closed = True

    @workflow.update
    async def price(self, cents: int) -> dict[str, int]:
        """Answer, or refuse."""
        if cents < 0:
            raise ApplicationError("less than nothing", type="BadPrice")
        self.seen.append(cents)
        return {"total": sum(one for one in self.seen if isinstance(one, int))}


@pytest.fixture
async def stack(tmp_path: Path, nats_server: NatsServer, temporal_server: TemporalServer) -> AsyncIterator[Stack]:
    """A worker of ours and one of the user's."""
    client = await durable.connect(temporal_server.plan.address)
    async with (
        buses.connected(nats_server) as bus,
        durable.stack(client, bus, durable.config(tmp_path), {}) as running,
        Worker(client, task_queue=QUEUE, workflows=[Order]),
    ):
        yield running


def message(workflow_id: str, how: Any = "signal", *, start: bool = False, **more: Any) -> MessageAction:
    """One message."""
    if start:
        more |= {"workflow": "Order", "task_queue": QUEUE}
    given = {"name": "price" if how == "update" else "note", "args": (7,), **more}
    return MessageAction(how=how, workflow_id=workflow_id, **given)


def sending() -> messages.Sending:
    """One identity."""
    return messages.Sending(uuid4().hex, TypedSearchAttributes([]))


async def deliver(stack: Stack, action: MessageAction | WorkflowAction) -> Any:
    """Deliver, and return the result."""
    return await stack.deliver(delivery(action, retry=ONCE), f"bill/shop/{uuid4().hex}")


async def order(stack: Stack, name: str = "") -> Any:
    """Start an order."""
    return await stack.client.start_workflow("Order", id=name or uuid4().hex, task_queue=QUEUE)


async def ended(stack: Stack, workflow_id: str) -> Any:
    """Close an order, and return what it saw."""
    handle = stack.client.get_workflow_handle(workflow_id)
    await handle.signal("close", None)
    return await handle.result()


async def test_a_signal_and_an_update_arrive(stack: Stack) -> None:
    """The update's answer is the delivery's result."""
    running = await order(stack)
    signalled = await deliver(stack, message(running.id, args=({"a": 1},)))
    assert signalled["result"] == {"workflow_id": running.id}
    updated = await deliver(stack, message(running.id, "update"))
    assert updated["result"] == {"total": 7}
    assert await ended(stack, running.id) == [{"a": 1}, 7]


async def test_what_is_not_there_is_started(stack: Stack) -> None:
    """Signal-with-start and update-with-start start once, and reach what runs."""
    for how in ("signal", "update"):
        name = uuid4().hex
        first = await deliver(stack, message(name, how, start=True, start_args=("x",)))
        second = await deliver(stack, message(name, how, start=True))
        if how == "update":
            assert (first["result"], second["result"]) == ({"total": 7}, {"total": 14})
        else:
            assert [one["result"]["started"] for one in (first, second)] == [True, False]
            assert first["result"]["run_id"] == second["result"]["run_id"]
        assert await ended(stack, name) == [7, 7]


@pytest.mark.parametrize("how", ["signal", "update"])
@pytest.mark.parametrize("start", [True, False])
async def test_sent_twice_it_arrives_once(stack: Stack, how: Any, start: bool) -> None:
    """The same delivery whose answer was lost sends again, under the same request id."""
    name, identity = uuid4().hex, sending()
    if not start:
        await order(stack, name)
    call = messages.update if how == "update" else messages.signal
    answers = [await call(stack.client, message(name, how, start=start), identity) for _ in range(3)]
    if how == "update":
        assert answers == [{"total": 7}] * 3
    assert await ended(stack, name) == [7]


async def test_a_detached_run_outlives_its_delivery(stack: Stack) -> None:
    """The delivery is done when it is started; sent again it is the same run; another event's id clash is refused."""
    action = WorkflowAction(workflow="Order", task_queue=QUEUE, detached=True)
    key = f"bill/shop/{uuid4().hex}"
    done = await stack.deliver(delivery(action, retry=ONCE), key)
    assert done["result"]["workflow_id"] == f"{key}/run"
    assert await ended(stack, f"{key}/run") == []
    own, identity = action.model_copy(update={"id": uuid4().hex}), sending()
    first = await messages.start(stack.client, own, str(own.id), identity)
    assert await messages.start(stack.client, own, str(own.id), identity) == first
    with pytest.raises(PermanentFailure, match="exists already"):
        await messages.start(stack.client, own, str(own.id), sending())
    assert await ended(stack, str(own.id)) == []
    assert await messages.start(stack.client, own, str(own.id), identity) == first


async def test_each_failure_has_its_meaning(stack: Stack) -> None:
    """Ended: for good. Never there: tried again, or for good where asked. An update that refuses: for good."""
    over = await order(stack)
    await ended(stack, over.id)
    running = await order(stack)
    missing = uuid4().hex
    cases = [
        (message(over.id), ErrorCode.WORKFLOW_NOT_FOUND, 1),
        (message(over.id, "update"), ErrorCode.WORKFLOW_NOT_FOUND, 1),
        (message(missing), ErrorCode.WORKFLOW_NOT_FOUND, 2),
        (message(missing, "update"), ErrorCode.WORKFLOW_NOT_FOUND, 2),
        (message(missing, when_missing="dead_letter"), ErrorCode.WORKFLOW_NOT_FOUND, 1),
        (message(running.id, "update", args=(-1,)), ErrorCode.WORKFLOW_FAILED, 1),
        (message(running.id, "update", name="nope"), ErrorCode.WORKFLOW_FAILED, 1),
    ]
    twice = RetryPolicy(max_attempts=2, initial=timedelta(milliseconds=10), max=timedelta(milliseconds=10))
    for action, code, attempts in cases:
        handle = await stack.start(names.EVENT_DELIVERY, delivery(action, retry=twice), f"bill/shop/{uuid4().hex}")
        await failure(handle)
        (record,) = [one for one in await stack.dead_letters() if one.id == handle.id]
        assert (record.code, record.attempt_count) == (code, attempts), (action, record.message)
    assert await ended(stack, running.id) == []


async def test_a_workflow_that_is_late_is_waited_for(stack: Stack) -> None:
    """The signal that came before its workflow arrives once it is there."""
    name = uuid4().hex
    often = RetryPolicy(max_attempts=100, initial=timedelta(milliseconds=50), max=timedelta(milliseconds=200))
    handle = await stack.start(names.EVENT_DELIVERY, delivery(message(name), retry=often), f"bill/shop/{uuid4().hex}")
    await durable.until_state(handle, "upsert_workflow_search_attributes")
    await order(stack, name)
    await handle.result()
    assert await ended(stack, name) == [7]


@pytest.mark.parametrize("how", ["signal", "update"])
async def test_sent_again_after_the_run_has_ended_it_starts_no_other(stack: Stack, how: Any) -> None:
    """An answer that was lost, a run that was quick: the next attempt finds what it has started."""
    name, identity = uuid4().hex, sending()
    call = messages.update if how == "update" else messages.signal
    first = await call(stack.client, message(name, how, start=True), identity)
    assert await ended(stack, name) == [7]
    again = await call(stack.client, message(name, how, start=True), replace(identity, again=True))
    assert again == first if how == "update" else again["run_id"] == first["run_id"]
    runs = [one async for one in stack.client.list_workflows(f"WorkflowId = '{name}'")]
    assert len(runs) == 1
