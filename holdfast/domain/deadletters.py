"""The life of a dead letter's case as a table of legal moves.

open → acknowledged → redriving → resolved | discarded | expired; a redrive that fails opens the case again.
"""

from enum import StrEnum

from holdfast.errors import ErrorCode, RejectedInput


class Stage(StrEnum):
    """Where on its way the event failed for good."""

    DECODE = "decode"
    FILTER = "filter"
    START = "start"
    DELIVERY = "delivery"
    JOIN = "join"
    SCHEDULE = "schedule"
    SWEEP = "sweep"


class CaseState(StrEnum):
    """What has become of a dead letter."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    REDRIVING = "redriving"
    RESOLVED = "resolved"
    DISCARDED = "discarded"
    EXPIRED = "expired"


class Move(StrEnum):
    """What can be done to a case."""

    ACKNOWLEDGE = "acknowledge"
    ASSIGN = "assign"
    SNOOZE = "snooze"
    COMMENT = "comment"
    REDRIVE = "redrive"
    DISCARD = "discard"
    SUCCEED = "succeed"
    SUPERSEDE = "supersede"
    FAIL_AGAIN = "fail_again"
    REFUSE = "refuse"
    WAKE = "wake"
    EXPIRE = "expire"


CLOSED = frozenset({CaseState.RESOLVED, CaseState.DISCARDED, CaseState.EXPIRED})
WAITING = frozenset({CaseState.OPEN, CaseState.ACKNOWLEDGED})

BY_PEOPLE = (Move.REDRIVE, Move.DISCARD, Move.ACKNOWLEDGE, Move.ASSIGN, Move.SNOOZE, Move.COMMENT)
"""The moves that are Updates and signals; the others happen by themselves."""

_MOVES: dict[tuple[CaseState, Move], CaseState] = {
    (CaseState.OPEN, Move.REDRIVE): CaseState.REDRIVING,
    (CaseState.OPEN, Move.DISCARD): CaseState.DISCARDED,
    (CaseState.OPEN, Move.ACKNOWLEDGE): CaseState.ACKNOWLEDGED,
    (CaseState.OPEN, Move.ASSIGN): CaseState.OPEN,
    (CaseState.OPEN, Move.SNOOZE): CaseState.OPEN,
    (CaseState.OPEN, Move.COMMENT): CaseState.OPEN,
    (CaseState.OPEN, Move.WAKE): CaseState.OPEN,
    (CaseState.OPEN, Move.SUPERSEDE): CaseState.RESOLVED,
    (CaseState.OPEN, Move.EXPIRE): CaseState.EXPIRED,
    (CaseState.ACKNOWLEDGED, Move.REDRIVE): CaseState.REDRIVING,
    (CaseState.ACKNOWLEDGED, Move.DISCARD): CaseState.DISCARDED,
    (CaseState.ACKNOWLEDGED, Move.ASSIGN): CaseState.ACKNOWLEDGED,
    (CaseState.ACKNOWLEDGED, Move.SNOOZE): CaseState.ACKNOWLEDGED,
    (CaseState.ACKNOWLEDGED, Move.COMMENT): CaseState.ACKNOWLEDGED,
    (CaseState.ACKNOWLEDGED, Move.WAKE): CaseState.OPEN,
    (CaseState.ACKNOWLEDGED, Move.SUPERSEDE): CaseState.RESOLVED,
    (CaseState.ACKNOWLEDGED, Move.EXPIRE): CaseState.EXPIRED,
    (CaseState.REDRIVING, Move.ASSIGN): CaseState.REDRIVING,
    (CaseState.REDRIVING, Move.COMMENT): CaseState.REDRIVING,
    (CaseState.REDRIVING, Move.SUCCEED): CaseState.RESOLVED,
    (CaseState.REDRIVING, Move.SUPERSEDE): CaseState.RESOLVED,
    (CaseState.REDRIVING, Move.FAIL_AGAIN): CaseState.OPEN,
    (CaseState.REDRIVING, Move.REFUSE): CaseState.OPEN,
}


def next_state(state: CaseState, move: Move) -> CaseState:
    """Return the state after `move`.

    Raises RejectedInput, saying what is possible instead: `case.closed`, `case.redriving` while a redrive is under
    way, else `case.illegal_move`.
    """
    target = _MOVES.get((state, move))
    if target is None:
        possible = [str(m) for m in BY_PEOPLE if (state, m) in _MOVES]
        hint = f"possible now: {', '.join(possible)}" if possible else "nothing more can be done to it"
        raise RejectedInput(_code(state), f"cannot {move} a case that is {state}; {hint}")
    return target


def _code(state: CaseState) -> ErrorCode:
    if state in CLOSED:
        return ErrorCode.CASE_CLOSED
    return ErrorCode.CASE_REDRIVING if state == CaseState.REDRIVING else ErrorCode.CASE_ILLEGAL_MOVE
