"""Which ticks of a schedule were due and never ran: what should have been, compared with what Temporal started.

Flow: description + exact times → **look** → MissedTick. A pause and a change of the schedule are nobody's miss: where
its token shows that somebody touched it since the last look, only as many ticks are named as Temporal itself counted.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from temporalio.api.schedule.v1 import ScheduleSpec as RawSpec
from temporalio.client import Client, ScheduleActionStartWorkflow, ScheduleDescription, ScheduleSpec

from holdfast.contracts import names
from holdfast.contracts.schedule_watch import Watched
from holdfast.contracts.scheduled import ScheduledInput
from holdfast.domain.occurrences import SECOND
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.temporal.connect import bounded_call, workflow_call
from holdfast.temporal.schedule_calls import describe, is_ticking
from holdfast.temporal.schedule_facts import read_tick
from holdfast.temporal.specs import from_temporal

GRACE = timedelta(seconds=5)  # a tick that is due starts within milliseconds; a busy server is slower
MAX_TICKS = 500  # read per schedule and look; the next look goes on from there

Code = Literal[ErrorCode.SCHEDULE_MISSED, ErrorCode.SCHEDULE_SKIPPED, ErrorCode.SCHEDULE_LOST]


@dataclass(frozen=True, slots=True)
class MissedTick:
    """One tick that never ran: when it was due, what it would have published, why, and the run that never was."""

    due: datetime
    tick: ScheduledInput
    code: Code
    workflow_id: str


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at one schedule found. `unclear`: ticks that Temporal counts as missed and that have no name."""

    watched: Watched
    missed: tuple[MissedTick, ...] = ()
    unclear: int = 0
    again_soon: bool = False


async def ticking_schedules(client: Client, known: Iterable[str]) -> tuple[str, ...]:
    """Return the schedules to look at: those listed, and those known before. Raises Unavailable."""

    async def collect() -> set[str]:
        return {
            listed.id
            async for listed in await client.list_schedules()
            if listed.schedule is None or getattr(listed.schedule.action, "workflow", "") == names.SCHEDULED_EVENT
        }

    return tuple(sorted({*await bounded_call(collect()), *known}))


async def look(client: Client, name: str, seen: Watched | None, *, now: datetime, since: datetime) -> Look | None:
    """Look at one schedule; None where it is gone, or not one of those that tick. Raises Unavailable.

    A schedule seen for the first time is followed from its creation on, or, where it is older than the watch
    (`since`), from now on.
    """
    found = await describe(client, name)
    if found is None or not is_ticking(found):
        return None
    if seen is None or seen.created_at != found.info.created_at:
        seen = _first(found, now, since)
    until = _settled(found, now)
    if until <= seen.until or found.raw_description.info.buffer_size > 0:  # what is buffered still runs
        return Look(seen)
    due = _due(found, seen, until)
    if len(due) > MAX_TICKS:
        due = due[:MAX_TICKS]
        until = due[-1]
    absent = await _absent(client, found, due)
    counted = _counted(found, seen)
    named = _named(found, seen, absent, sum(counted))
    if named and not seen.suspected:
        return Look(seen.model_copy(update={"suspected": True}), again_soon=True)
    tick = await _tick(client, found, name)
    missed = tuple(MissedTick(at, tick, _code(number, counted), _run_id(found, at)) for number, at in enumerate(named))
    partly = len(due) == MAX_TICKS
    unclear = 0 if partly else max(0, counted[0] - len(named))
    return Look(_watched(found, until, seen if partly else None), missed, unclear, again_soon=partly)


def _first(found: ScheduleDescription, now: datetime, since: datetime) -> Watched:
    created = found.info.created_at
    if created >= since:
        spec = _packed(found)
        return Watched(created_at=created, until=created, token=_FRESH, spec=spec)
    return _watched(found, now, None)


_FRESH = base64.b64encode((1).to_bytes(8, "big")).decode()  # the token of a schedule that nobody has touched yet


def _watched(found: ScheduleDescription, until: datetime, counters: Watched | None) -> Watched:
    raw = found.raw_description
    return Watched(
        created_at=found.info.created_at,
        until=until,
        token=base64.b64encode(raw.conflict_token).decode(),
        spec=_packed(found),
        missed=counters.missed if counters else raw.info.missed_catchup_window,
        skipped=counters.skipped if counters else raw.info.overlap_skipped,
        dropped=counters.dropped if counters else raw.info.buffer_dropped,
        suspected=counters is not None,
    )


