"""Dead letters as people handle them: listed by search attributes, shown by query, moved by Update.

For the command line and for metrics; every call is bounded.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.dead_letter import AcknowledgeInput, CaseView, DiscardInput, RedriveInput
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput, Unavailable
from holdfast.temporal.connect import bounded_call, workflow_call

UPDATE_WITHIN = timedelta(seconds=15)
OPEN = f"WorkflowType = '{names.DEAD_LETTER}' AND ExecutionStatus = 'Running'"
ALL = f"WorkflowType = '{names.DEAD_LETTER}'"


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases; None means any. `only_open` leaves out those that are resolved, discarded or expired."""

    only_open: bool = True
    source: str | None = None
    trigger: str | None = None
    event_id: str | None = None
    error: str | None = None
    state: str | None = None

    @property
    def query(self) -> str:
        """The visibility query, which also works in the Temporal UI and in `temporal workflow list --query`."""
        parts = [OPEN if self.only_open else ALL]
        for name, value in (
            (names.SA_SOURCE, self.source),
            (names.SA_TRIGGER, self.trigger),
            (names.SA_EVENT_ID, self.event_id),
            (names.SA_ERROR, self.error),
            (names.SA_STATE, self.state),
        ):
            if value is not None:
                parts.append(f"{name} = {_quoted(value)}")
        return " AND ".join(parts)


@dataclass(frozen=True, slots=True)
class CaseSummary:
    """One line of the list. Visibility lags by a moment; `show_case` does not."""

    workflow_id: str
    run_id: str
    state: str
    source: str
    event_id: str
    event_type: str
    trigger: str
    error: str
    opened_at: datetime
    closed_at: datetime | None

    @property
    def dead_letter_id(self) -> str:
        """Id of the dead letter: what `show_case` and the moves take."""
        return self.workflow_id.removeprefix(ids.case_id(""))


async def list_cases(client: Client, wanted: CaseFilter, *, limit: int = 100) -> list[CaseSummary]:
    """Return at most `limit` cases, the newest first. Raises Unavailable."""

    async def collect() -> list[CaseSummary]:
        return [_summary(run) async for run in client.list_workflows(wanted.query, limit=limit)]

    return await bounded_call(collect())


async def count_open(client: Client) -> int:
    """Return how many cases wait for somebody. Raises Unavailable."""
    return (await bounded_call(client.count_workflows(OPEN))).count


async def show_case(client: Client, dead_letter_id: str) -> CaseView:
    """Return the whole case. Raises RejectedInput `not_found`, Unavailable (also when no worker runs)."""
    workflow_id = _workflow_id(dead_letter_id)
    handle = client.get_workflow_handle(workflow_id)
    try:
        return await workflow_call(handle.query(names.CASE, result_type=CaseView), workflow_id, UPDATE_WITHIN)
    except HoldfastError as error:
        if isinstance(error.__cause__, (WorkflowQueryFailedError, WorkflowQueryRejectedError)):
            raise Unavailable(ErrorCode.NOT_READY, f"the case cannot be read: {error.__cause__}") from error
        raise


async def acknowledge(client: Client, dead_letter_id: str, given: AcknowledgeInput) -> CaseView:
    """Say that somebody looks after it. Raises RejectedInput `case.illegal_move` | `not_found`, Unavailable."""
    return await _move(client, dead_letter_id, names.ACKNOWLEDGE, given)


async def redrive(client: Client, dead_letter_id: str, given: RedriveInput) -> CaseView:
    """Try again with the trigger as it is configured now. Raises as `acknowledge`."""
    return await _move(client, dead_letter_id, names.REDRIVE, given)


async def discard(client: Client, dead_letter_id: str, given: DiscardInput) -> CaseView:
    """Give it up, with a reason. Raises as `acknowledge`."""
    return await _move(client, dead_letter_id, names.DISCARD, given)


async def _move(
    client: Client, dead_letter_id: str, name: str, given: AcknowledgeInput | RedriveInput | DiscardInput
) -> CaseView:
    workflow_id = _workflow_id(dead_letter_id)
    update = client.get_workflow_handle(workflow_id).execute_update(name, given, result_type=CaseView)
    try:
        return await workflow_call(update, workflow_id, UPDATE_WITHIN)
    except HoldfastError as error:
        cause = error.__cause__
        if isinstance(cause, WorkflowUpdateFailedError):
            raise _refusal(cause) from error
        if isinstance(cause, (WorkflowUpdateRPCTimeoutOrCancelledError, TimeoutError)):
            raise Unavailable(
                ErrorCode.TEMPORAL_UNAVAILABLE, "no answer in time; is a worker running? It may still happen"
            ) from error
        raise


def _refusal(error: WorkflowUpdateFailedError) -> RejectedInput:
    cause = error.cause
    if isinstance(cause, ApplicationError):
        known = [code for code in ErrorCode if code == cause.type]
        return RejectedInput(known[0] if known else ErrorCode.INPUT_INVALID, cause.message)
    return RejectedInput(ErrorCode.INPUT_INVALID, str(cause))


def _workflow_id(dead_letter_id: str) -> str:
    """Take a dead letter's id or, as people copy it from the UI, its case's workflow id."""
    prefix = ids.case_id("")
    return dead_letter_id if dead_letter_id.startswith(prefix) else prefix + dead_letter_id


def _summary(run: WorkflowExecution) -> CaseSummary:
    def attribute(name: str) -> str:
        return run.typed_search_attributes.get(SearchAttributeKey.for_keyword(name)) or ""

    return CaseSummary(
        workflow_id=run.id,
        run_id=run.run_id,
        state=attribute(names.SA_STATE),
        source=attribute(names.SA_SOURCE),
        event_id=attribute(names.SA_EVENT_ID),
        event_type=attribute(names.SA_EVENT_TYPE),
        trigger=attribute(names.SA_TRIGGER),
        error=attribute(names.SA_ERROR),
        opened_at=run.start_time,
        closed_at=run.close_time,
    )


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
