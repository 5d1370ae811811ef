"""The windows of joins as people ask for them: listed by visibility, shown by query.

Flow: `holdfast joins` → **list | show**.
"""

from dataclasses import dataclass
from datetime import datetime

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.join import JoinView
from holdfast.temporal.connect import bounded_call, workflow_call
from holdfast.temporal.deliveries import quoted


@dataclass(frozen=True, slots=True)
class JoinSummary:
    """One run of a join. Visibility lags by a moment."""

    workflow_id: str
    run_id: str
    trigger: str
    key: str
    state: str
    opened_at: datetime
    closed_at: datetime | None


async def list_joins(client: Client, *, trigger: str | None, only_open: bool, limit: int) -> list[JoinSummary]:
    """Return at most `limit`, the newest first. Raises Unavailable."""
    parts = [f"WorkflowType = '{names.JOIN}'"]
    parts += ["ExecutionStatus = 'Running'"] if only_open else []
    parts += [f"{names.SA_TRIGGER} = {quoted(trigger)}"] if trigger is not None else []

    async def collect() -> list[JoinSummary]:
        return [await _summary(run) async for run in client.list_workflows(" AND ".join(parts), limit=limit)]

    return await bounded_call(collect())


async def show_join(client: Client, trigger: str, key: str) -> JoinView:
    """Return the window of a key, or of its last run. Raises RejectedInput `not_found`, Unavailable."""
    workflow_id = ids.join_id(trigger, key)
    handle = client.get_workflow_handle(workflow_id)
    return await workflow_call(handle.query(names.WINDOW, result_type=JoinView), workflow_id)


async def _summary(run: WorkflowExecution) -> JoinSummary:
    def attribute(name: str) -> str:
        return run.typed_search_attributes.get(SearchAttributeKey.for_keyword(name)) or ""

    is_open = run.status is WorkflowExecutionStatus.RUNNING
    return JoinSummary(
        workflow_id=run.id,
        run_id=run.run_id,
        trigger=attribute(names.SA_TRIGGER),
        key=str((await run.memo()).get(names.MEMO_KEY, "")),
        state=names.STATE_WAITING if is_open else attribute(names.SA_STATE),
        opened_at=run.start_time,
        closed_at=run.close_time,
    )
