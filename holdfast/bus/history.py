"""Events of the past, by the time they were stored: where a moment lies in the stream, and what lies between two.

Flow: replay → **seek** → **events_between**. Nothing is consumed; the janitor may have purged the oldest.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.bus.connect import Bus
from holdfast.bus.errors import classify
from holdfast.bus.lookup import Raw, read
from holdfast.bus.streams import EVENTS, source_token
from holdfast.domain.events import Envelope, decode_envelope
from holdfast.errors import RejectedInput

ALL = "events.*.*"
LONGEST = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class PastEvent:
    """One stored event; `envelope` is None where the bytes are no event."""

    sequence: int
    envelope: Envelope | None
    stored_at: datetime


async def seek(bus: Bus, moment: datetime) -> int:
    """Return the sequence of the first event stored at or after `moment`; one past the last where there is none."""
    try:
        state = (await bus.jetstream.stream_info(EVENTS)).state
    except Exception as error:
        raise classify(error) from error
    low, high = max(state.first_seq, 1), state.last_seq + 1
    while low < high:
        middle = (low + high) // 2
        found = await _next(bus, middle)
        if found is None or found.sequence >= high or found.stored_at >= moment:
            high = middle
        else:
            low = found.sequence + 1
    return low


async def oldest(bus: Bus) -> datetime | None:
    """Return when the oldest event that is still there was stored; None where there is none."""
    found = await _next(bus, 1)
    return None if found is None else found.stored_at


async def events_between(bus: Bus, source: str, *, after: int, end: int) -> AsyncIterator[PastEvent]:
    """Yield a source's events past the sequence `after`, up to and with `end`, the oldest first. Raises Unavailable."""
    async for raw in read(bus, EVENTS, f"events.{source_token(source)}.*", after=after, within=LONGEST):
        if raw.sequence > end:
            return
        try:
            envelope = decode_envelope(raw.data)
        except RejectedInput:
            envelope = None
        yield PastEvent(raw.sequence, envelope, raw.stored_at)


async def _next(bus: Bus, sequence: int) -> Raw | None:
    async for raw in read(bus, EVENTS, ALL, after=sequence - 1):
        return raw
    return None
