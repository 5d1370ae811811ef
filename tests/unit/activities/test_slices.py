"""The pace of a slice: never faster than asked for, also after a wait, and over a crash."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.slices import Slice
from holdfast.clock import SystemClock
from holdfast.contracts.operations import BulkWork, CaseSelection, Cursor, SliceInput, Tally

STEP = timedelta(milliseconds=20)  # of 50/s


class Late(SystemClock):
    """The machine's clock, which a test may put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        """Return the wall clock, and what was put on it."""
        return super().now() + self.ahead


def given(**more: Any) -> SliceInput:
    """A slice at fifty a second."""
    plain = {"operation": "o", "run": "r", "by": "ana", "rate": "50/s", "began": datetime.now(UTC), "end": 0}
    work = BulkWork(move="redrive", select=CaseSelection(where="true"))
    return SliceInput.model_validate({**plain, "work": work, "cursor": Cursor(), "items": 250, **more})


async def turns(part: Slice, clock: SystemClock, number: int) -> list[datetime]:
    """When each of the next items was allowed."""
    found = []
    for _ in range(number):
        await part.turn()
        found.append(clock.now())
    return found


def closest(moments: list[datetime]) -> timedelta:
    """The least time between two."""
    return min(later - sooner for sooner, later in itertools.pairwise(moments))


async def test_items_keep_their_distance() -> None:
    """Between any two of ten items lies at least a fiftieth of a second."""
    clock = SystemClock()
    part = Slice.resumed(given(), (), lambda _: None, clock)
    assert closest(await turns(part, clock, 10)) >= STEP


async def test_what_was_missed_is_not_made_up() -> None:
    """After an hour in which nothing was done the next items come at the same pace, without a burst."""
    clock = Late()
    part = Slice.resumed(given(), (), lambda _: None, clock)
    await turns(part, clock, 2)
    clock.ahead = timedelta(hours=1)
    assert closest(await turns(part, clock, 6)) >= STEP


async def test_a_slice_waits_for_the_moment_that_the_one_before_it_left() -> None:
    """The pace goes from slice to slice; and from a heartbeat, with a step for what may have been sent after it."""
    clock = SystemClock()
    later = clock.now() + timedelta(milliseconds=150)
    part = Slice.resumed(given(not_before=later), (), lambda _: None, clock)
    assert (await turns(part, clock, 1))[0] >= later
    beaten: list[Any] = []
    part = Slice.resumed(given(), (), beaten.append, clock)
    await turns(part, clock, 1)
    part.moved(Cursor(before="2026-11-20T08:00:00Z"), Tally(done=1))
    again = Slice.resumed(given(), beaten[-1:], lambda _: None, clock)
    began = clock.now()
    assert (again.cursor.before, again.tally.done) == ("2026-11-20T08:00:00Z", 1)
    assert (await turns(again, clock, 1))[0] - began >= STEP - timedelta(milliseconds=1)


async def test_a_slice_is_over_after_its_items() -> None:
    """It does as many as it was given, those of an earlier attempt included."""
    clock = SystemClock()
    beaten: list[Any] = []
    part = Slice.resumed(given(items=3), (), beaten.append, clock)
    await turns(part, clock, 2)
    assert not part.over
    part.moved(Cursor(), Tally(done=2))
    again = Slice.resumed(given(items=3), beaten[-1:], lambda _: None, clock)
    await turns(again, clock, 1)
    assert again.over
