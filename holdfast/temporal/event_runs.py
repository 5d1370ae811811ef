"""What Temporal knows of many events at once: their deliveries, redrives and cases, by one visibility query.

Flow: Custody → **traces_of** → judge.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from temporalio.client import Client

from holdfast import ids
from holdfast.contracts import names
from holdfast.domain.custody import Trace
from holdfast.temporal.case_list import quoted
from holdfast.temporal.ended_runs import latest
from holdfast.temporal.run_list import ListedRun, runs

EventKey = tuple[str, str]  # source, event id


async def traces_of(client: Client, events: Sequence[EventKey]) -> dict[EventKey, list[Trace]]:
    """Return what is known of each event; visibility lags by a moment. Raises Unavailable."""
    if not events:
        return {}
    some = ", ".join(sorted({quoted(event_id) for _, event_id in events}))
    query = (
        f"WorkflowType IN ('{names.EVENT_DELIVERY}', '{names.DEAD_LETTER}') AND TaskQueue = '{names.TASK_QUEUE}'"
        f" AND {names.SA_EVENT_ID} IN ({some})"
    )
    newest: dict[str, ListedRun] = {}
    async for run in runs(client, query):
        known = newest.get(run.workflow_id)
        if known is None or run.started_at > known.started_at:  # a reset makes a newer run of the same id
            newest[run.workflow_id] = run
    found: dict[EventKey, list[Trace]] = defaultdict(list)
    for run in newest.values():
        found[run.source, run.event_id].append(trace_of(run))
    return found


async def placed(client: Client, began: datetime | None, until: datetime | None) -> AsyncIterator[ListedRun]:
    """Yield the deliveries started in this time that know where their event lay. Raises Unavailable."""
    query = f"WorkflowType = '{names.EVENT_DELIVERY}' AND TaskQueue = '{names.TASK_QUEUE}'"
    query += "" if began is None else f" AND StartTime >= '{began.isoformat()}'"
    query += "" if until is None else f" AND StartTime < '{until.isoformat()}'"
    async for run in runs(client, query):
        if run.stream and run.sequence:
            yield run


async def traces_now(client: Client, deliveries: Sequence[str]) -> list[Trace]:
    """Return what is known of deliveries and of their cases, past visibility's lag. Raises Unavailable."""
    found = []
    for delivery in deliveries:
        for workflow_id in (delivery, ids.case_id(delivery)):
            run = await latest(client, workflow_id)
            if run is not None:
                found.append(trace_of(run))
    return found


def trace_of(run: ListedRun) -> Trace:
    """Return what one run says of its event."""
    if run.kind == names.DEAD_LETTER:
        return Trace(ids.first_delivery(run.workflow_id.removeprefix(ids.case_id(""))), "dead letter")
    delivery = ids.first_delivery(run.workflow_id)
    if run.status == "completed":
        return Trace(delivery, "delivered")
    if run.status == "running":
        return Trace(delivery, "running")
    if run.state == names.STATE_DEAD_LETTERED:
        return Trace(delivery, "given up")
    return Trace(delivery, "ended", run.status)
