"""What a trigger delivered lately, by one visibility query per look, however many cases wait to be told.

Flow: CaseWatch → **look** → signal → DeadLetter.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel
from temporalio.client import Client, WorkflowExecution
from temporalio.common import SearchAttributeKey, WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.case_watch import LookInput, LookResult, WatchEntry, WatchInput, WatchTriggerInput
from holdfast.contracts.moves import RecoveredInput, SupersededInput
from holdfast.errors import ErrorCode, HoldfastError
from holdfast.temporal.case_list import quoted
from holdfast.temporal.connect import bounded_call, workflow_call

SIGNAL = "watch"
CALL = timedelta(seconds=8)  # below the attempt's 10 s, so that the reason is ours
PER_SECOND = 20  # cases told; each may redrive at once
KEYS = 25  # in one query


async def enter(client: Client, given: WatchTriggerInput) -> None:
    """Enter one case into its trigger's watch; the watch is started where it does not run. Raises Unavailable."""
    await bounded_call(
        client.start_workflow(
            names.CASE_WATCH,
            WatchInput(trigger=given.trigger),
            id=ids.watch_id(given.trigger),
            task_queue=names.TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal=SIGNAL,
            start_signal_args=[given.entry],
            static_summary=f"cases of {given.trigger} that wait for its recovery"[:200],
        ),
        CALL,
    )


async def look(client: Client, given: LookInput, alive: Callable[[], None]) -> LookResult:
    """Tell each case what happened since; `alive` is called while it works. Raises Unavailable."""
    newest = await _newest(client, given)
    if newest is None or newest.close_time is None:
        return LookResult()
    alive()
    newer = await _newer(client, given, alive)
    settled = []
    for entry in given.entries:
        alive()
        if entry.key in newer and _is_newer(newer[entry.key], entry):
            at, delivery = newer[entry.key]
            told: BaseModel = SupersededInput(at=at, delivery=delivery)
            await _tell(client, entry.case, names.SUPERSEDED, told)
        elif entry.recovery and newest.close_time > entry.failed_at:
            told = RecoveredInput(at=newest.close_time, delivery=newest.id)
            await _tell(client, entry.case, names.RECOVERED, told)
            await asyncio.sleep(1 / PER_SECOND)
        else:
            continue
        settled.append(entry.case)
    return LookResult(newest=newest.close_time, settled=tuple(settled))


def _delivered(trigger: str, since: datetime) -> str:
    return (
        f"WorkflowType = '{names.EVENT_DELIVERY}' AND ExecutionStatus = 'Completed'"
        f" AND {names.SA_TRIGGER} = {quoted(trigger)} AND CloseTime > '{since.isoformat()}'"
    )


async def _newest(client: Client, given: LookInput) -> WorkflowExecution | None:
    """The delivery that ended well last: visibility lists the closed ones by their end."""
    found = client.list_workflows(_delivered(given.trigger, given.since), page_size=1, limit=1)
    return await bounded_call(anext(found, None), CALL)


async def _newer(client: Client, given: LookInput, alive: Callable[[], None]) -> dict[str, tuple[datetime, str]]:
    """Per key the delivery that was begun last; redrives are left out, for theirs are old events."""
    keys = sorted({entry.key for entry in given.entries if entry.key})
    newer: dict[str, tuple[datetime, str]] = {}
    for first in range(0, len(keys), KEYS):
        alive()
        some = ", ".join(quoted(key) for key in keys[first : first + KEYS])
        query = f"{_delivered(given.trigger, given.since)} AND {names.SA_KEY} IN ({some})"
        for run in await bounded_call(_all(client, query), CALL):
            key = run.typed_search_attributes.get(SearchAttributeKey.for_keyword(names.SA_KEY)) or ""
            if ids.is_redrive(run.id) or (key in newer and newer[key][0] >= run.start_time):
                continue
            newer[key] = (run.start_time, run.id)
    return newer


async def _all(client: Client, query: str) -> Sequence[WorkflowExecution]:
    return [run async for run in client.list_workflows(query, page_size=200, limit=1_000)]


def _is_newer(found: tuple[datetime, str], entry: WatchEntry) -> bool:
    return entry.received_at is not None and found[0] > entry.received_at and not entry.case.endswith(f"/{found[1]}")


async def _tell(client: Client, case: str, signal: str, told: BaseModel) -> None:
    """Signal a case; one that is closed needs nothing."""
    try:
        await workflow_call(client.get_workflow_handle(case).signal(signal, told), case, CALL)
    except HoldfastError as error:
        if error.code != ErrorCode.NOT_FOUND:
            raise
