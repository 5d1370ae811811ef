"""Schedules of holdfast.yaml as Temporal Schedules: what would change (`plan`), and changing it (`apply`).

Only schedules whose memo says that Holdfast owns them are touched. A pause made by hand stays, and so does what is left
of limited runs. What would change is found by comparing the file with what Temporal has, so a change by hand shows too.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice

from temporalio.client import Client, ScheduleAlreadyRunningError, ScheduleDescription

from holdfast.contracts import names
from holdfast.domain.occurrences import Oddity
from holdfast.domain.schedules import ScheduleConfig
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput
from holdfast.temporal.connect import bounded_call
from holdfast.temporal.schedule_calls import change, describe
from holdfast.temporal.schedule_facts import Difference, desired, differences, renew

log = logging.getLogger(__name__)

OWNER = "holdfast"  # value of the memo MEMO_OWNER
TRIES = 4
FIRST_WAIT = timedelta(milliseconds=500)
SHOWN_RUNS = 10
ODDITIES_WITHIN = timedelta(days=366)


class Change(StrEnum):
    """What applying does to one schedule."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    KEEP = "unchanged"
    FOREIGN = "foreign"  # somebody else's, of the same name: left alone, and an error
    ADOPT = "adopt"  # somebody else's, taken over because that was asked for
    ORPHAN = "orphan"  # ours, no longer in the file: deleted with `prune`
    UNKNOWN = "unknown"  # Temporal was not asked


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """One schedule. `paused` and `note` are as they are now, `next_runs` as they will be, in UTC, at most SHOWN_RUNS.

    `oddities` are local times within a year that daylight saving skips or doubles.
    """

    name: str
    change: Change
    reason: str = ""
    paused: bool = False
    note: str = ""
    timezone: str = "UTC"
    next_runs: tuple[datetime, ...] = ()
    differences: tuple[Difference, ...] = ()
    oddities: tuple[Oddity, ...] = ()


def forecast(name: str, config: ScheduleConfig, now: datetime, *, left: int | None = None) -> PlanEntry:
    """Return the next runs of a schedule of the file, without asking Temporal."""
    limit = SHOWN_RUNS if left is None else min(SHOWN_RUNS, left)
    times = config.occurrences
    return PlanEntry(
        name,
        Change.UNKNOWN,
        "Temporal was not asked",
        paused=config.paused,
        timezone=config.timezone,
        next_runs=tuple(islice(times.after(now), limit)),
        oddities=times.oddities(now, now + ODDITIES_WITHIN),
    )


async def plan(
    client: Client, wanted: Mapping[str, ScheduleConfig], *, prune: bool = False, adopt: bool = False
) -> tuple[PlanEntry, ...]:
    """Return what `apply` would do, by name. Raises Unavailable."""
    entries = [await _planned(client, name, config, adopt=adopt) for name, config in sorted(wanted.items())]
    for name in sorted(set(await _owned(client)) - set(wanted)):
        described = await describe(client, name)
        if described is not None:
            entries.append(_leaving(name, described, Change.DELETE if prune else Change.ORPHAN))
    return tuple(entries)


async def apply(
    client: Client, wanted: Mapping[str, ScheduleConfig], *, prune: bool = False, adopt: bool = False
) -> tuple[PlanEntry, ...]:
    """Make Temporal's schedules those of the file, and return what was done, with the next runs.

    Raises Unavailable after a few tries; RejectedInput `config.invalid` where Temporal refuses a schedule. Applying
    again does the rest.
    """
    done = []
    for entry in await plan(client, wanted, prune=prune, adopt=adopt):
        await _patiently(client, entry, wanted)
        done.append(entry)
        if entry.change not in {Change.KEEP, Change.ORPHAN}:
            log.info("schedules.applied", extra={"schedule": entry.name, "change": entry.change})
    return tuple(done)


