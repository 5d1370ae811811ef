"""One slice of an operation: its pace, its tally and its place, kept in heartbeats so that another worker goes on.

Flow: advance_operation → **Slice** → items. The pace never catches up: between two items lies at least its interval,
also over a crash, so there is never a burst.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from holdfast.clock import Clock
from holdfast.contracts.operations import Cursor, SliceInput, SliceResult, Tally
from holdfast.contracts.operations import Failed as FailedItem
from holdfast.errors import bounded

TOGETHER = 16  # items under way at a time
AT_MOST = timedelta(seconds=10)  # of work in one slice, however slow the items are
MAX_MESSAGE = 300
BEAT = timedelta(seconds=1)


class Slice:
    """What is left of one slice, in the attempt that does it now."""

    def __init__(self, given: SliceInput, done: SliceResult, beat: Callable[..., None], clock: Clock) -> None:
        self.given = given
        self.cursor = done.cursor
        self.tally = done.tally
        self._next = done.not_before or clock.now()
        self._beat = beat
        self._clock = clock
        self._interval = given.rate.per / given.rate.count
        self._began = clock.monotonic()
        self._beaten = 0.0
        self._spent = done.tally.total

    @classmethod
    def resumed(cls, given: SliceInput, details: Sequence[Any], beat: Callable[..., None], clock: Clock) -> "Slice":
        """Go on from the last heartbeat of an earlier attempt, where there was one."""
        done = SliceResult(cursor=given.cursor, tally=Tally(), finished=False, not_before=given.not_before)
        with contextlib.suppress(ValidationError):
            if details:
                done = SliceResult.model_validate(details[0])
                # what was sent after that beat is not known: leave it its time
                wait = clock.now() + given.rate.per / given.rate.count
                done = done.model_copy(update={"not_before": max(wait, done.not_before or wait)})
        return cls(given, done, beat, clock)

    @property
    def over(self) -> bool:
        """Whether this slice has had its items or its time."""
        long = self._clock.monotonic() - self._began > AT_MOST.total_seconds()
        return self._spent >= self.given.items or long

    async def turn(self) -> None:
        """Wait until the pace allows the next item."""
        self._spent += 1
        while (wait := (self._next - self._clock.now()).total_seconds()) > 0:
            await asyncio.sleep(min(wait, BEAT.total_seconds()))
            self.alive()
        # what was missed is not made up: no burst, whatever happened
        self._next = max(self._next, self._clock.now()) + self._interval

    def moved(self, cursor: Cursor, tally: Tally) -> None:
        """Everything up to `cursor` is settled, with this outcome."""
        self.cursor, self.tally = cursor, self.tally.plus(tally)
        self.alive(now=True)

    def alive(self, *, now: bool = False) -> None:
        """Say that it lives, and where it is."""
        if now or self._clock.monotonic() - self._beaten > BEAT.total_seconds():
            self._beaten = self._clock.monotonic()
            self._beat(self.result(finished=False).model_dump(mode="json"))

    def result(self, *, finished: bool) -> SliceResult:
        """Return what was done."""
        return SliceResult(cursor=self.cursor, tally=self.tally, finished=finished, not_before=self._next)


def tally_failed(item: str, code: str, message: str) -> Tally:
    """Count one item that failed, by name."""
    return Tally(failed=1, failures=(FailedItem(item=item, code=code, message=bounded(message, MAX_MESSAGE)),))


@contextlib.asynccontextmanager
async def beating(part: Slice) -> AsyncIterator[None]:
    """Keep the heartbeat while single items take long."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(BEAT.total_seconds())
            part.alive()

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
