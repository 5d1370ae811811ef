"""The arithmetic of a lane: rate, concurrency and circuit breaker of one trigger or one target, shared by all workers.

Pure: a state, a question and the time give the next state and an answer. The state lies on the bus and is compared and
set (`holdfast/bus/lanes.py`), so what is granted here is granted once. The rate is the generic cell rate algorithm:
`tat` is when the lane would be empty again; a delivery is told the moment of its own slot, and is never sent before it.
Who would have to wait longer than his patience is put into the `line` and comes back then: he holds nothing meanwhile.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from holdfast.domain.pressure import DeliveryLimits

SMALLEST_STEP = 0.02  # seconds between two in the line where nothing else says how fast it moves
MEAN_WEIGHT = 0.2  # of the newest time in the lane, in the moving mean
LONGEST_STEP = 60.0

Why = Literal["rate", "concurrency", "breaker"]


class LaneState(BaseModel):
    """State of one lane; times are seconds since 1970."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    tat: float = 0.0  # when the bucket is full again
    line: float = 0.0  # when the last of those who wait outside comes back
    places: dict[str, float] = {}  # who is inside, and until when he may be
    mean: float = 0.1  # how long one is inside
    failures: tuple[float, ...] = ()
    opened: float = 0.0  # the breaker is open, or half open, where it is not 0
    open_until: float = 0.0
    probe_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt asks to begin."""

    who: str
    stays: float  # longest time inside, seconds
    patience: float  # how long it would wait where it is, seconds
    returning: bool = False  # it has stood in the line
    renewal: bool = False  # it is inside and stays longer
    ahead: bool = False  # it only asks whether to line up: nothing is granted


@dataclass(frozen=True, slots=True)
class Granted:
    """It may send at `at`, not before; `probe`: it is the one that is tried while the breaker is half open."""

    at: float
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Full:
    """No place is free; one may be soon."""


@dataclass(frozen=True, slots=True)
class Later:
    """It must come back after `wait` seconds."""

    wait: float
    why: Why


Answer = Granted | Full | Later


@dataclass(frozen=True, slots=True)
class Exit:
    """One attempt has ended. `failed` None: it was never made."""

    who: str
    failed: bool | None
    took: float
    probe: bool = False


def enter(state: LaneState, rule: DeliveryLimits, entry: Entry, now: float) -> tuple[LaneState, Answer]:
    """Answer one who asks to begin."""
    if entry.ahead:
        return _look_ahead(state, rule, entry, now)
    if entry.renewal:
        return _renew(state, rule, entry, now)
    return _begin(state, rule, entry, now)


def _begin(state: LaneState, rule: DeliveryLimits, entry: Entry, now: float) -> tuple[LaneState, Answer]:
    places = {who: until for who, until in state.places.items() if until > now}
    state = state.model_copy(update={"places": places}) if len(places) != len(state.places) else state
    probe = False
    if rule.breaker is not None and state.opened:
        if now < state.open_until or now < state.probe_until:
            return _line_up(state, rule, max(state.open_until, state.probe_until), now, "breaker")
        probe = True
    if rule.concurrency is not None and entry.who not in places and len(places) >= rule.concurrency:
        return state, Full()
    slot = now
    changes: dict[str, object] = {}
    if rule.rate_limit is not None:
        step = 1 / rule.rate_limit.per_second
        slot = max(now, state.tat - (rule.burst - 1) * step)
        others_wait = not entry.returning and state.line > now + entry.patience
        if not probe and entry.returning and slot - now > entry.patience:
            return state, Later(slot - now - entry.patience / 2, "rate")  # it has stood in the line: not to its end
        if not probe and (slot - now > entry.patience or others_wait):
            return _line_up(state, rule, slot, now, "rate")
        changes["tat"] = max(now, state.tat) + step
    if rule.concurrency is not None:
        changes["places"] = places | {entry.who: slot + entry.stays}
    if probe:
        changes["probe_until"] = slot + entry.stays
    return state.model_copy(update=changes), Granted(slot, probe)


def line_up(state: LaneState, rule: DeliveryLimits, entry: Entry, now: float) -> tuple[LaneState, Later]:
    """Send away one who has found the lane full for as long as he had patience."""
    if entry.returning:
        return state, Later(min(max(state.mean, entry.patience / 2), LONGEST_STEP), "concurrency")
    return _line_up(state, rule, now, now, "concurrency")


def leave(state: LaneState, rule: DeliveryLimits, done: Exit, now: float) -> LaneState:
    """Give back what one had, and learn how it went."""
    changes: dict[str, object] = {}
    if done.who in state.places:
        changes["places"] = {who: until for who, until in state.places.items() if who != done.who}
        if done.failed is not None:
            changes["mean"] = state.mean + MEAN_WEIGHT * (done.took - state.mean)
    breaker = rule.breaker
    if breaker is None:
        return state.model_copy(update=changes)
    if done.probe:
        changes["probe_until"] = 0.0
        if done.failed is False:
            changes |= {"opened": 0.0, "open_until": 0.0, "failures": ()}
    if done.failed:
        since = now - breaker.within.total_seconds()
        failures = (*(at for at in state.failures if at > since), now)[-breaker.failures :]
        changes["failures"] = failures
        if done.probe or (not state.opened and len(failures) >= breaker.failures):
            changes |= {"opened": state.opened or now, "open_until": now + breaker.open_for.total_seconds()}
    return state.model_copy(update=changes)


def _renew(state: LaneState, rule: DeliveryLimits, entry: Entry, now: float) -> tuple[LaneState, Answer]:
    places = {who: until for who, until in state.places.items() if until > now}
    if rule.concurrency is not None:
        places[entry.who] = now + entry.stays
    return state.model_copy(update={"places": places}), Granted(now)


def _look_ahead(state: LaneState, rule: DeliveryLimits, entry: Entry, now: float) -> tuple[LaneState, Answer]:
    """Line up at once where there is a line, or would be; else it is to come and ask."""
    slot = now if rule.rate_limit is None else max(now, state.tat - (rule.burst - 1) / rule.rate_limit.per_second)
    if max(slot, state.line) > now + entry.patience:
        return _line_up(state, rule, slot, now, "rate")
    return state, Granted(now)


def _line_up(state: LaneState, rule: DeliveryLimits, first: float, now: float, why: Why) -> tuple[LaneState, Later]:
    steps = [SMALLEST_STEP]
    if rule.rate_limit is not None:
        steps.append(1 / rule.rate_limit.per_second)
    if rule.concurrency is not None:
        steps.append(min(state.mean / rule.concurrency, LONGEST_STEP))
    line = max(state.line, first, now) + max(steps)
    return state.model_copy(update={"line": line}), Later(line - now, why)
