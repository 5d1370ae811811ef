"""Scenarios of what bounds deliveries: turns, times, limits, and the queue of a key."""

import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import WorkflowFailureError
from temporalio.worker import Worker

from holdfast.bus.connect import Bus
from holdfast.bus.registers import ensure_registers
from holdfast.bus.streams import DISPATCHER
from holdfast.bus.topology import ensure_consumer
from holdfast.contracts import names
from holdfast.contracts.delivery import DeliveryInput
from holdfast.contracts.queues import DoneInput, JoinInput, KeyQueueInput, SkipInput, TurnInput
from holdfast.domain.actions import Action, WorkflowAction
from holdfast.domain.pressure import Pressure, ThrottleConfig
from holdfast.embedded.sink import Reply
from tests.durable import Stack, delivery, until_state

Scenario = Callable[[Stack, str], Awaitable[None]]

CONFIG = """
version: 1
notifiers: {log: log}
sources: {shop: {dangerous_unverified: true}}
triggers:
  paced: {on: shop, rate_limit: 1/h, run: {log: {message: event.type}}}
  narrow: {on: shop, concurrency: 2, run: {log: {message: event.type}}}
"""


async def prepare(bus: Bus) -> None:
    """Make what the worker makes at its start: the buckets, and the consumer whose progress queues ask for."""
    await ensure_registers(bus, 1)
    await ensure_consumer(bus, DISPATCHER)


def _pressed(action: Action, trigger: str = "bill", **pressure: Any) -> DeliveryInput:
    given = delivery(action, trigger=trigger)
    spec = given.spec.model_copy(update={"pressure": Pressure(**pressure)})
    return given.model_copy(update={"spec": spec, "sequence": 1})


def turned(verdict: str, status: int = 200) -> Scenario:
    """Tell a delivery that stands in a queue what its queue decided."""

    async def play(stack: Stack, workflow_id: str) -> None:
        stack.sink.script[f"/{workflow_id}"] = deque([Reply(status)])
        given = _pressed(stack.post(f"/{workflow_id}"), key="k")
        handle = await stack.start(names.EVENT_DELIVERY, given, workflow_id)
        await handle.signal(names.TURN, TurnInput(verdict=verdict))
        with contextlib.suppress(WorkflowFailureError):
            await handle.result()

    return play


async def later(stack: Stack, workflow_id: str) -> None:
    """Deliver after a time."""
    given = _pressed(stack.post(f"/{workflow_id}"), not_before=datetime.now(UTC) + timedelta(seconds=2))
    await (await stack.start(names.EVENT_DELIVERY, given, workflow_id)).result()


async def held(stack: Stack, workflow_id: str) -> None:
    """Hold a delivery back by a rate, and cancel it."""
    await stack.deliver(delivery(stack.post(f"/{workflow_id}"), trigger="paced"), f"{workflow_id}-before")
    given = delivery(stack.post(f"/{workflow_id}"), trigger="paced")
    handle = await stack.start(names.EVENT_DELIVERY, given, workflow_id)
    await until_state(handle, "timer_started")
    await handle.signal(names.RELEASE)
    await handle.cancel()
    with contextlib.suppress(WorkflowFailureError):
        await handle.result()


def admitted(users: type) -> Scenario:
    """Admit a run, and give its place back."""

    async def play(stack: Stack, workflow_id: str) -> None:
        action = WorkflowAction(workflow="Users", task_queue="record-users", args=("hello",))
        given = delivery(action, trigger="narrow").model_copy(update={"gated": True})
        async with Worker(stack.client, task_queue="record-users", workflows=[users]):
            await (await stack.start(names.EVENT_DELIVERY, given, workflow_id)).result()

    return play


def queued(*said: tuple[str, Any], **how: Any) -> Scenario:
    """Run a queue through signals to its end."""

    async def play(stack: Stack, workflow_id: str) -> None:
        queue = KeyQueueInput(trigger="bill", key="k", **how)
        handle = await stack.start(names.KEY_QUEUE, queue, workflow_id)
        for name, what in said:
            if name == names.SKIP:
                await until_state(handle, "upsert_workflow_search_attributes")  # it is blocked
            await handle.signal(name, what)
        await handle.result()

    return play


_TWO = (
    (names.QUEUE_JOIN, JoinInput(delivery="gone-1", sequence=1)),
    (names.QUEUE_JOIN, JoinInput(delivery="gone-2", sequence=2)),
)
_FAILED = (names.DONE, DoneInput(delivery="gone-1", delivered=False))
_SKIP = (names.SKIP, SkipInput(by="ana", reason="looked at"))


def scenarios(users: type) -> dict[str, Scenario]:
    """Return them by name."""
    return {
        "delivery-queued-delivered": turned("go"),
        "delivery-queued-dead-lettered": turned("go", 404),
        "delivery-superseded": turned("superseded"),
        "delivery-queue-full": turned("full"),
        "delivery-later": later,
        "delivery-held": held,
        "delivery-child-admitted": admitted(users),
        "queue-in-order": queued(*_TWO),
        "queue-blocked-skipped": queued(_FAILED, *_TWO, _SKIP),
        "queue-continue": queued(_FAILED, *_TWO, on_failure="continue"),
        "queue-debounced": queued(*_TWO, debounce=timedelta(seconds=1)),
        "queue-throttled": queued(*_TWO, throttle=ThrottleConfig(per=timedelta(seconds=1))),
    }
