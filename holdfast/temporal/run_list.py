"""Runs by a visibility query, page by page, with the attributes that Holdfast sets: memory that does not grow."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest
from temporalio.client import Client

from holdfast.contracts import names
from holdfast.temporal.connect import bounded_call

PAGE = 500

Status = Literal["running", "completed", "failed", "cancelled", "terminated", "timed out", "continued"]

_STATUS: dict[int, Status] = {
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING: "running",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED: "completed",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED: "failed",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED: "cancelled",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED: "terminated",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: "timed out",
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW: "continued",
}


@dataclass(frozen=True, slots=True)
class ListedRun:
    """One run as visibility has it, which lags by a moment."""

    workflow_id: str
    run_id: str
    kind: str  # workflow type
    status: Status
    task_queue: str
    source: str
    event_id: str
    trigger: str
    state: str
    problems: tuple[str, ...]  # what the server says of workflow tasks that keep failing
    started_at: datetime
    closed_at: datetime | None
    parent: str  # workflow id
    stream: str = ""  # a delivery: where its event lay on the bus
    sequence: int = 0


async def runs(client: Client, query: str) -> AsyncIterator[ListedRun]:
    """Yield the runs that match. Raises Unavailable."""
    token = b""
    while True:
        request = ListWorkflowExecutionsRequest(
            namespace=client.namespace, page_size=PAGE, next_page_token=token, query=query
        )
        page = await bounded_call(client.workflow_service.list_workflow_executions(request, retry=True))
        for info in page.executions:
            yield listed(info)
        token = page.next_page_token
        if not token:
            return


def listed(info: WorkflowExecutionInfo) -> ListedRun:
    """Read one run."""
    fields = info.search_attributes.indexed_fields

    def attribute(name: str) -> str:
        return str(json.loads(fields[name].data) or "") if name in fields else ""

    problems = json.loads(fields["TemporalReportedProblems"].data) if "TemporalReportedProblems" in fields else ()
    stream, sequence = _place(info)
    return ListedRun(
        workflow_id=info.execution.workflow_id,
        run_id=info.execution.run_id,
        kind=info.type.name,
        status=_STATUS.get(info.status, "failed"),
        task_queue=info.task_queue,
        source=attribute(names.SA_SOURCE),
        event_id=attribute(names.SA_EVENT_ID),
        trigger=attribute(names.SA_TRIGGER),
        state=attribute(names.SA_STATE),
        problems=tuple(map(str, problems)) if isinstance(problems, list) else (str(problems),) if problems else (),
        started_at=info.start_time.ToDatetime(UTC),
        closed_at=info.close_time.ToDatetime(UTC) if info.HasField("close_time") else None,
        parent=info.parent_execution.workflow_id,
        stream=stream,
        sequence=sequence,
    )


def _place(info: WorkflowExecutionInfo) -> tuple[str, int]:
    """Read where a delivery's event lay; nothing where it does not say."""
    memo = info.memo.fields
    try:
        stream, _, sequence = str(json.loads(memo[names.MEMO_PLACE].data)).rpartition("/")
        return stream, int(sequence)
    except (KeyError, ValueError):
        return "", 0
