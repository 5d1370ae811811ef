"""Events that their stream's policy has removed: named by what they left, else counted.

A stream with retention interest or workqueue deletes an event when it is settled, one with discard old when it is
full. Each delivery remembers its event's place, as do dead letters and unmatched records.
Flow: range → **gone** → count.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from activities.custody_range import Period, StreamRange
from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.lookup import find_dead_letters, find_evictions, read, unwanted
from holdfast.bus.retention import fill_of, first_after
from holdfast.bus.streams import DEAD_LETTERS, UNMATCHED, Unmatched
from holdfast.contracts.custody import MOST_NAMED, EventRef, EvictedRange, StreamCount
from holdfast.temporal.connect import TemporalClient
from holdfast.temporal.event_runs import placed

READ_WITHIN = timedelta(hours=1)
LAG = timedelta(seconds=2)  # of visibility: what was deleted a moment ago is not listed yet
CLOCKS = timedelta(minutes=2)  # between the server of the bus and that of Temporal


Evictions = Sequence[EvictedRange]


@dataclass(slots=True)
class Places:
    """What is known of the sequences of one stream: a byte each, whatever the events are."""

    range: StreamRange
    known: bytearray = field(init=False)
    low: int | None = None
    high: int = 0
    removed: int = 0
    evicted: int = 0
    evictions: list[EvictedRange] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.known = bytearray(max(0, self.range.last - self.range.first + 1) if self.range.exact else 0)

    def mark(self, sequence: int) -> bool:
        """Mark one sequence as accounted for; return whether it was meant, and not marked before."""
        if self.range.exact and not self.range.first <= sequence <= self.range.last:
            return False
        offset = sequence - (self.range.first if self.range.exact else 1)
        if offset < 0:
            return False
        if offset >= len(self.known):
            self.known.extend(bytes(offset + 1 - len(self.known)))
        if self.known[offset]:
            return False
        self.known[offset] = 1
        self.low = sequence if self.low is None else min(self.low, sequence)
        self.high = max(self.high, sequence)
        return True

    def evict(self, evictions: Evictions) -> None:
        """Enter what was evicted, as far as it is meant and nothing else is known of it: after all that has a name."""
        for one in evictions:
            first, last = one.first, one.last
            if self.range.exact:
                first, last = max(first, self.range.first), min(last, self.range.last)
            marked = [sequence for sequence in range(first, last + 1) if self.mark(sequence)]
            count = min(one.count, len(marked))
            self.evicted += count
            if count and len(self.evictions) < MOST_NAMED:
                self.evictions.append(EvictedRange(first=marked[0], last=marked[-1], count=count))

    @property
    def unnamed(self) -> int:
        """How many sequences of the range nothing is known of."""
        if not self.range.forgets:
            return 0
        if self.range.exact:
            return self.known.count(0)
        return 0 if self.low is None else self.known.count(0, self.low - 1)

    def line(self, lowest: int | None) -> StreamCount:
        """Return what the report says of the stream; the next one begins at `lowest` where that is given."""
        meant = self.range
        first = meant.first if meant.exact else min(meant.first, self.low or meant.first)
        return StreamCount(
            stream=meant.stream,
            first_sequence=first,
            last_sequence=meant.last if meant.exact else max(meant.last, self.high),
            resume_at=meant.last + 1 if lowest is None else lowest,
            purged=meant.purged,
            removed=self.removed,
            unnamed=self.unnamed,
            evicted=self.evicted,
            evictions=tuple(self.evictions),
        )


@dataclass(frozen=True, slots=True)
class Gone:
    """Names what a report's streams have removed."""

    client: TemporalClient
    bus: Bus
    alive: Callable[[], None]

    async def events(self, period: Period, places: dict[str, Places]) -> AsyncIterator[EventRef]:
        """Yield each event that left a trace and lies no more in its stream, once. Raises Unavailable."""
        forgetful = {name: each for name, each in places.items() if each.range.forgets}
        for again in (False, True):
            if not any(each.unnamed or not each.range.exact for each in forgetful.values()):
                return
            if again:
                await asyncio.sleep(LAG.total_seconds())
            async for ref in self._traces(period):
                each = forgetful.get(ref.stream)
                if each is not None and each.mark(ref.sequence):
                    each.removed += 1
                    yield ref

    async def evicted(self, period: Period) -> Mapping[str, Evictions]:
        """Return what was evicted in the period, by stream, recorded by a worker yet or not. Raises Unavailable."""
        found: dict[str, list[EvictedRange]] = {}
        for each in period.ranges:
            if not each.forgets:
                continue
            those = found[each.stream] = []
            async for record in find_evictions(self.bus, each.stream):
                timely = period.began is None or record.at >= period.began
                if timely and (period.until is None or record.at < period.until):
                    those.append(EvictedRange(first=record.first, last=record.last, count=record.count))
            if each.unseen is not None:
                first, last = each.unseen
                those.append(EvictedRange(first=first, last=last, count=last - first + 1))
        return found

    async def _traces(self, period: Period) -> AsyncIterator[EventRef]:
        began = period.began
        if began is not None and all(each.exact for each in period.ranges):  # else time alone bounds what is meant
            began -= CLOCKS
        async for run in placed(self.client, began, period.until):
            self.alive()
            yield EventRef(source=run.source, event_id=run.event_id, sequence=run.sequence, stream=run.stream)
        after = 0
        if began is not None:
            after = await first_after(self.bus, DEAD_LETTERS, began, await fill_of(self.bus, DEAD_LETTERS)) - 1
        async for letter in find_dead_letters(self.bus, after=after, within=READ_WITHIN):
            self.alive()
            record = letter.record
            if record.stream and record.sequence:
                name = record.event_id or ids.stray_id(record.stream, record.sequence)
                yield EventRef(
                    source=record.subject_source, event_id=name, sequence=record.sequence, stream=record.stream
                )
        async for one in unmatched_since(self.bus, began):
            self.alive()
            yield EventRef(source=one.source, event_id=one.event_id, sequence=one.sequence, stream=one.stream)


async def unmatched_since(bus: Bus, moment: datetime | None) -> AsyncIterator[Unmatched]:
    """Iterate over the records of unwanted events, stored since `moment`. Raises Unavailable."""
    after = 0
    if moment is not None:
        after = await first_after(bus, UNMATCHED, moment, await fill_of(bus, UNMATCHED)) - 1
    async for raw in read(bus, UNMATCHED, ">", after=after, within=READ_WITHIN):
        if (record := unwanted(raw.data)) is not None:
            yield record


def within(evictions: Sequence[EvictedRange], sequence: int) -> bool:
    """Whether a sequence is in one of these ranges."""
    return any(one.first <= sequence <= one.last for one in evictions)
