"""Runs of ours that ended without saying so: terminated, timed out, cancelled, or failed with no dead letter.

Flow: Sweep → **ended_runs** → latest → began | ended → dead letter. What they were about stands in their own history.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHistoryEventFilterType

from holdfast.contracts import names
from holdfast.errors import ErrorCode, RejectedInput, bounded
from holdfast.temporal.connect import workflow_call
from holdfast.temporal.run_list import ListedRun, listed, runs

_BY_SCHEDULE = ("TemporalScheduledStartTime", "TemporalScheduledById")
MAX_REASON = 400  # characters
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a run was started with; `due` and `schedule` are set by Temporal where a schedule started it."""

    arguments: tuple[Payload, ...]
    due: datetime | None
    schedule: str = ""


async def ended_runs(client: Client, since: datetime) -> AsyncIterator[ListedRun]:
    """Yield the runs on our task queue that ended after `since` and whose end is no outcome. Raises Unavailable."""
    query = (
        f"TaskQueue = '{names.TASK_QUEUE}' AND ExecutionStatus IN ('Failed', 'TimedOut', 'Terminated', 'Canceled')"
        f" AND CloseTime > '{since.isoformat()}'"
        f" AND ({names.SA_STATE} IS NULL OR {names.SA_STATE} != '{names.STATE_DEAD_LETTERED}')"
    )
    async for run in runs(client, query):
        yield run


async def latest(client: Client, workflow_id: str) -> ListedRun | None:
    """Return the newest run of a workflow id as it is now, past visibility's lag; None where there is none."""
    try:
        described = await workflow_call(client.get_workflow_handle(workflow_id).describe(), workflow_id)
    except RejectedInput as error:
        if error.code == ErrorCode.NOT_FOUND:
            return None
        raise
    return listed(described.raw_description.workflow_execution_info)


async def beginning(client: Client, run: ListedRun) -> Beginning:
    """Return what the run was started with. Raises RejectedInput `not_found`, Unavailable."""
    handle = client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
    first = await workflow_call(anext(handle.fetch_history_events(page_size=1)), run.workflow_id)
    started = first.workflow_execution_started_event_attributes
    fields = started.search_attributes.indexed_fields
    due, by = (json.loads(fields[name].data) if name in fields else "" for name in _BY_SCHEDULE)
    return Beginning(tuple(started.input.payloads), datetime.fromisoformat(due) if due else None, by)


async def decoded(client: Client, payload: Payload, model: type[M]) -> M | None:
    """Read an argument; None where it is something else."""
    try:
        (value,) = await client.data_converter.decode([payload], [model])
    except Exception:  # noqa: BLE001 - converters raise what they like; all of it means the same here
        return None
    return value if isinstance(value, model) else None


async def end_of(client: Client, run: ListedRun) -> str:
    """Say in one line how the run ended, in the words of whoever ended it. Raises Unavailable."""
    handle = client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
    last = handle.fetch_history_events(event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT)
    return bounded(_told(await workflow_call(anext(last), run.workflow_id)), MAX_REASON)


def _told(event: HistoryEvent) -> str:
    match event.event_type:
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
            ended = event.workflow_execution_terminated_event_attributes
            return f"terminated by {ended.identity or 'somebody'}: {ended.reason or 'no reason given'}"
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
            return f"failed: {event.workflow_execution_failed_event_attributes.failure.message}"
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
            return "ran into a timeout that somebody gave it"
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
            return "cancelled before it could say so"
    return "ended"