async def _patiently(client: Client, entry: PlanEntry, wanted: Mapping[str, ScheduleConfig]) -> None:
    """Carry one entry out, and try again while Temporal is away."""
    wait = FIRST_WAIT
    for attempt in range(1, TRIES + 1):
        try:
            await _change(client, entry, wanted)
        except HoldfastError as error:
            if error.code == ErrorCode.START_REJECTED:
                raise RejectedInput(ErrorCode.CONFIG_INVALID, f"schedule {entry.name}: {error.message}") from error
            if error.code != ErrorCode.TEMPORAL_UNAVAILABLE or attempt == TRIES:
                raise
            await asyncio.sleep(wait.total_seconds())
            wait *= 2
        else:
            return


async def _change(client: Client, entry: PlanEntry, wanted: Mapping[str, ScheduleConfig]) -> None:
    match entry.change:
        case Change.CREATE:
            await _create(client, entry.name, wanted[entry.name])
        case Change.UPDATE:
            await change(client, entry.name, renew(client, entry.name, wanted[entry.name]))
        case Change.ADOPT | Change.DELETE:
            await _delete(client, entry.name)
            if entry.change is Change.ADOPT:  # who owns a schedule is told by a memo that only creating it can set
                await _create(client, entry.name, wanted[entry.name])
        case Change.KEEP | Change.FOREIGN | Change.ORPHAN | Change.UNKNOWN:
            return


async def _create(client: Client, name: str, config: ScheduleConfig) -> None:
    schedule = desired(name, config)
    try:
        await bounded_call(client.create_schedule(name, schedule, memo={names.MEMO_OWNER: OWNER}))
    except HoldfastError as error:
        if not isinstance(error.__cause__, ScheduleAlreadyRunningError):
            raise
        # made by the try before this one, whose answer was lost, or by another apply: made the same, or else refused
        there = await describe(client, name)
        if there is None or not await is_ours(there):
            raise RejectedInput(
                ErrorCode.CONFIG_INVALID, f"schedule {name} was made by somebody else just now; rename one of them"
            ) from error
        await change(client, name, renew(client, name, config))


async def _delete(client: Client, name: str) -> None:
    try:
        await bounded_call(client.get_schedule_handle(name).delete())
    except HoldfastError:
        if await describe(client, name) is not None:
            raise  # else somebody else was faster, and it is gone as wished


async def _planned(client: Client, name: str, config: ScheduleConfig, *, adopt: bool) -> PlanEntry:
    described = await describe(client, name)
    now = datetime.now(UTC)
    if described is None:
        fresh = forecast(name, config, now, left=config.max_runs)
        return replace(fresh, change=Change.CREATE, reason="not in Temporal yet")
    state = described.schedule.state
    differ = await differences(client, name, config, described)
    left = state.remaining_actions if state.limited_actions else None
    if any(one.field == "max_runs" for one in differ):
        left = config.max_runs
    known = replace(forecast(name, config, now, left=left), paused=state.paused, note=state.note or "")
    if not await is_ours(described):
        if adopt:
            return replace(known, change=Change.ADOPT, reason="is taken over: made anew", differences=differ)
        reason = "exists in Temporal and is not Holdfast's; rename one of them, or take it over with --adopt"
        return replace(known, change=Change.FOREIGN, reason=reason)
    if not differ:
        return replace(known, change=Change.KEEP, reason="")
    reason = f"differs in {', '.join(one.field for one in differ)}"
    return replace(known, change=Change.UPDATE, reason=reason, differences=differ)


def _leaving(name: str, described: ScheduleDescription, what: Change) -> PlanEntry:
    state, info = described.schedule.state, described.info
    zone = described.schedule.spec.time_zone_name or "UTC"
    runs = tuple(info.next_action_times[:SHOWN_RUNS])
    return PlanEntry(name, what, "no longer in the file", state.paused, state.note or "", zone, runs)


async def _owned(client: Client) -> list[str]:
    async def collect() -> list[str]:
        return [
            listed.id
            async for listed in await client.list_schedules()
            if await listed.memo_value(names.MEMO_OWNER, default=None) == OWNER
        ]

    return await bounded_call(collect())


async def is_ours(described: ScheduleDescription) -> bool:
    """Whether Holdfast made it."""
    return bool(await described.memo_value(names.MEMO_OWNER, default=None) == OWNER)
