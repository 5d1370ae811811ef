"""Every event has exactly one fate, whatever is known of it and in whatever order."""

import itertools

import pytest

from holdfast.domain.custody import Fate, Trace, judge

GONE = Trace("bill/shop/1", "ended", "terminated")
RUNS = Trace("bill/shop/1", "running")
GIVEN_UP = Trace("bill/shop/1", "given up")
LETTER = Trace("bill/shop/1", "dead letter")
DONE = Trace("bill/shop/1", "delivered")
OTHER_DONE = Trace("note/shop/1", "delivered")
OTHER_GIVEN_UP = Trace("note/shop/1", "given up")


@pytest.mark.parametrize(
    ("traces", "fate"),
    [
        ((DONE,), Fate.DELIVERED),
        ((DONE, OTHER_DONE), Fate.DELIVERED),
        ((GIVEN_UP, LETTER), Fate.DEAD_LETTERED),
        ((LETTER,), Fate.DEAD_LETTERED),
        ((GIVEN_UP, LETTER, RUNS), Fate.IN_FLIGHT),  # a redrive is under way
        ((GIVEN_UP, LETTER, DONE), Fate.DELIVERED),  # a redrive delivered
        ((DONE, OTHER_GIVEN_UP), Fate.DEAD_LETTERED),
        ((RUNS, OTHER_GIVEN_UP), Fate.IN_FLIGHT),
        ((GONE,), Fate.UNACCOUNTED),
        ((GONE, OTHER_DONE), Fate.UNACCOUNTED),
        ((GONE, LETTER), Fate.DEAD_LETTERED),
        ((GONE, RUNS), Fate.IN_FLIGHT),
    ],
)
def test_an_event_is_where_its_worst_delivery_is(traces: tuple[Trace, ...], fate: Fate) -> None:
    """Each delivery counts by the best that is known of it, the event by the worst of its deliveries."""
    for order in itertools.permutations(traces):
        assert judge(order, unmatched=False, settled=True).fate is fate


@pytest.mark.parametrize(
    ("unmatched", "settled", "fate"),
    [(True, True, Fate.UNMATCHED), (False, False, Fate.IN_FLIGHT), (False, True, Fate.UNACCOUNTED)],
)
def test_an_event_without_a_delivery(unmatched: bool, settled: bool, fate: Fate) -> None:
    """Recorded as unwanted, not handed out yet, or gone."""
    assert judge((), unmatched=unmatched, settled=settled).fate is fate


def test_what_is_unaccounted_says_why() -> None:
    """A person reads which delivery, and how it ended."""
    assert "bill/shop/1 was terminated" in judge((GONE,), unmatched=False, settled=True).detail
