"""Joins as a pure rule: what becomes of a window when an event comes, and when its time has passed.

Flow: dispatcher → workflow `Join` → **step** → fire, end, record. The workflow carries out what comes out of here and
decides nothing itself; `docs/joins.md` says the same for people.

A window belongs to one trigger and one key. Its first event opens it. While it is open each name counts once; the
condition is asked after every event. It fires as soon as the condition is true whatever else may come. It is ruled
out as soon as it can no longer become true; a window that is ruled out stays open, so that what belongs to it and comes
late opens no window of its own, until its end or until every name has come.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from holdfast.domain.conditions import Condition

MAX_KEPT = 1_048_576  # bytes of events that one window holds; a payload in Temporal ends at 2 MiB


class Standing(StrEnum):
    """How a window stands."""

    WAITING = "waiting"
    FIRED = "fired"  # open still only where late events are recorded
    RULED_OUT = "ruled-out"


@dataclass(frozen=True, slots=True)
class Rules:
    """How a join decides. `at_most`: the longest a sliding window may last in all."""

    condition: Condition
    names: frozenset[str]
    within: timedelta
    sliding: bool = False
    at_most: timedelta = timedelta.max
    keep_first: frozenset[str] = frozenset()
    record_late: bool = False
    budget: int = MAX_KEPT


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event under one name, seen for the first time. `at`: when it is looked at, which is what windows count.

    `received_at`: when the gateway took it in; one that was received before a window's end belongs to it even when it
    is looked at later. `closes_by`: the next moment at which the configuration ends every window.
    """

    name: str
    event: str
    size: int
    at: datetime
    received_at: datetime
    closes_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class Passed:
    """Time has passed, and nothing came."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """An open window. `opener`: the event that opened it; `kept`: one per name, in the order in which names came."""

    opener: str
    opened_at: datetime
    ends_at: datetime
    limit: datetime | None  # no sliding past it
    kept: tuple[Arrival, ...] = ()
    taken: int = 0  # events that came into it, with those not kept
    standing: Standing = Standing.WAITING

    @property
    def present(self) -> frozenset[str]:
        """The names that have come."""
        return frozenset(arrival.name for arrival in self.kept)

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return sum(arrival.size for arrival in self.kept)


@dataclass(frozen=True, slots=True)
class Fire:
    """The condition is true: run the action over what was kept."""

    window: Window


@dataclass(frozen=True, slots=True)
class RuledOut:
    """The window ended, and the condition could not become true any more: nothing is run."""

    window: Window


@dataclass(frozen=True, slots=True)
class Incomplete:
    """The window ended, and what the condition needs had not come: `at_end` says what now."""

    window: Window


@dataclass(frozen=True, slots=True)
class Superseded:
    """Another event of the same name is kept in its place."""

    arrival: Arrival


@dataclass(frozen=True, slots=True)
class Late:
    """It came after its window had fired, and late events are recorded."""

    arrival: Arrival


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The window has no room for it."""

    arrival: Arrival


Outcome = Fire | RuledOut | Incomplete | Superseded | Late | TooLarge
Step = tuple[Window | None, tuple[Outcome, ...]]


def step(rules: Rules, window: Window | None, happening: Arrival | Passed) -> Step:
    """Return the window afterwards (None: none is open) and what is to be done, in order."""
    if isinstance(happening, Passed):
        return (window, ()) if window is None or happening.at < window.ends_at else (None, _end(rules, window))
    if window is not None and window.ends_at <= min(happening.at, happening.received_at):
        after, outcomes = _take(rules, None, happening)  # it came after the end: a window of its own
        return after, (*_end(rules, window), *outcomes)
    return _take(rules, window, happening)


def _take(rules: Rules, window: Window | None, arrival: Arrival) -> Step:
    if window is not None and window.standing is Standing.FIRED:
        return window, (Late(arrival),)
    opened = window or _open(rules, arrival)
    held = {kept.name: kept for kept in opened.kept}
    rival = held.get(arrival.name)
    stays, goes = (rival, arrival) if rival and arrival.name in rules.keep_first else (arrival, rival)
    held[arrival.name] = stays
    if sum(kept.size for kept in held.values()) > rules.budget:
        return window, (TooLarge(arrival),)
    grown = replace(opened, kept=tuple(held.values()), taken=opened.taken + 1, ends_at=_ends(rules, opened, arrival))
    told: tuple[Outcome, ...] = (Superseded(goes),) if goes is not None else ()
    return _judge(rules, grown, told)


def _judge(rules: Rules, window: Window, told: tuple[Outcome, ...]) -> Step:
    certain = rules.condition.certain(window.present)
    if certain is True:
        fired = replace(window, standing=Standing.FIRED)
        return (fired if rules.record_late else None), (*told, Fire(window))
    if certain is False:
        out = replace(window, standing=Standing.RULED_OUT)
        return (None, (*told, RuledOut(out))) if window.present >= rules.names else (out, told)
    return window, told


def _end(rules: Rules, window: Window) -> tuple[Outcome, ...]:
    match window.standing:
        case Standing.FIRED:
            return ()
        case Standing.RULED_OUT:
            return (RuledOut(window),)
        case Standing.WAITING:
            return (Fire(window),) if rules.condition.holds(window.present) else (Incomplete(window),)


def _open(rules: Rules, arrival: Arrival) -> Window:
    limit = _earlier(_after(arrival.at, rules.at_most), arrival.closes_by)
    return Window(arrival.event, arrival.at, _earlier(_after(arrival.at, rules.within), limit) or arrival.at, limit)


def _ends(rules: Rules, window: Window, arrival: Arrival) -> datetime:
    if not rules.sliding:
        return window.ends_at
    slid = _earlier(_after(arrival.at, rules.within), window.limit) or window.ends_at
    return max(window.ends_at, slid)


def _after(at: datetime, wait: timedelta) -> datetime | None:
    try:
        return at + wait
    except OverflowError:
        return None


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)


def missing(rules: Rules, present: frozenset[str]) -> tuple[str, ...]:
    """Return the names that have not come and that it is not good to see come: for people."""
    return tuple(sorted(rules.names - present - rules.condition.negated))


def describe(names: Mapping[str, bool]) -> str:
    """Say for people what came: `paid came, shipped did not`."""
    came = [name for name, here in names.items() if here]
    absent = [name for name, here in names.items() if not here]
    parts = [f"{', '.join(came)} came"] if came else []
    parts += [f"{', '.join(absent)} did not"] if absent else []
    return ", ".join(parts)
