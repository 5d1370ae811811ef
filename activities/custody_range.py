"""Which events of one stream a custody report is about: a range of sequences, and how far the last report came.

Flow: Custody → **range_of** → read what lies there, name what lies there no more (`custody_gone.py`) → count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.bus.connect import Bus
from holdfast.bus.lookup import handed_out_up_to, settled_up_to
from holdfast.bus.retention import fill_of, first_after
from holdfast.bus.streams import EVENTS
from holdfast.contracts.custody import CustodyInput, CustodyReport, EventRef


@dataclass(frozen=True, slots=True)
class StreamRange:
    """Sequences `first` to `last` of one stream. `first_left` is the first of them that may still lie there.

    `exact`: every sequence between is meant, also where nothing lies there any more; without, time bounds the range.
    """

    stream: str
    first: int
    first_left: int
    last: int
    settled: int  # the dispatcher is done with everything up to here
    forgets: bool  # its policy removes events, not the janitor
    exact: bool
    purged: int = 0
    unseen: tuple[int, int] | None = None  # evicted for certain: no longer there, and never handed out

    @property
    def empty(self) -> bool:
        """Whether nothing of it can lie there."""
        return self.last < self.first_left


@dataclass(frozen=True, slots=True)
class Period:
    """What one report is about. What was removed meanwhile left its traces after `began`."""

    since: datetime | None
    began: datetime | None
    until: datetime | None
    ranges: tuple[StreamRange, ...]
    carried: tuple[EventRef, ...]


async def range_of(bus: Bus, stream: str, given: CustodyInput, before: CustodyReport | None) -> StreamRange:
    """Return the range of one stream, from where `before` ended unless `given` says from when. Raises Unavailable."""
    fill, settled = await fill_of(bus, stream), await settled_up_to(bus, stream)
    last = fill.last
    if given.until is not None:
        last = await first_after(bus, stream, given.until, fill) - 1
    left, exact = max(fill.first, 1), given.since is None and given.until is None
    if given.since is not None:
        first = left = await first_after(bus, stream, given.since, fill)
    elif (first := 1 if before is None else resumed(before).get(stream, 1)) > fill.last + 1:
        first = left  # the stream was made anew: its numbers begin again
    else:
        left = max(first, left)
    if not fill.forgets:
        purged = left - first
        return StreamRange(stream, left, left, last, settled, forgets=False, exact=exact, purged=purged)
    handed_out = await handed_out_up_to(bus, stream)
    unseen = (handed_out + 1, fill.first - 1) if 0 < handed_out + 1 < fill.first and exact else None
    return StreamRange(stream, first, left, last, settled, forgets=True, exact=exact, unseen=unseen)


def resumed(before: CustodyReport) -> Mapping[str, int]:
    """Return where a report said that the next one begins, by stream."""
    return {EVENTS: before.resume_at} | {one.stream: one.resume_at for one in before.streams}


def began_after(before: CustodyReport, ranges: Sequence[StreamRange]) -> datetime | None:
    """Return from when on traces of the ranges can have been left; None: from the first."""
    known = resumed(before)
    if any(each.forgets and each.stream not in known for each in ranges):
        return None
    crowded = any(line.resume_at <= line.last_sequence for line in before.streams)
    return before.since if crowded else before.until
