"""Schedules of holdfast.yaml as Temporal Schedules: what would change (`plan`), and changing it (`apply`).

Only schedules whose memo says that Holdfast owns them are touched. A pause made by hand stays. What was applied is
known by a hash in the memo of the schedule's action, which, unlike the schedule's own, changes with an update.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.scheduled import ScheduledInput
from holdfast.domain.schedules import ScheduleConfig
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput
from holdfast.temporal.connect import bounded_call, workflow_call

log = logging.getLogger(__name__)

OWNER = "holdfast"  # value of the memo MEMO_OWNER
TRIES = 4
FIRST_WAIT = timedelta(milliseconds=500)
_SHAPE = "2"  # of what `_desired` builds; a new one renews every schedule at the next apply


class Change(StrEnum):
    """What applying does to one schedule."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    KEEP = "keep"
    FOREIGN = "foreign"  # somebody else's, of the same name: left alone, and an error
    ORPHAN = "orphan"  # ours, no longer in the file: deleted with `prune`


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """One schedule. `paused` is as it is now; `next_runs` are as Temporal has them, empty where it has none yet."""

    name: str
    change: Change
    reason: str = ""
    paused: bool = False
    next_runs: tuple[datetime, ...] = ()


async def plan(client: Client, wanted: Mapping[str, ScheduleConfig], *, prune: bool = False) -> tuple[PlanEntry, ...]:
    """Return what `apply` would do, by name. Raises Unavailable."""
    entries = [await _planned(client, name, config) for name, config in sorted(wanted.items())]
    for name in sorted(set(await _owned(client)) - set(wanted)):
        described = await _describe(client, name)
        if described is not None:
            change = Change.DELETE if prune else Change.ORPHAN
            entries.append(_entry(name, change, described, "no longer in the file"))
    return tuple(entries)


async def apply(client: Client, wanted: Mapping[str, ScheduleConfig], *, prune: bool = False) -> tuple[PlanEntry, ...]:
    """Make Temporal's schedules those of the file, and return what was done, with the next runs.

    Raises Unavailable after a few tries; RejectedInput `config.invalid` where Temporal refuses a schedule. Applying
    again does the rest.
    """
    done = []
    for entry in await plan(client, wanted, prune=prune):
        await _patiently(client, entry, wanted)
        described = None if entry.change == Change.DELETE else await _describe(client, entry.name)
        done.append(entry if described is None else _entry(entry.name, entry.change, described, entry.reason))
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
    handle = client.get_schedule_handle(entry.name)
    match entry.change:
        case Change.CREATE:
            schedule = _desired(entry.name, wanted[entry.name])
            try:
                await bounded_call(client.create_schedule(entry.name, schedule, memo={names.MEMO_OWNER: OWNER}))
            except HoldfastError as error:
                if not isinstance(error.__cause__, ScheduleAlreadyRunningError):
                    raise  # created by the try before this one, whose answer was lost
        case Change.UPDATE:
            schedule = _desired(entry.name, wanted[entry.name])

            def renew(now: ScheduleUpdateInput) -> ScheduleUpdate:
                # everything from the file but the state: a pause made by hand is somebody's decision
                return ScheduleUpdate(replace(schedule, state=now.description.schedule.state))

            await bounded_call(handle.update(renew))
        case Change.DELETE:
            await bounded_call(handle.delete())
        case Change.KEEP | Change.FOREIGN | Change.ORPHAN:
            return


async def _planned(client: Client, name: str, config: ScheduleConfig) -> PlanEntry:
    described = await _describe(client, name)
    if described is None:
        return PlanEntry(name, Change.CREATE, "not in Temporal yet", paused=config.paused)
    if not await _is_ours(described):
        return _entry(name, Change.FOREIGN, described, "exists in Temporal and is not Holdfast's; rename one of them")
    if await _applied_hash(described) == schedule_hash(name, config):
        return _entry(name, Change.KEEP, described, "")
    return _entry(name, Change.UPDATE, described, "differs from the file")


def _entry(name: str, change: Change, described: ScheduleDescription, reason: str) -> PlanEntry:
    state = described.schedule.state
    return PlanEntry(name, change, reason, state.paused, tuple(described.info.next_action_times[:5]))


async def _describe(client: Client, name: str) -> ScheduleDescription | None:
    try:
        return await workflow_call(client.get_schedule_handle(name).describe(), name)
    except RejectedInput as error:
        if error.code == ErrorCode.NOT_FOUND:
            return None
        raise


async def _owned(client: Client) -> list[str]:
    async def collect() -> list[str]:
        return [
            listed.id
            async for listed in await client.list_schedules()
            if await listed.memo_value(names.MEMO_OWNER, default=None) == OWNER
        ]

    return await bounded_call(collect())


async def _is_ours(described: ScheduleDescription) -> bool:
    return bool(await described.memo_value(names.MEMO_OWNER, default=None) == OWNER)


async def _applied_hash(described: ScheduleDescription) -> str | None:
    action = described.schedule.action
    payload = (action.memo or {}).get(names.MEMO_HASH) if isinstance(action, ScheduleActionStartWorkflow) else None
    if payload is None:
        return None
    if isinstance(payload, str):
        return payload
    (value,) = await described.data_converter.decode([payload], [str])
    return str(value)


def schedule_hash(name: str, config: ScheduleConfig) -> str:
    """Return what changes when the schedule in the file does; `paused` is only how it begins."""
    return ids.fingerprint(_SHAPE, name, config.model_dump_json(exclude={"paused"}))


def _desired(name: str, config: ScheduleConfig) -> Schedule:
    tick = ScheduledInput(
        schedule=name, type=config.event.type, subject=config.event.subject, data_expression=config.event.data
    )
    source = SearchAttributeKey.for_keyword(names.SA_SOURCE)
    return Schedule(
        action=ScheduleActionStartWorkflow(
            names.SCHEDULED_EVENT,
            tick,
            id=f"tick/{name}",
            task_queue=names.TASK_QUEUE,
            memo={names.MEMO_HASH: schedule_hash(name, config)},
            typed_search_attributes=TypedSearchAttributes([SearchAttributePair(source, name)]),
            static_summary=f"{config.event.type} from schedule {name}"[:200],
        ),
        spec=ScheduleSpec(
            cron_expressions=list(config.cron_expressions),
            intervals=[ScheduleIntervalSpec(every=config.every)] if config.every is not None else [],
            start_at=config.start_at,
            end_at=config.end_at,
            jitter=config.jitter or None,
            time_zone_name=config.timezone,
        ),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy[config.overlap.upper()], catchup_window=config.catch_up),
        state=ScheduleState(paused=config.paused, note="paused in holdfast.yaml" if config.paused else None),
    )
