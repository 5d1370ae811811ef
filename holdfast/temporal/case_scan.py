"""Every open case of a selection once, though cases close, change and fail again while it is read.

A page token with a count would skip what moved up when others closed. This goes by the cases themselves: visibility
lists what runs by its start, newest first, so the place is the last start time and who of it was seen.
Flow: CaseSelection → **scan** → survey | slice.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest
from temporalio.client import Client

from holdfast.clock import rfc3339
from holdfast.contracts.operations import CaseSelection, Cursor
from holdfast.domain.deadletters import CLOSED
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.temporal.case_list import ALL, CaseFilter, CaseSummary, Where, summary_of
from holdfast.temporal.connect import bounded_call

PAGE = 300  # a slice of an operation takes one page
MOST_CLOSED = 1_000  # the most that Temporal gives at a time


async def scan(
    client: Client,
    select: CaseSelection,
    began: datetime,
    cursor: Cursor,
    *,
    closed_since: datetime | None = None,
) -> AsyncIterator[tuple[CaseSummary | None, Cursor]]:
    """Yield each case behind `cursor` that was opened by `began`, with the place behind it; one page is in memory.

    None with a place stands for cases that `where` left out. With `closed_since` those come too that closed since then:
    who goes on after a crash finds among them what was done and not written down (`closed_at` tells them).
    Raises Unavailable; RejectedInput for a selection that makes no sense.
    """
    query, where = query_of(select), None if select.where is None else Where(select.where)
    last = Cursor(before=began.isoformat()) if not cursor.before else cursor
    closed = [] if closed_since is None else await _closed(client, last, closed_since)
    while True:
        size = PAGE + len(last.seen)
        request = ListWorkflowExecutionsRequest(
            namespace=client.namespace,
            page_size=size,
            query=f"{query} AND StartTime <= '{last.before}'",
        )
        found = await bounded_call(client.workflow_service.list_workflow_executions(request, retry=True))
        fresh = [run for run in found.executions if run.execution.run_id not in last.seen]
        for run in fresh:
            while closed and closed[0].start_time.ToDatetime(UTC) >= run.start_time.ToDatetime(UTC):
                gone = closed.pop(0)
                last = _behind(last, gone.start_time.ToJsonString(), gone.execution.run_id)
                yield summary_of(gone), last
            summary = summary_of(run)
            last = _behind(last, run.start_time.ToJsonString(), summary.run_id)
            yield (summary if where is None or where.takes(summary) else None), last
        if not fresh or (len(found.executions) < size and not found.next_page_token):
            break
    for gone in closed:
        last = _behind(last, gone.start_time.ToJsonString(), gone.execution.run_id)
        yield summary_of(gone), last


async def _closed(client: Client, last: Cursor, since: datetime) -> list[WorkflowExecutionInfo]:
    """Cases behind the cursor that closed since, the newest first; a slice has some hundred of them."""
    request = ListWorkflowExecutionsRequest(
        namespace=client.namespace,
        page_size=MOST_CLOSED,
        query=f"{ALL} AND CloseTime >= '{since.isoformat()}' AND StartTime <= '{last.before}'",
    )
    found = await bounded_call(client.workflow_service.list_workflow_executions(request, retry=True))
    behind = [run for run in found.executions if run.execution.run_id not in last.seen]
    return sorted(behind, key=lambda run: run.start_time.ToDatetime(UTC), reverse=True)


def query_of(select: CaseSelection) -> str:
    """Return the visibility query. Raises RejectedInput `input.invalid` for closed cases."""
    if select.state in CLOSED:
        raise RejectedInput(
            ErrorCode.INPUT_INVALID,
            f"a case that is {select.state} stays closed; `holdfast replay` delivers its event under a new identity",
        )
    return CaseFilter(
        source=select.source,
        trigger=select.trigger,
        error=select.error,
        state=select.state,
        assignee=select.assignee,
    ).query


def _behind(last: Cursor, started: str, run_id: str) -> Cursor:
    same = last.before == started
    return Cursor(before=started, seen=(*last.seen, run_id) if same else (run_id,))


def line(case: CaseSummary) -> dict[str, str]:
    """What a sample shows of a case."""
    return {
        "id": case.dead_letter_id,
        "state": case.state,
        "error": case.error,
        "trigger": case.trigger,
        "source": case.source,
        "event_type": case.event_type,
        "opened_at": rfc3339(case.opened_at),
    }
