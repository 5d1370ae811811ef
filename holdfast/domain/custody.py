"""What has become of one event, worked out from what is known of it: the law that a custody report counts by.

An event is delivered when every delivery that was begun for it ended well (by a redrive, perhaps); dead-lettered when
one was given up and stands in the dead letters; in flight while one runs; unmatched when that is recorded. An event
that is none of these is unaccounted.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Fate(StrEnum):
    """Where an event is; it is in exactly one."""

    DELIVERED = "delivered"
    DEAD_LETTERED = "dead-lettered"
    UNMATCHED = "unmatched"
    IN_FLIGHT = "in flight"
    UNACCOUNTED = "unaccounted"
    EVICTED = "evicted"  # by the policy of its stream, before anybody had it


@dataclass(frozen=True, slots=True)
class Trace:
    """One thing that is known of an event: how one delivery, or one redrive of it, or a dead letter of it stands.

    `delivery` is the id of the first delivery, for a redrive and for a case too.
    """

    delivery: str
    kind: Literal["delivered", "running", "given up", "dead letter", "ended"]
    how: str = ""  # of one that `ended` from outside: how


@dataclass(frozen=True, slots=True)
class Judged:
    """An event's fate, and for one that is unaccounted why."""

    fate: Fate
    detail: str = ""


def judge(traces: Iterable[Trace], *, unmatched: bool, settled: bool) -> Judged:
    """Judge one event. `settled`: the dispatcher has acknowledged it."""
    by_delivery: dict[str, list[Trace]] = defaultdict(list)
    for trace in traces:
        by_delivery[trace.delivery].append(trace)
    if not by_delivery:
        if unmatched:
            return Judged(Fate.UNMATCHED)
        if not settled:
            return Judged(Fate.IN_FLIGHT)
        return Judged(
            Fate.UNACCOUNTED,
            "settled on the bus, and there is no delivery, no dead letter and no record that nobody wanted it",
        )
    judged = [_delivery(delivery, known) for delivery, known in sorted(by_delivery.items())]
    for fate in (Fate.UNACCOUNTED, Fate.IN_FLIGHT, Fate.DEAD_LETTERED):
        found = [one for one in judged if one.fate is fate]
        if found:
            return found[0]
    return Judged(Fate.DELIVERED)


def _delivery(delivery: str, known: Sequence[Trace]) -> Judged:
    kinds = {trace.kind for trace in known}
    if "delivered" in kinds:
        return Judged(Fate.DELIVERED)
    if "running" in kinds:
        return Judged(Fate.IN_FLIGHT)
    if kinds & {"dead letter", "given up"}:
        return Judged(Fate.DEAD_LETTERED)
    how = ", ".join(trace.how for trace in known if trace.how) or "ended"
    return Judged(Fate.UNACCOUNTED, f"{delivery} was {how} and has no dead letter; the sweeper writes one")
