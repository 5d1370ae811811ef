import pytest

from holdfast.domain.deadletters import CLOSED, CaseState, Move, next_state
from holdfast.errors import RejectedInput


def test_a_closed_case_takes_no_move() -> None:
    """Resolved, discarded and expired are final."""
    for state in CLOSED:
        for move in Move:
            with pytest.raises(RejectedInput, match="nothing more"):
                next_state(state, move)


def test_a_failed_redrive_opens_the_case_again() -> None:
    """A dead letter is not forgotten because somebody tried."""
    assert next_state(next_state(CaseState.OPEN, Move.REDRIVE), Move.FAIL_AGAIN) is CaseState.OPEN


def test_an_illegal_move_names_the_legal_ones() -> None:
    """The text tells the operator what is possible now."""
    with pytest.raises(RejectedInput, match="possible now: redrive, discard, assign, snooze, comment"):
        next_state(CaseState.ACKNOWLEDGED, Move.ACKNOWLEDGE)


def test_no_case_can_be_discarded_while_it_is_redriven() -> None:
    """The outcome of a redrive under way decides, not a person who cannot see it yet."""
    with pytest.raises(RejectedInput):
        next_state(CaseState.REDRIVING, Move.DISCARD)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (CaseState.RESOLVED, "case.closed"),
        (CaseState.REDRIVING, "case.redriving"),
    ],
)
def test_a_redrive_that_comes_too_late_says_which_way(state: CaseState, code: str) -> None:
    """Whoever redrives many tells done from under way by the code."""
    with pytest.raises(RejectedInput) as caught:
        next_state(state, Move.REDRIVE)
    assert caught.value.code == code
