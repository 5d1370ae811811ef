"""One pull loop per stream of events: those that are configured, and those that still lie on the bus.

A stream that left the configuration keeps its loop until it is removed from the bus, so its events are settled too.
Flow: **streams** → consume (one per stream) → settle; beside each loop its janitor, or the watch over evictions.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from holdfast.bus.connect import Bus
from holdfast.bus.consume import Consumer, Message
from holdfast.bus.lookup import event_streams
from holdfast.bus.streams import EVENTS, ConsumerPlan, EventsPlan, dispatcher_of, events_plans
from holdfast.domain.streams import BusConfig
from holdfast.errors import HoldfastError
from holdfast.telemetry.metrics import Metrics
from workers.evictions import Evictions
from workers.gate import Gate
from workers.janitor import Janitor

log = logging.getLogger(__name__)

LOOK_AGAIN = timedelta(seconds=10)
LEAST_SLOTS = 4  # of every stream, however busy the others are


@dataclass(frozen=True, slots=True)
class Loops:
    """What every loop needs; `slots` bounds the messages under way in all of them together."""

    bus: Bus
    gate: Gate
    metrics: Metrics
    handle: Callable[[Message], Awaitable[None]]
    repair: Callable[[ConsumerPlan], Callable[[], Awaitable[None]]]
    slots: int


class EventStreams:
    """The pull loops of a worker."""

    def __init__(self, loops: Loops, config: Callable[[], BusConfig]) -> None:
        """`config` returns the configuration in force."""
        self._loops = loops
        self._config = config
        self._changed = asyncio.Event()
        self._tasks: dict[str, list[asyncio.Task[Any]]] = {}
        self.consumers: dict[str, Consumer] = {}

    async def run(self) -> None:
        """Begin every loop, and those of streams that come later; ends only with a fault of one of them."""
        try:
            while True:
                self._begin(*(plan.name for plan in events_plans(self._config())))
                try:
                    await self._follow(await event_streams(self._loops.bus))
                except HoldfastError as error:
                    log.debug("streams.unseen", extra={"code": error.code})
                tasks = [task for tasks in self._tasks.values() for task in tasks]
                waiting = asyncio.create_task(self._changed.wait())
                done, _ = await asyncio.wait(
                    [waiting, *tasks], timeout=LOOK_AGAIN.total_seconds(), return_when=asyncio.FIRST_COMPLETED
                )
                waiting.cancel()
                self._changed.clear()
                for task in done - {waiting}:
                    task.result()
                    raise RuntimeError(f"{task.get_name()} ended by itself")
        finally:
            tasks = [task for tasks in self._tasks.values() for task in tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def refresh(self) -> None:
        """Look again at once: the configuration has changed."""
        self._changed.set()

    async def finish(self, within: timedelta) -> None:
        """Wait for what is under way in every loop."""
        await asyncio.gather(*(consumer.finish(within) for consumer in self.consumers.values()))

    @property
    def faults(self) -> dict[str, str]:
        """Why a loop does not consume, by its name: `dispatcher`, or `dispatcher of EVENTS-payments`."""
        return {_shown(stream): each.fault for stream, each in self.consumers.items() if each.fault}

    async def _follow(self, present: list[str]) -> None:
        """Begin the loops of streams that are there, and end those of streams that were drained and removed."""
        self._begin(*present)
        wanted = {*present, *(plan.name for plan in events_plans(self._config()))}
        for stream in self.consumers.keys() - wanted:
            tasks = self._tasks.pop(stream)
            del self.consumers[stream]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, *streams: str) -> None:
        for stream in streams:
            if stream in self.consumers:
                continue
            loops, plan = self._loops, dispatcher_of(stream)
            evictions = Evictions(loops.bus, stream, loops.metrics)
            consumer = self.consumers[stream] = Consumer(
                loops.bus,
                plan,
                handle=loops.handle,
                slots=lambda stream=stream: self._slots(stream),  # type: ignore[misc]
                watch=evictions,
            )
            self._tasks[stream] = [
                asyncio.create_task(self._consume(plan, consumer, evictions), name=f"dispatcher of {stream}"),
                asyncio.create_task(self._tidy(stream), name=f"janitor of {stream}"),
                asyncio.create_task(evictions.keep(), name=f"evictions of {stream}"),
            ]

    async def _consume(self, plan: ConsumerPlan, consumer: Consumer, evictions: Evictions) -> None:
        repair = self._loops.repair(plan)

        async def repaired() -> None:
            await repair()
            await evictions.look()  # before the first pull: what went while nobody pulled is seen only until then

        await consumer.run(self._loops.gate.passable, repaired)

    async def _tidy(self, stream: str) -> None:
        """Run the janitor with the policy in force; one that is configured no more is not purged, only drained."""

        def policy() -> EventsPlan | None:
            return next((plan for plan in events_plans(self._config()) if plan.name == stream), None)

        await Janitor(self._loops.bus, lambda: plan.policy if (plan := policy()) else None, stream).run()

    def _slots(self, stream: str) -> int:
        most = self._loops.gate.slots(self._loops.slots)
        others = sum(each.in_flight for name, each in self.consumers.items() if name != stream)
        return min(most, max(LEAST_SLOTS, most - others))


def _shown(stream: str) -> str:
    return "dispatcher" if stream == EVENTS else f"dispatcher of {stream}"
