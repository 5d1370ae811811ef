"""Dead letters as people handle them: shown by query, moved by Update; one function per move, for CLI and API alike.

Every call is bounded. A move with an `update_id` is done once, however often it is sent.
"""

from datetime import timedelta

from temporalio.client import (
    Client,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.dead_letter import CaseView
from holdfast.contracts.moves import (
    AcknowledgeInput,
    AssignInput,
    CommentInput,
    DiscardInput,
    MoveInput,
    RedriveInput,
    SnoozeInput,
)
from holdfast.domain.deadletters import Move, next_state
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput, Unavailable
from holdfast.temporal.connect import workflow_call

UPDATE_WITHIN = timedelta(seconds=15)


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


async def acknowledge(
    client: Client, dead_letter_id: str, given: AcknowledgeInput, *, update_id: str | None = None
) -> CaseView:
    """Say that somebody looks after it.

    Raises RejectedInput `case.closed` | `case.redriving` | `case.illegal_move` | `input.invalid` | `not_found`,
    Unavailable.
    """
    return await _move(client, dead_letter_id, Move.ACKNOWLEDGE, given, update_id)


async def assign(client: Client, dead_letter_id: str, given: AssignInput, *, update_id: str | None = None) -> CaseView:
    """Give it to somebody. Raises as `acknowledge`."""
    return await _move(client, dead_letter_id, Move.ASSIGN, given, update_id)


async def snooze(client: Client, dead_letter_id: str, given: SnoozeInput, *, update_id: str | None = None) -> CaseView:
    """Ask for no attention for a while. Raises as `acknowledge`."""
    return await _move(client, dead_letter_id, Move.SNOOZE, given, update_id)


async def comment(
    client: Client, dead_letter_id: str, given: CommentInput, *, update_id: str | None = None
) -> CaseView:
    """Leave a note. Raises as `acknowledge`."""
    return await _move(client, dead_letter_id, Move.COMMENT, given, update_id)


async def redrive(
    client: Client, dead_letter_id: str, given: RedriveInput, *, update_id: str | None = None
) -> CaseView:
    """Try again. Raises as `acknowledge`, and RejectedInput `case.refused` for what cannot be done as asked."""
    return await _move(client, dead_letter_id, Move.REDRIVE, given, update_id)


async def discard(
    client: Client, dead_letter_id: str, given: DiscardInput, *, update_id: str | None = None
) -> CaseView:
    """Give it up, with a reason. Raises as `acknowledge`."""
    return await _move(client, dead_letter_id, Move.DISCARD, given, update_id)


async def _move(client: Client, dead_letter_id: str, move: Move, given: MoveInput, update_id: str | None) -> CaseView:
    workflow_id = _workflow_id(dead_letter_id)
    handle = client.get_workflow_handle(workflow_id)
    update = handle.execute_update(str(move), given, id=update_id, result_type=CaseView)
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
        if error.code == ErrorCode.NOT_FOUND:
            view = await show_case(client, dead_letter_id)  # raises not_found where there never was one
            next_state(view.state, move)  # raises what a person can understand: it is closed
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
