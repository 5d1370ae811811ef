"""Events of the past, by the time they were stored: where a moment lies in the stream, and what lies between two.

Flow: replay → **seek** → **events_between**, stream by stream. Nothing is consumed; the oldest may be purged already.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.bus.connect import Bus
from holdfast.bus.errors import classify
from holdfast.bus.lookup import Raw, read
from holdfast.bus.streams import EVENTS, source_token, subject_prefix
from holdfast.domain.events import Envelope, decode_envelope
from holdfast.errors import RejectedInput

ALL = ">"
LONGEST = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class PastEvent:
    """One stored event; `envelope` is None where the bytes are no event."""

    sequence: int
    envelope: Envelope | None
    stored_at: datetime
    stream: str = EVENTS


async def seek(bus: Bus, stream: str, moment: datetime) -> int:
    """Return the sequence of the first event stored at or after `moment`; one past the last where there is none."""
    try:
        state = (await bus.jetstream.stream_info(stream)).state
    except Exception as error:
        raise classify(error) from error
    low, high = max(state.first_seq, 1), state.last_seq + 1
    while low < high:
        middle = (low + high) // 2
        found = await _next(bus, stream, middle)
        if found is None or found.sequence >= high or found.stored_at >= moment:
            high = middle
        else:
            low = found.sequence + 1
    return low


async def oldest(bus: Bus, stream: str) -> datetime | None:
    """Return when the oldest event that is still in a stream was stored; None where there is none."""
    found = await _next(bus, stream, 1)
    return None if found is None else found.stored_at


async def events_between(bus: Bus, source: str, stream: str, *, after: int, end: int) -> AsyncIterator[PastEvent]:
    """Yield a source's events past the sequence `after`, up to and with `end`, the oldest first. Raises Unavailable."""
    subject = f"{subject_prefix(stream)}.{source_token(source)}.*"
    async for raw in read(bus, stream, subject, after=after, within=LONGEST):
        if raw.sequence > end:
            return
        try:
            envelope = decode_envelope(raw.data)
        except RejectedInput:
            envelope = None
        yield PastEvent(raw.sequence, envelope, raw.stored_at, stream)


async def _next(bus: Bus, stream: str, sequence: int) -> Raw | None:
    async for raw in read(bus, stream, ALL, after=sequence - 1):
        return raw
    return None