def _settled(found: ScheduleDescription, now: datetime) -> datetime:
    """Return up to when Temporal has surely done what it will do: not past the next action it has in mind."""
    until = now - GRACE - (found.schedule.spec.jitter or timedelta(0))
    if found.info.next_action_times:
        until = min(until, found.info.next_action_times[0] - SECOND)
    return until.replace(microsecond=0)


def _due(found: ScheduleDescription, seen: Watched, until: datetime) -> tuple[datetime, ...]:
    """Return when it was to tick since the last look, by the spec of then and the spec of now."""
    limit = MAX_TICKS + 1
    state, now_spec = found.schedule.state, found.schedule.spec
    if state.limited_actions and state.remaining_actions == 0:  # what is not left is not due
        until = min(until, max((one.scheduled_at for one in found.info.recent_actions), default=seen.until))
    changed = found.info.last_updated_at
    if seen.spec == _packed(found) or changed is None or changed <= seen.until:
        return from_temporal(now_spec).between(seen.until, until, limit)
    before = from_temporal(_unpacked(seen.spec)).between(seen.until, min(changed, until), limit)
    return (*before, *from_temporal(now_spec).between(changed, until, limit))


async def _absent(client: Client, found: ScheduleDescription, due: Sequence[datetime]) -> tuple[datetime, ...]:
    ran = {one.scheduled_at.astimezone(UTC) for one in found.info.recent_actions}
    return tuple([at for at in due if at not in ran and not await _exists(client, _run_id(found, at))])


async def _exists(client: Client, workflow_id: str) -> bool:
    try:
        await workflow_call(client.get_workflow_handle(workflow_id).describe(), workflow_id)
    except RejectedInput as error:
        if error.code == ErrorCode.NOT_FOUND:
            return False
        raise
    return True


def _named(
    found: ScheduleDescription, seen: Watched, absent: tuple[datetime, ...], counted: int
) -> tuple[datetime, ...]:
    """Return those of the absent ticks that somebody must hear of."""
    untouched = base64.b64encode(found.raw_description.conflict_token).decode() == seen.token
    paused = found.schedule.state.paused
    if untouched:
        return () if paused else absent
    if counted == 0:
        return ()
    # somebody paused, resumed or updated it meanwhile: Temporal counted what it missed, a pause is not among it
    return absent[:counted] if paused else absent[-counted:]


def _counted(found: ScheduleDescription, seen: Watched) -> tuple[int, int]:
    """Return how many ticks Temporal counted since: past the catch-up window, and given up for overlap or buffer."""
    info = found.raw_description.info
    given_up = info.overlap_skipped - seen.skipped + info.buffer_dropped - seen.dropped
    return max(0, info.missed_catchup_window - seen.missed), max(0, given_up)


def _code(number: int, counted: tuple[int, int]) -> Code:
    """Return why: an outage takes the oldest ticks, an overlap what follows."""
    if number < counted[0]:
        return ErrorCode.SCHEDULE_MISSED
    return ErrorCode.SCHEDULE_SKIPPED if number < sum(counted) else ErrorCode.SCHEDULE_LOST


async def _tick(client: Client, found: ScheduleDescription, name: str) -> ScheduledInput:
    action = found.schedule.action
    read = await read_tick(client, action) if isinstance(action, ScheduleActionStartWorkflow) else None
    tick = read or ScheduledInput()
    return tick if tick.schedule else tick.model_copy(update={"schedule": name[:256]})


def _run_id(found: ScheduleDescription, at: datetime) -> str:
    """Return the workflow id that Temporal gives the run of this tick."""
    base = getattr(found.schedule.action, "id", "")
    return f"{base}-{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _packed(found: ScheduleDescription) -> str:
    return base64.b64encode(found.raw_description.schedule.spec.SerializeToString(deterministic=True)).decode()


def _unpacked(text: str) -> ScheduleSpec:
    return ScheduleSpec._from_proto(RawSpec.FromString(base64.b64decode(text)))  # noqa: SLF001 - as `describe` does
