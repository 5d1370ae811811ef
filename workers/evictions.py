"""Every event that left its stream unprocessed is counted, named by sequence and recorded, whoever was down meanwhile.

Only a stream with `discard: old` or `max_age` can lose one so. Two looks find them. On the server: what lies past the
consumer's last delivery and before the stream's first message was never handed out; this is asked before the first
pull and every two seconds, so it sees what went while no worker ran. At the pull: a jump between two messages, for
what went between two looks. The last record in EVICTIONS says how far was counted, so nothing is counted twice.
Flow: EVENTS-… → consume → **evictions** → EVICTIONS, metric, log, alert.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from holdfast.bus.connect import Bus
from holdfast.bus.consume import Message
from holdfast.bus.lookup import evicted, last_of
from holdfast.bus.publish import publish_evicted
from holdfast.bus.retention import fill_of, reach_of
from holdfast.bus.streams import EVICTIONS, Evicted, dispatcher_of, evictions_subject
from holdfast.errors import HoldfastError
from holdfast.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=2)
STORE_WITHIN = timedelta(seconds=5)
TRIES = 5  # another worker may record at the same moment


class Evictions:
    """Watches one stream of events."""

    def __init__(self, bus: Bus, stream: str, metrics: Metrics) -> None:
        self._bus = bus
        self._stream = stream
        self._metrics = metrics
        self._highest: tuple[int, int] | None = None  # stream and consumer sequence of the last first delivery
        self._repeats = 0  # redeliveries that came since
        self._jumps: list[tuple[int, int, int]] = []  # first, last, count; not recorded yet
        self._handed_back: set[int] = set()  # to be delivered again; one that is evicted meanwhile never will be

    def saw(self, message: Message) -> None:
        """Look at a message in the order of its arrival."""
        if message.deliveries > 1:
            self._handed_back.discard(message.sequence)
            self._repeats += 1
            return
        if self._highest is not None and message.sequence > self._highest[0] + 1:
            before, ordinal = self._highest
            others = max(0, message.ordinal - ordinal - 1 - self._repeats)  # first deliveries to other workers
            count = message.sequence - before - 1 - others
            if count > 0:
                self._jumps.append((before + 1, message.sequence - 1, count))
        if self._highest is None or message.sequence > self._highest[0]:
            self._highest, self._repeats = (message.sequence, message.ordinal), 0

    def handed_back(self, sequence: int) -> None:
        """Remember a message that is to come again."""
        self._handed_back.add(sequence)

    async def keep(self) -> None:
        """Look for ever; a look that fails is repeated with the next."""
        while True:
            try:
                await self.look()
            except HoldfastError as error:
                log.info("evictions.failed", extra={"stream": self._stream, "reason": error.message})
            await asyncio.sleep(EVERY.total_seconds())

    async def look(self) -> int:
        """Record what was evicted since the last look; return how many events. Raises Unavailable."""
        # in this order: what was handed out after the first message was looked up was not evicted before
        fill = await fill_of(self._bus, self._stream)
        reach = await reach_of(self._bus, dispatcher_of(self._stream))
        lost = 0
        jumps, self._jumps = self._jumps, []
        if fill.first > reach.delivered + 1:
            jumps.append((reach.delivered + 1, fill.first - 1, fill.first - 1 - reach.delivered))
        try:
            while jumps:
                lost += await self._record(*jumps[0])
                jumps.pop(0)
        finally:
            self._jumps = [*jumps, *self._jumps] if jumps else self._jumps
        for sequence in sorted(self._handed_back):
            if fill.first <= sequence <= reach.settled:  # another worker has settled it
                self._handed_back.discard(sequence)
            elif sequence < fill.first:
                self._handed_back.discard(sequence)
                lost += 1
                self._say(sequence, sequence, 1)
        return lost

    async def _record(self, first: int, last: int, count: int) -> int:
        """Record a gap, less what is recorded already; return the events that were new. Raises Unavailable."""
        for left in reversed(range(TRIES)):
            raw = await last_of(self._bus, EVICTIONS, evictions_subject(self._stream))
            known = evicted(raw.data) if raw is not None else None
            if known is not None and known.last >= first:
                count -= known.last - first + 1
                first = known.last + 1
            if first > last or count <= 0:
                return 0
            record = Evicted(stream=self._stream, first=first, last=last, count=count, at=datetime.now(UTC))
            try:
                await publish_evicted(
                    self._bus, record, after=raw.sequence if raw is not None else 0, timeout=STORE_WITHIN
                )
            except HoldfastError:
                if not left:
                    raise
                continue  # somebody else recorded something: read it, and see what is left
            self._say(first, last, count)
            return count
        return 0

    def _say(self, first: int, last: int, count: int) -> None:
        self._metrics.evicted(self._stream, count)
        log.error("bus.evicted", extra={"stream": self._stream, "from": first, "to": last, "events": count})
