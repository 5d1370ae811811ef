"""The deliveries of one event, as Temporal's visibility has them: for people who ask where it is now."""

from dataclasses import dataclass
from datetime import datetime

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey

from holdfast.contracts import names
from holdfast.errors import RejectedInput
from holdfast.temporal.connect import bounded_call, workflow_call

MAX_LISTED = 200

_STATES = {
    WorkflowExecutionStatus.RUNNING: "under way",
    WorkflowExecutionStatus.COMPLETED: names.STATE_DELIVERED,
    WorkflowExecutionStatus.FAILED: "failed",
}


@dataclass(frozen=True, slots=True)
class DeliverySummary:
    """One delivery. Visibility lags by a moment."""

    workflow_id: str
    run_id: str
    trigger: str
    state: str  # under way, retrying, delivered, dead-lettered, or Temporal's own word for an end from outside
    error: str  # the code, where it failed
    started_at: datetime
    closed_at: datetime | None


async def list_deliveries(client: Client, source: str, event_id: str) -> list[WorkflowExecution]:
    """Return the deliveries and redrives of one event, and its parts in joins, the oldest first. Raises Unavailable."""
    query = (
        f"WorkflowType IN ('{names.EVENT_DELIVERY}', '{names.JOINED_EVENT}') AND {names.SA_SOURCE} = {quoted(source)}"
        f" AND {names.SA_EVENT_ID} = {quoted(event_id)}"
    )

    async def collect() -> list[WorkflowExecution]:
        return [run async for run in client.list_workflows(query, limit=MAX_LISTED)]

    return sorted(await bounded_call(collect()), key=lambda found: found.start_time)


async def is_under_way(client: Client, source: str, event_id: str) -> bool:
    """Whether anything of an event runs: a delivery, its child, a case. Raises Unavailable."""
    query = (
        f"ExecutionStatus = 'Running' AND {names.SA_SOURCE} = {quoted(source)}"
        f" AND {names.SA_EVENT_ID} = {quoted(event_id)}"
    )

    async def count() -> int:
        return (await client.count_workflows(query)).count

    return await bounded_call(count()) > 0 or await _in_open_join(client, source, event_id)


async def _in_open_join(client: Client, source: str, event_id: str) -> bool:
    """Whether a window that holds the event is open: its own part in the join has ended long since."""
    query = (
        f"WorkflowType = '{names.JOINED_EVENT}' AND {names.SA_SOURCE} = {quoted(source)}"
        f" AND {names.SA_EVENT_ID} = {quoted(event_id)}"
    )

    async def holders() -> list[str]:
        return [run.parent_id async for run in client.list_workflows(query, limit=MAX_LISTED) if run.parent_id]

    for holder in dict.fromkeys(await bounded_call(holders())):
        try:
            found = await workflow_call(client.get_workflow_handle(holder).describe(), holder)
        except RejectedInput:
            continue  # Temporal has forgotten it
        if found.status is WorkflowExecutionStatus.RUNNING:
            return True
    return False


def quoted(value: str) -> str:
    """Return `value` as a literal of Temporal's query language."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def summary_of(run: WorkflowExecution) -> DeliverySummary:
    """Read one run as a delivery."""

    def attribute(name: str) -> str:
        return run.typed_search_attributes.get(SearchAttributeKey.for_keyword(name)) or ""

    said = attribute(names.SA_STATE)
    ended = run.status is not None and run.status is not WorkflowExecutionStatus.RUNNING
    word = _STATES.get(run.status, run.status.name.lower()) if run.status is not None else "unknown"
    # what the workflow said last holds while it runs and where it failed; a success may have said nothing
    if run.workflow_type == names.JOINED_EVENT and run.status is WorkflowExecutionStatus.COMPLETED:
        word = names.STATE_JOINED
    final = run.status is WorkflowExecutionStatus.FAILED or said == names.STATE_SUPERSEDED
    state = said if said and (not ended or final) else word
    return DeliverySummary(
        workflow_id=run.id,
        run_id=run.run_id,
        trigger=attribute(names.SA_TRIGGER),
        state=state,
        error=attribute(names.SA_ERROR),
        started_at=run.start_time,
        closed_at=run.close_time,
    )
