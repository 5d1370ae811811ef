"""Operations over many things as people handle them: started once under their id, shown, listed, steered.

Flow: CLI | API → **start** → BulkOperation | Replay; **show** ← query `progress`; **steer** → Update.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from temporalio.client import Client, WorkflowExecution, WorkflowUpdateFailedError
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError

from holdfast import ids
from holdfast.clock import rfc3339
from holdfast.contracts import names
from holdfast.contracts.operations import BulkWork, OperationInput, Progress, ReplayWork, SteerInput
from holdfast.errors import Conflict, ErrorCode, HoldfastError, RejectedInput
from holdfast.temporal.connect import bounded_call, workflow_call

KINDS = f"WorkflowType IN ('{names.BULK_OPERATION}', '{names.REPLAY}')"
_PREFIX = ids.operation_id("x")[:-1]
_STATE = SearchAttributeKey.for_keyword(names.SA_STATE)


@dataclass(frozen=True, slots=True)
class OperationSummary:
    """One line of the list. Visibility lags by a moment."""

    id: str
    kind: str
    state: str
    began: datetime
    ended: datetime | None

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        line: dict[str, Any] = {"id": self.id, "kind": self.kind, "state": self.state, "began": rfc3339(self.began)}
        return line | ({"ended": rfc3339(self.ended)} if self.ended else {})


def derived_id(given: OperationInput) -> str:
    """Return the id of an operation that was given none: the same for the same words, so that two calls are one."""
    kind = given.work.move if isinstance(given.work, BulkWork) else "replay"
    words = (given.work.model_dump_json(), given.model_dump_json(include={"dry_run"}))
    return f"{kind}-{ids.fingerprint(*words)[:12]}"


async def start(client: Client, given: OperationInput, operation: str | None) -> bool:
    """Start it, or attach to the one that runs under its id; True if it was there. Raises what `classify` says.

    An id that somebody chose is used once for ever: started again after its end, it answers with that end.
    """
    name = operation or derived_id(given)
    reuse = WorkflowIDReusePolicy.REJECT_DUPLICATE if operation else WorkflowIDReusePolicy.ALLOW_DUPLICATE
    try:
        await bounded_call(
            client.start_workflow(
                names.BULK_OPERATION if isinstance(given.work, BulkWork) else names.REPLAY,
                given,
                id=ids.operation_id(name),
                task_queue=names.TASK_QUEUE,
                id_reuse_policy=reuse,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                search_attributes=TypedSearchAttributes([SearchAttributePair(_STATE, "counting")]),
                static_summary=summary_of(given)[:200],
            )
        )
    except Conflict:
        return True
    return False


async def show(client: Client, operation: str) -> Progress:
    """Return where it is. Raises RejectedInput `not_found`, Unavailable."""
    workflow_id = _workflow_id(operation)
    handle = client.get_workflow_handle(workflow_id)
    return await workflow_call(handle.query(names.PROGRESS, result_type=Progress), workflow_id)


async def steer(
    client: Client, operation: str, what: str, given: SteerInput, *, update_id: str | None = None
) -> Progress:
    """Confirm, pause, resume or cancel it; with the same `update_id` again, it is said once.

    Raises RejectedInput `operation.illegal_move` | `input.invalid` | `not_found` (also when it has ended), Unavailable.
    """
    workflow_id = _workflow_id(operation)
    handle = client.get_workflow_handle(workflow_id)
    try:
        update = handle.execute_update(what, given, id=update_id, result_type=Progress)
        return await workflow_call(update, workflow_id)
    except HoldfastError as error:
        cause = error.__cause__
        if isinstance(cause, WorkflowUpdateFailedError) and isinstance(cause.cause, ApplicationError):
            known = [code for code in ErrorCode if code == cause.cause.type]
            raise RejectedInput(known[0] if known else ErrorCode.INPUT_INVALID, cause.cause.message) from error
        if error.code == ErrorCode.NOT_FOUND:
            ended = await show(client, operation)  # raises not_found where there never was one
            raise RejectedInput(
                ErrorCode.OPERATION_ILLEGAL_MOVE, f"cannot {what} an operation that is {ended.phase}"
            ) from error
        raise


async def list_operations(client: Client, *, limit: int, kind: str | None = None) -> list[OperationSummary]:
    """Return at most `limit`, the ones under way and then the newest first; `kind` is a workflow's name.

    Raises Unavailable.
    """
    query = KINDS if kind is None else f"WorkflowType = '{kind}'"

    async def collect() -> list[OperationSummary]:
        return [_line(run) async for run in client.list_workflows(query, limit=limit)]

    return await bounded_call(collect())


def summary_of(given: OperationInput) -> str:
    """Say in one line what it does."""
    return summary_of_work(given.work) + (", dry run" if given.dry_run else "")


def summary_of_work(work: BulkWork | ReplayWork) -> str:
    """Say in one line what is to be done."""
    if isinstance(work, ReplayWork):
        what = f"replay {work.source} {_minute(work.since)} to {_minute(work.until)}"
        parts = [what, f"by {work.trigger}" if work.trigger else "", "unmatched only" if work.unmatched else ""]
    else:
        select = work.select.model_dump(mode="json", exclude_none=True)
        parts = [work.move, *(f"{name} {value}" for name, value in select.items())]
    return ", ".join(part for part in parts if part)


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def _line(run: WorkflowExecution) -> OperationSummary:
    return OperationSummary(
        id=run.id.removeprefix(_PREFIX),
        kind=run.workflow_type,
        state=run.typed_search_attributes.get(_STATE) or "",
        began=run.start_time,
        ended=run.close_time,
    )


def _workflow_id(operation: str) -> str:
    return operation if operation.startswith(_PREFIX) else ids.operation_id(operation)
