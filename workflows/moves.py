"""What people may ask of a case: the input of each move read and verified, before anything is changed.

Flow: Update or signal → **read → verify** → case. Everything here raises ApplicationError, which refuses and no more.
"""

from collections.abc import Sequence
from datetime import datetime

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from holdfast.contracts import names
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.escalations import Change
from holdfast.contracts.moves import (
    AcknowledgeInput,
    AssignInput,
    CommentInput,
    DiscardInput,
    MoveInput,
    RedriveInput,
    RedriveLine,
    SnoozeInput,
)
from holdfast.domain.deadletters import CaseState, Move
from holdfast.errors import ErrorCode
from workflows import policies
from workflows.case import snooze_end
from workflows.inputs import Model, Unreadable, read_or_default

_INPUTS: tuple[tuple[str, type[MoveInput]], ...] = (
    (names.ACKNOWLEDGE, AcknowledgeInput),
    (names.ASSIGN, AssignInput),
    (names.SNOOZE, SnoozeInput),
    (names.COMMENT, CommentInput),
    (names.REDRIVE, RedriveInput),
    (names.DISCARD, DiscardInput),
)
_CHANGES: tuple[tuple[Move, Change], ...] = (
    (Move.ACKNOWLEDGE, "acknowledged"),
    (Move.SNOOZE, "snoozed"),
    (Move.WAKE, "reopened"),
    (Move.FAIL_AGAIN, "reopened"),
    (Move.DISCARD, "closed"),
    (Move.SUCCEED, "closed"),
    (Move.SUPERSEDE, "closed"),
    (Move.EXPIRE, "closed"),
)
QUIET = frozenset({Move.ASSIGN, Move.SNOOZE, Move.COMMENT})  # the state stays, so nothing is upserted for it


def change_of(move: Move) -> Change | None:
    """Return what an escalation is told of a move; None: nothing."""
    return next((change for one, change in _CHANGES if one == move), None)


def verify(given: MoveInput, record: DeadLetterRecord, lines: Sequence[RedriveLine], now: datetime) -> None:
    """Refuse what is well formed and yet cannot be done. Raises ApplicationError `input.invalid`, `case.redriven`."""
    if isinstance(given, RedriveInput):
        if given.unless_since is not None and since_redriven(lines, given.unless_since):
            raise ApplicationError(
                f"it was redriven since {given.unless_since.isoformat(timespec='seconds')}",
                type=ErrorCode.CASE_REDRIVEN,
                non_retryable=True,
            )
        if given.body is None and not (record.envelope or record.raw_base64 or record.tick):
            raise invalid("there is nothing to send again; give a `body`")
    elif isinstance(given, SnoozeInput):
        end = snooze_end(given, now)
        if end <= now:
            raise invalid(f"until: {end.isoformat()} is in the past")
        if end - now > policies.LONGEST_SNOOZE:
            raise invalid("until: at most 366 days from now")


def since_redriven(lines: Sequence[RedriveLine], since: datetime) -> bool:
    """Whether a redrive was begun at or after `since`; one that was refused as asked has changed nothing."""
    return any(line.at >= since and line.outcome != "refused" for line in lines)


def given_as(model: type[Model], raw: RawValue) -> Model:
    """Read what a person sent. Raises ApplicationError `input.invalid`, which rejects the Update and no more."""
    given = read_or_default(model, raw)
    if isinstance(given, Unreadable):
        raise invalid(given.reason)
    return given


def model_of(name: str) -> type[MoveInput]:
    """Return what a signal of this name carries. Raises ApplicationError for one that is none of ours."""
    for known, model in _INPUTS:
        if known == name:
            return model
    raise invalid(f"there is no such signal; there are {', '.join(known for known, _ in _INPUTS)}")


def invalid(reason: str) -> ApplicationError:
    """Return the refusal of what was sent."""
    return ApplicationError(reason, type=ErrorCode.INPUT_INVALID, non_retryable=True)


def missing_attributes(record: DeadLetterRecord) -> dict[str, str]:
    """Return the search attributes that whoever started this case did not set."""
    wanted = {
        names.SA_SOURCE: record.source,
        names.SA_EVENT_ID: record.event_id,
        names.SA_EVENT_TYPE: record.event_type,
        names.SA_TRIGGER: record.trigger,
        names.SA_ERROR: record.code,
        names.SA_STATE: CaseState.OPEN,
    }
    present = {pair.key.name for pair in workflow.info().typed_search_attributes}
    return {name: value for name, value in wanted.items() if value and name not in present}
