"""One case's part in a bulk operation: the move sent once, whatever happens, and what came of it said honestly.

Flow: scan → **move_one** → Done | Skipped | Unreachable. The Update's id is made of operation and case, so sending it
again is no second move; a redrive says that it is meant only if nobody redrove the case since the operation began.
"""

from dataclasses import dataclass

from temporalio.client import Client

from holdfast import ids
from holdfast.contracts.dead_letter import CaseView
from holdfast.contracts.moves import AcknowledgeInput, DiscardInput, RedriveInput
from holdfast.contracts.operations import BulkWork, SliceInput
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput, Unavailable
from holdfast.temporal import cases
from holdfast.temporal.connect import workflow_call

_NOT_ANY_MORE = frozenset(
    {
        ErrorCode.CASE_CLOSED,
        ErrorCode.CASE_REDRIVING,
        ErrorCode.CASE_REDRIVEN,
        ErrorCode.CASE_ILLEGAL_MOVE,
        ErrorCode.NOT_FOUND,
    }
)
"""What a case answers where nothing is left to be done: counted by this code, and no failure."""


@dataclass(frozen=True, slots=True)
class Done:
    """The case has taken the move, now or when it was sent before."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Nothing was to be done any more."""

    code: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not be done: refused, or the case does not answer though Temporal does."""

    code: str
    message: str


Outcome = Done | Skipped | Failed


async def move_one(client: Client, given: SliceInput, work: BulkWork, dead_letter_id: str) -> Outcome:
    """Send the move. Raises Unavailable where Temporal itself is away: nothing is known, try again."""
    try:
        await _send(client, given, work, dead_letter_id)
    except RejectedInput as error:
        if error.code not in _NOT_ANY_MORE:
            return Failed(error.code, error.message)
        if error.code != ErrorCode.NOT_FOUND and await _was_ours(client, given, dead_letter_id):
            return Done()
        return Skipped(error.code)
    return Done()


async def answers(client: Client, dead_letter_id: str) -> bool:
    """Whether Temporal is there and only this case does not answer. Raises Unavailable where it is away."""
    case = ids.case_id(dead_letter_id)
    try:
        await workflow_call(client.get_workflow_handle(case).describe(), case)
    except RejectedInput:
        return False
    return True


def mark_of(operation: str, run: str) -> str:
    """What a case's history says of the operation that moved it, so that people see it and a repeat knows itself."""
    return f"[{operation} {run[:8]}]"


async def _send(client: Client, given: SliceInput, work: BulkWork, dead_letter_id: str) -> CaseView:
    update_id = ids.fingerprint("bulk", given.operation, given.run, dead_letter_id)
    why = f"{work.reason} {mark_of(given.operation, given.run)}".strip()
    match work.move:
        case "redrive":
            redrive = RedriveInput(
                by=given.by, reason=why, trigger=work.trigger, config=work.config, unless_since=given.began
            )
            return await cases.redrive(client, dead_letter_id, redrive, update_id=update_id)
        case "discard":
            return await cases.discard(
                client, dead_letter_id, DiscardInput(by=given.by, reason=why), update_id=update_id
            )
        case "acknowledge":
            acknowledge = AcknowledgeInput(by=given.by, note=why)
            return await cases.acknowledge(client, dead_letter_id, acknowledge, update_id=update_id)


async def _was_ours(client: Client, given: SliceInput, dead_letter_id: str) -> bool:
    """Whether it was this operation that moved the case: the answer to what was sent before was lost."""
    try:
        view = await cases.show_case(client, dead_letter_id)
    except HoldfastError as error:
        if isinstance(error, Unavailable) and error.code != ErrorCode.NOT_READY:
            raise
        return False
    mark = mark_of(given.operation, given.run)
    return any(mark in entry.note for entry in view.history)
