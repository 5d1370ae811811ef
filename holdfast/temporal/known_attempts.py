"""Which attempts of a run that ended from outside are known: from its history, and from what its last activity left.

Bounded, as every log of attempts. Flow: Sweep → **attempts_of** → dead letter.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client

from holdfast.contracts import names
from holdfast.contracts.attempts import append, failed, read_log
from holdfast.contracts.delivery import Attempt
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.temporal.connect import workflow_call
from holdfast.temporal.run_list import ListedRun

MOST_EVENTS = 500  # of a history; a delivery's has some dozen


@dataclass(frozen=True, slots=True)
class KnownAttempts:
    """The failed attempts that are known, and how many were made at least."""

    log: tuple[Attempt, ...]
    count: int


async def attempts_of(client: Client, run: ListedRun) -> KnownAttempts:
    """Return what is known of a delivery's attempts; nothing where it left nothing. Raises Unavailable."""
    found: dict[int, Attempt] = {}
    async for event in _history(client, run):
        at = event.event_time.ToDatetime(UTC)
        for failure, number in _failures(event):
            for one in await _read(client, failure, number or len(found) + 1, at):
                found[one.number] = one
    handle = client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
    described = await workflow_call(handle.describe(), run.workflow_id)
    for pending in described.raw_description.pending_activities:
        if pending.activity_type.name == names.DELIVER:
            for one in await _left(client, pending, len(found)):
                found[one.number] = one
    log: tuple[Attempt, ...] = ()
    for number in sorted(found):
        log = append(log, found[number])
    return KnownAttempts(log, max(found, default=0))


async def _history(client: Client, run: ListedRun) -> AsyncIterator[HistoryEvent]:
    handle = client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
    events, count = handle.fetch_history_events(page_size=MOST_EVENTS), 0
    while count < MOST_EVENTS:
        try:
            event = await workflow_call(_next(events), run.workflow_id)
        except RejectedInput:  # forgotten since it was found
            return
        if event is None:
            return
        yield event
        count += 1


async def _next(events: AsyncIterator[HistoryEvent]) -> HistoryEvent | None:
    return await anext(events, None)


def _failures(event: HistoryEvent) -> list[tuple[Failure, int]]:
    """Return the failures in an event, each with the number of its attempt, 0 where that is not said."""
    match event.event_type:
        case EventType.EVENT_TYPE_MARKER_RECORDED:  # the first attempt, a local activity
            marker = event.marker_recorded_event_attributes
            return [(marker.failure, 1)] if marker.HasField("failure") else []
        case EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            return [(event.activity_task_failed_event_attributes.failure, 0)]
        case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
            return [(event.activity_task_timed_out_event_attributes.failure, 0)]
        case EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            started = event.activity_task_started_event_attributes
            return [(started.last_failure, 0)] if started.HasField("last_failure") else []
    return []


async def _read(client: Client, failure: Failure, number: int, at: datetime) -> tuple[Attempt, ...]:
    """Return the log that a failure carries, or the failure itself as one attempt."""
    while failure.HasField("cause") and not failure.HasField("application_failure_info"):
        if failure.HasField("timeout_failure_info"):
            log = await _log(client, failure.timeout_failure_info.last_heartbeat_details)
            if log:
                return log
        failure = failure.cause
    info = failure.application_failure_info
    log = await _log(client, info.details)
    return log or (failed(number, at, info.type or ErrorCode.TARGET_TIMEOUT, failure.message),)


async def _left(client: Client, pending: PendingActivityInfo, before: int) -> tuple[Attempt, ...]:
    """Return what an activity that had not ended left for its next attempt, or the failure that Temporal shows."""
    log = await _log(client, pending.heartbeat_details)
    if log or not pending.HasField("last_failure"):
        return log
    at = pending.last_attempt_complete_time or pending.last_started_time
    number = min(before, 1) + max(pending.attempt - 1, 1)
    return await _read(client, pending.last_failure, number, at.ToDatetime(UTC))


async def _log(client: Client, payloads: Payloads) -> tuple[Attempt, ...]:
    if not payloads.payloads:
        return ()
    try:
        return read_log(await client.data_converter.decode(list(payloads.payloads)))
    except Exception:  # noqa: BLE001 - whatever stands there, the record is worth writing without it
        return ()
