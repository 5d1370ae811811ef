"""`CaseWatch`: one per trigger, while cases wait for its recovery or for a newer event; one query per look for all.

Flow: DeadLetter → **enter** → look → tell a few, then more as their redrives succeed. Ends when nobody waits.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from holdfast.contracts import names
from holdfast.contracts.case_watch import LookInput, WatchEntry, WatchInput
from holdfast.errors import ErrorCode
from workflows import calls, policies
from workflows.escalate import facts
from workflows.inputs import NOTHING, Unreadable, read

MOST = 5_000  # cases that wait; those beyond it still have the waits of their own
MOST_CHARACTERS = 1_000_000  # of their ids and keys; a new run's input ends at 2 MiB
FIRST_BATCH = 10  # cases told at the first sign of life
GROWTH = 5  # as long as deliveries succeed
LOOK_BACK = timedelta(minutes=5)
FORGET_AFTER = timedelta(days=90)


@workflow.defn(name=names.CASE_WATCH, failure_exception_types=policies.FAILURE_TYPES)
class CaseWatch:
    """One watch. Its workflow id is `case-watch/{trigger}`."""

    @workflow.init
    def __init__(self, raw: RawValue = NOTHING) -> None:
        given = read(WatchInput, raw)
        self._given = None if isinstance(given, Unreadable) else given
        self._waiting = {} if self._given is None else {entry.case: entry for entry in self._given.entries}
        self._entered = False

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> int:  # noqa: ARG002 - read by __init__, before any signal
        """Look until nobody waits; the result is how many were told."""
        given = self._given
        if given is None:
            raise ApplicationError("not a WatchInput", type=ErrorCode.INPUT_INVALID, non_retryable=True)
        since, told, batch, every = given.since or facts().at - LOOK_BACK, 0, FIRST_BATCH, policies.LOOK_FIRST
        while True:
            self._entered = False
            await calls.pause(every)
            found = await calls.look_at_trigger(
                LookInput(trigger=given.trigger, since=since, entries=self._batch(batch))
            )
            for case in found.settled:
                self._waiting.pop(case, None)
            told += len(found.settled)
            self._forget(facts().at - FORGET_AFTER)
            if not self._waiting:
                return told
            recovered = found.newest is not None
            since = found.newest or since
            batch = min(batch * GROWTH, MOST) if recovered else FIRST_BATCH
            every = policies.LOOK_FIRST if recovered or self._entered else min(every * 2, policies.LOOK_LAST)
            calls.tell(self._told(recovered, since))
            if calls.crowded():
                calls.go_on(WatchInput(trigger=given.trigger, since=since, entries=tuple(self._waiting.values())))

    @workflow.signal(name="watch")
    def enter(self, raw: RawValue = NOTHING) -> None:
        """Enter a case, or enter it anew after it failed again."""
        entry = read(WatchEntry, raw)
        if isinstance(entry, Unreadable):
            return
        size = sum(len(one.case) + len(one.key) for one in self._waiting.values())
        if len(self._waiting) < MOST and size < MOST_CHARACTERS:
            self._waiting[entry.case] = entry
            self._entered = True

    @workflow.query(name="waiting")
    def waiting(self) -> Sequence[str]:
        """Name the cases that wait."""
        return tuple(self._waiting)

    def _batch(self, size: int) -> tuple[WatchEntry, ...]:
        """Return who is looked after now: all that wait for a newer event, and the first of those for a recovery."""
        entries = list(self._waiting.values())
        first = {entry.case for entry in [one for one in entries if one.recovery][:size]}
        return tuple(
            entry.model_copy(update={"recovery": entry.case in first})
            for entry in entries
            if entry.key or entry.case in first
        )

    def _forget(self, before: datetime) -> None:
        for case in [entry.case for entry in self._waiting.values() if entry.failed_at < before]:
            del self._waiting[case]

    def _told(self, recovered: bool, since: datetime) -> str:
        seen = (
            f"last delivery that ended well: {since.isoformat(timespec='seconds')}" if recovered else "no sign of life"
        )
        return f"### {len(self._waiting)} cases wait\n{seen}"
