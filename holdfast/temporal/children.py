"""What Temporal knows about a run that nobody may be able to run: its first workflow task, and why it fails."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from holdfast.contracts.delivery import InspectChildResult
from holdfast.errors import ErrorCode, Unavailable, bounded

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent

RPC_TIMEOUT = timedelta(seconds=4)  # two calls fit into the activity's 10 s
FIRST_EVENTS = 12  # a run that has begun shows it among these


async def inspect(client: Client, workflow_id: str) -> InspectChildResult:
    """Describe a run. Raises Unavailable `temporal.unavailable`. A run that is gone or closed counts as begun."""
    handle = client.get_workflow_handle(workflow_id)
    try:
        seen = await handle.describe(rpc_timeout=RPC_TIMEOUT)
        history = handle.fetch_history_events(page_size=FIRST_EVENTS, rpc_timeout=RPC_TIMEOUT)
        events = [event async for event in _first(history)]
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return InspectChildResult(begun=True, age=timedelta(0))
        raise Unavailable(ErrorCode.TEMPORAL_UNAVAILABLE, f"inspect: {error.status.name}") from error
    age = max(datetime.now(UTC) - seen.start_time, timedelta(0))
    begun = seen.status != WorkflowExecutionStatus.RUNNING or any(map(_begins, events))
    task = seen.raw_description.pending_workflow_task
    failing = 0 if begun else max(task.attempt - 1, 0)
    return InspectChildResult(begun=begun, failing_attempts=failing, cause=_cause(events) if failing else "", age=age)


async def terminate(client: Client, workflow_id: str, reason: str) -> None:
    """Terminate a run. Raises Unavailable `temporal.unavailable`."""
    try:
        await client.get_workflow_handle(workflow_id).terminate(reason=bounded(reason), rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:  # closed already, or gone
            raise Unavailable(ErrorCode.TEMPORAL_UNAVAILABLE, f"terminate: {error.status.name}") from error


async def _first(history: AsyncIterator["HistoryEvent"]) -> AsyncIterator["HistoryEvent"]:
    """Yield the first events only: the history of a run that has begun may be long."""
    count = 0
    async for event in history:
        yield event
        count += 1
        if count >= FIRST_EVENTS:
            return


def _begins(event: "HistoryEvent") -> bool:
    """Whether the event proves that a worker has run the code: a task completed, or this is already a retry."""
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
        return True
    return event.workflow_execution_started_event_attributes.attempt > 1


def _cause(events: "list[HistoryEvent]") -> str:
    """Return what the last recorded failure of a workflow task says."""
    for event in reversed(events):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            return bounded(event.workflow_task_failed_event_attributes.failure.message, 400)
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
            return "a worker took it and did not answer in time"
    return "unknown"
