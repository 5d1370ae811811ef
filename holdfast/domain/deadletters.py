"""The life of a dead letter's case as a table of legal moves.

open → acknowledged → redriving → resolved | discarded | expired; a redrive that fails opens the case again.
"""

from enum import StrEnum

from holdfast.errors import ErrorCode, RejectedInput


class Stage(StrEnum):
    """Where on its way the event failed for good."""

    DECODE = "decode"
    FILTER = "filter"
    JOIN = "join"
    START = "start"
    DELIVERY = "delivery"
    SCHEDULE = "schedule"


class CaseState(StrEnum):
    """What has become of a dead letter."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    REDRIVING = "redriving"
    RESOLVED = "resolved"
    DISCARDED = "discarded"
    EXPIRED = "expired"


class Move(StrEnum):
    """What can be done to a case; the first three are Updates that a person sends."""

    ACKNOWLEDGE = "acknowledge"
    REDRIVE = "redrive"
    DISCARD = "discard"
    SUCCEED = "succeed"
    FAIL_AGAIN = "fail_again"
    EXPIRE = "expire"


CLOSED = frozenset({CaseState.RESOLVED, CaseState.DISCARDED, CaseState.EXPIRED})

_MOVES: dict[tuple[CaseState, Move], CaseState] = {
    (CaseState.OPEN, Move.ACKNOWLEDGE): CaseState.ACKNOWLEDGED,
    (CaseState.OPEN, Move.REDRIVE): CaseState.REDRIVING,
    (CaseState.OPEN, Move.DISCARD): CaseState.DISCARDED,
    (CaseState.OPEN, Move.EXPIRE): CaseState.EXPIRED,
    (CaseState.ACKNOWLEDGED, Move.REDRIVE): CaseState.REDRIVING,
    (CaseState.ACKNOWLEDGED, Move.DISCARD): CaseState.DISCARDED,
    (CaseState.ACKNOWLEDGED, Move.EXPIRE): CaseState.EXPIRED,
    (CaseState.REDRIVING, Move.SUCCEED): CaseState.RESOLVED,
    (CaseState.REDRIVING, Move.FAIL_AGAIN): CaseState.OPEN,
}


def next_state(state: CaseState, move: Move) -> CaseState:
    """Return the state after `move`. Raises RejectedInput `case.illegal_move`, saying what is possible instead."""
    target = _MOVES.get((state, move))
    if target is None:
        possible = [str(m) for (s, m) in _MOVES if s == state and m in {Move.ACKNOWLEDGE, Move.REDRIVE, Move.DISCARD}]
        hint = f"possible now: {', '.join(possible)}" if possible else "nothing more can be done to it"
        raise RejectedInput(ErrorCode.CASE_ILLEGAL_MOVE, f"cannot {move} a case that is {state}; {hint}")
    return target
