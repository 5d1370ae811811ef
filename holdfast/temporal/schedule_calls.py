"""Calls on one Temporal Schedule: look, change (never over somebody's shoulder), pause, resume, trigger, backfill.

Every change carries the token of the description it was made from, so that two who change the same schedule at the
same time cannot undo each other: the later one looks again. The SDK's own `update` does not.
"""

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from temporalio.api.schedule.v1 import Schedule as RawSchedule
from temporalio.api.workflowservice.v1 import UpdateScheduleRequest
from temporalio.client import (
    Client,
    ScheduleActionStartWorkflow,
    ScheduleBackfill,
    ScheduleDescription,
    ScheduleOverlapPolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from holdfast.clock import rfc3339
from holdfast.contracts import names
from holdfast.domain.occurrences import SECOND
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput, Unavailable
from holdfast.temporal.connect import bounded_call, workflow_call
from holdfast.temporal.specs import from_temporal

CHANGE_TRIES = 5
MAX_BACKFILL = 1_000  # ticks; what Temporal buffers
MAX_NOTE = 500  # characters
Edit = Callable[[ScheduleDescription, RawSchedule], Awaitable[bool]]
"""Changes a schedule in place; False where nothing is to be changed (any more)."""

_CONFLICTS = frozenset({RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.ABORTED})


async def describe(client: Client, name: str) -> ScheduleDescription | None:
    """Look at one schedule; None where there is none. Raises Unavailable."""
    try:
        return await workflow_call(client.get_schedule_handle(name).describe(), name)
    except RejectedInput as error:
        if error.code == ErrorCode.NOT_FOUND:
            return None
        raise


async def existing(client: Client, name: str) -> ScheduleDescription:
    """Look at one schedule. Raises RejectedInput `not_found`."""
    found = await describe(client, name)
    if found is None:
        raise RejectedInput(ErrorCode.NOT_FOUND, f"there is no schedule {name} in Temporal; `holdfast schedules list`")
    return found


async def change(client: Client, name: str, edit: Edit) -> bool:
    """Let `edit` change a schedule as it is now, until it finds nothing more to do; False where it never did.

    The server answers before a change is made, and drops it in silence where somebody was faster: so we look again.
    Raises RejectedInput `not_found`, `start.rejected`; Unavailable.
    """
    changed = False
    for _ in range(CHANGE_TRIES):
        found = await existing(client, name)
        schedule = RawSchedule()
        schedule.CopyFrom(found.raw_description.schedule)
        if not await edit(found, schedule):
            return changed
        request = UpdateScheduleRequest(
            namespace=client.namespace,
            schedule_id=name,
            schedule=schedule,
            conflict_token=found.raw_description.conflict_token,
            identity=client.identity,
            request_id=str(uuid.uuid4()),
        )
        try:
            await bounded_call(client.workflow_service.update_schedule(request))
            changed = True
        except HoldfastError as error:
            cause = error.__cause__
            if not (isinstance(cause, RPCError) and cause.status in _CONFLICTS):
                raise
    raise Unavailable(ErrorCode.TEMPORAL_UNAVAILABLE, f"schedule {name} is being changed by others; try again")


async def pause(client: Client, name: str, note: str) -> None:
    """Pause one schedule. Raises RejectedInput `not_found`; Unavailable."""
    await existing(client, name)
    await bounded_call(client.get_schedule_handle(name).pause(note=note[:MAX_NOTE]))


async def stop(client: Client, name: str, note: str, since: datetime) -> None:
    """Pause one schedule and, in the same change, let what ends after `since` be counted anew. Raises Unavailable."""

    async def edit(_: ScheduleDescription, schedule: RawSchedule) -> bool:
        if schedule.state.paused and schedule.state.notes == note:
            return False
        schedule.state.paused, schedule.state.notes = True, note
        (payload,) = await client.data_converter.encode([rfc3339(since)])
        schedule.action.start_workflow.memo.fields[names.MEMO_COUNTED_SINCE].CopyFrom(payload)
        return True

    await change(client, name, edit)


async def resume(client: Client, name: str, note: str) -> None:
    """Let one schedule tick again. Raises RejectedInput `not_found`; Unavailable."""
    await existing(client, name)
    await bounded_call(client.get_schedule_handle(name).unpause(note=note[:MAX_NOTE]))


async def trigger(client: Client, name: str, overlap: ScheduleOverlapPolicy | None) -> None:
    """Tick once, now, also where it is paused. Raises RejectedInput `not_found`; Unavailable."""
    await existing(client, name)
    await bounded_call(client.get_schedule_handle(name).trigger(overlap=overlap))


async def backfill(
    client: Client, name: str, start: datetime, end: datetime, overlap: ScheduleOverlapPolicy
) -> tuple[datetime, ...]:
    """Tick for every time from `start` to `end`, both included, and return them. Raises RejectedInput `not_found`."""
    found = await existing(client, name)
    times = from_temporal(found.schedule.spec).between(start.astimezone(UTC) - SECOND, end, MAX_BACKFILL + 1)
    if len(times) > MAX_BACKFILL:
        raise RejectedInput(
            ErrorCode.CONFIG_INVALID, f"more than {MAX_BACKFILL} ticks; Temporal drops what it cannot buffer, do less"
        )
    if times:
        # Temporal's range excludes its first instant
        given = ScheduleBackfill(start.astimezone(UTC) - SECOND, end, overlap=overlap)
        await bounded_call(client.get_schedule_handle(name).backfill(given))
    return times


def is_ticking(found: ScheduleDescription) -> bool:
    """Whether it starts `ScheduledEvent` on our task queue, whoever made it."""
    action = found.schedule.action
    return (
        isinstance(action, ScheduleActionStartWorkflow)
        and action.workflow == names.SCHEDULED_EVENT
        and action.task_queue == names.TASK_QUEUE
    )
