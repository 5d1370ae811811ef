"""Holdfast's own schedules, `holdfast-sweep` and `holdfast-custody`: made once, kept as configured, never unpaused.

Flow: worker's start → **ensure** → Temporal Schedule → Sweep | Custody. They are apart from those of holdfast.yaml,
which `holdfast schedules` plans and prunes: another owner stands in their memo.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from holdfast.contracts import names
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput
from holdfast.temporal.connect import bounded_call, workflow_call
from holdfast.temporal.run_list import ListedRun, runs

OWNER = "holdfast-housekeeping"  # value of the memo MEMO_OWNER
M = TypeVar("M")
CATCH_UP = timedelta(minutes=10)  # one late sweep says as much as ten


@dataclass(frozen=True, slots=True)
class Chore:
    """One schedule of our own."""

    schedule: str
    workflow: str
    every: timedelta
    summary: str


def chores(*, sweep_every: timedelta, custody_every: timedelta) -> tuple[Chore, ...]:
    """Return what runs by itself."""
    return (
        Chore(names.SWEEP_SCHEDULE, names.SWEEP, sweep_every, "finds what fell through"),
        Chore(names.CUSTODY_SCHEDULE, names.CUSTODY, custody_every, "counts that every event is accounted for"),
    )


async def ensure(client: Client, chore: Chore) -> str:
    """Create a schedule, or bring its interval up to date; a pause made by hand stays.

    Returns what was done: "created", "updated" or "". Raises Unavailable; RejectedInput `config.invalid` where
    somebody else has a schedule of that name.
    """
    handle = client.get_schedule_handle(chore.schedule)
    try:
        described = await workflow_call(handle.describe(), chore.schedule)
    except RejectedInput as error:
        if error.code != ErrorCode.NOT_FOUND:
            raise
        return await _create(client, chore)
    if await described.memo_value(names.MEMO_OWNER, default=None) != OWNER:
        text = f"the schedule {chore.schedule} exists in Temporal and is not Holdfast's; rename it"
        raise RejectedInput(ErrorCode.CONFIG_INVALID, text)
    if [interval.every for interval in described.schedule.spec.intervals] == [chore.every]:
        return ""

    def renew(now: ScheduleUpdateInput) -> ScheduleUpdate:
        return ScheduleUpdate(replace(_desired(chore), state=now.description.schedule.state))

    await bounded_call(handle.update(renew))
    return "updated"


async def start_now(client: Client, workflow: str, given: Any, workflow_id: str) -> str:
    """Start a sweep or a report at once, beside the schedule; return its run id. Raises Unavailable."""
    handle = await bounded_call(
        client.start_workflow(workflow, given, id=workflow_id, task_queue=names.TASK_QUEUE, static_summary="by hand")
    )
    return handle.first_execution_run_id or ""


async def result_of(client: Client, workflow_id: str, model: type[M], within: timedelta, *, run_id: str = "") -> M:
    """Await the result of a run, the newest one of its id without `run_id`. Raises Unavailable after `within`."""
    handle = client.get_workflow_handle(workflow_id, run_id=run_id or None, result_type=model)
    return await workflow_call(handle.result(), workflow_id, within)


async def last_completed(client: Client, workflow: str, *, scheduled: str = "") -> ListedRun | None:
    """Return the newest run that ended well; with `scheduled`, of those that this schedule started."""
    query = f"WorkflowType = '{workflow}' AND ExecutionStatus = 'Completed' AND TaskQueue = '{names.TASK_QUEUE}'"
    if scheduled:
        query += f" AND TemporalScheduledById = '{scheduled}'"
    async for run in runs(client, query):  # the newest end first
        return run
    return None


async def _create(client: Client, chore: Chore) -> str:
    try:
        await bounded_call(client.create_schedule(chore.schedule, _desired(chore), memo={names.MEMO_OWNER: OWNER}))
    except HoldfastError as error:
        if not isinstance(error.__cause__, ScheduleAlreadyRunningError):
            raise  # another worker was quicker
        return ""
    return "created"


def _desired(chore: Chore) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            chore.workflow, id=chore.schedule, task_queue=names.TASK_QUEUE, static_summary=chore.summary
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=chore.every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
        state=ScheduleState(note="Holdfast's own; pause it or trigger it as you like"),
    )
