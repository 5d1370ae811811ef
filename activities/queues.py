"""What a queue asks of the world: whether every earlier event has been dispatched, and whether a workflow has ended.

Flow: KeyQueue → **settled_before** → turn → **closed**. An event may go out once all that was stored before it is
settled: its dispatcher had told the queues before it acknowledged, so no smaller sequence can still come.
"""

import asyncio
import time
from dataclasses import dataclass, field

from temporalio import activity

from activities.boundary import boundary
from holdfast.bus.connect import Bus
from holdfast.bus.retention import Progress, progress_of
from holdfast.bus.streams import dispatcher_of
from holdfast.contracts import names
from holdfast.contracts.queues import ClosedInput, ClosedResult, JoinQueueInput, SettledBeforeInput
from holdfast.temporal.queues import join_queue, state_of

LOOKS = 20
FIRST_PAUSE = 0.03  # seconds between looks, growing
FRESH = 0.02  # seconds; many queues ask at the same time, and one answer does for all of them


@dataclass(eq=False)
class Queues:
    """Answers queues."""

    bus: Bus
    _known: dict[str, tuple[Progress, float]] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @activity.defn(name=names.SETTLED_BEFORE)
    async def settled_before(self, given: SettledBeforeInput) -> bool:
        """Whether every event stored before `sequence` is settled; waits about two seconds for it."""
        with boundary():
            pause = FIRST_PAUSE
            for _ in range(LOOKS):
                if (await self._progress(given.stream)).past(given.sequence):
                    return True
                await asyncio.sleep(pause)
                pause = min(pause * 1.3, 0.15)
            return False

    @activity.defn(name=names.CLOSED)
    async def closed(self, given: ClosedInput) -> ClosedResult:
        """Look whether a workflow has ended."""
        with boundary():
            return ClosedResult(state=await state_of(activity.client(), given.workflow_id))

    @activity.defn(name=names.JOIN_QUEUE)
    async def join_queue(self, given: JoinQueueInput) -> None:
        """Tell a queue again that a delivery waits in it."""
        with boundary():
            await join_queue(activity.client(), given.queue, given.join)

    async def _progress(self, stream: str) -> Progress:
        async with self._lock:
            known, at = self._known.get(stream, (None, 0.0))
            if known is None or time.monotonic() - at > FRESH:
                # asked before the answer: what it says holds from then on
                asked = time.monotonic()
                known = await progress_of(self.bus, dispatcher_of(stream))
                self._known[stream] = known, asked
            return known
