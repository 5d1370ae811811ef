"""Space in the streams of events: what is settled and older than the archive goes, and sooner when the stream fills up.

Nothing past the dispatcher's ack floor is ever purged: an unsettled event keeps its place, and a full stream says 503.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from holdfast.bus.connect import Bus
from holdfast.bus.lookup import settled_up_to
from holdfast.bus.retention import StreamFill, fill_of, first_after, purge_up_to
from holdfast.bus.streams import EVENTS
from holdfast.domain.stream_policy import EventsStreamConfig
from holdfast.errors import HoldfastError

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=30)
HIGH_WATER = 0.8  # of max_bytes: settled events go early
LOW_WATER = 0.6  # down to which they go


@dataclass(frozen=True, slots=True)
class Janitor:
    """Purges what is settled."""

    bus: Bus
    policy: Callable[[], EventsStreamConfig | None]  # in force now; None: nothing is purged
    stream: str = EVENTS

    async def run(self) -> None:
        """Sweep for ever; a sweep that fails is repeated with the next."""
        while True:
            try:
                await self.sweep(datetime.now(UTC))
            except HoldfastError as error:
                log.info("janitor.failed", extra={"code": error.code, "reason": error.message})
            await asyncio.sleep(EVERY.total_seconds())

    async def sweep(self, now: datetime) -> int:
        """Purge once and return the first sequence that stays. Raises Unavailable."""
        policy = self.policy()
        fill = await fill_of(self.bus, self.stream)
        if policy is None or policy.keeps != "limits":  # settling itself removes the events
            return fill.first
        settled = await settled_up_to(self.bus, self.stream)
        expired = await first_after(self.bus, self.stream, now - policy.archive_for, fill)
        keep_from = min(max(expired, crowded_out(fill)), settled + 1)
        if keep_from > fill.first:
            await purge_up_to(self.bus, self.stream, keep_from)
            log.info(
                "janitor.purged",
                extra={"from": fill.first, "to": keep_from - 1, "settled": settled, "stream": self.stream},
            )
        return max(keep_from, fill.first)


def crowded_out(fill: StreamFill) -> int:
    """Return the first sequence to keep for the stream to fall to LOW_WATER, by mean size; 0 where it is calm."""
    if fill.max_bytes <= 0 or fill.messages == 0 or fill.bytes < fill.max_bytes * HIGH_WATER:
        return 0
    surplus = (fill.bytes - fill.max_bytes * LOW_WATER) / fill.bytes
    return fill.first + int((fill.last - fill.first + 1) * surplus)
