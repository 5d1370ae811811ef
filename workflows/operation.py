"""What an operation over many things knows and how it goes: survey → confirm → slices → an end. No item is done here.

Flow: BulkOperation | Replay → **operation** → survey_operation, advance_operation. What it keeps is bounded: counts, a
cursor, a sample, the first failures; before its history grows long it goes on in a new run.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from holdfast.contracts import names
from holdfast.contracts.operations import (
    Carried,
    Cursor,
    OperationInput,
    Phase,
    Progress,
    Said,
    SliceInput,
    SliceResult,
    SteerInput,
    Survey,
    SurveyInput,
    Tally,
)
from holdfast.domain.quantities import format_rate
from holdfast.errors import ErrorCode, bounded
from workflows import calls, policies
from workflows.escalate import facts

ENDED: tuple[Phase, ...] = ("done", "dry-run", "cancelled", "failed")
SAID = 50  # changes of course kept

_FROM: dict[str, tuple[Phase, ...]] = {
    names.CONFIRM: ("counting", "waiting", "running"),
    names.PAUSE: ("counting", "waiting", "running", "paused"),
    names.RESUME: ("paused", "running"),
    names.CANCEL: ("counting", "waiting", "running", "paused"),
}
"""Where each may be said; said twice it changes nothing."""


@dataclass(slots=True)
class Operation:
    """One operation under way."""

    given: OperationInput
    began: datetime
    phase: Phase = "counting"
    survey: Survey = field(default_factory=Survey)
    cursor: Cursor = field(default_factory=Cursor)
    tally: Tally = field(default_factory=Tally)
    said: list[Said] = field(default_factory=list)
    not_before: datetime | None = None
    confirmed: bool = False
    held: bool = False  # pause was asked for
    stopped: bool = False  # cancel was asked for
    finished: bool = False
    ended: datetime | None = None
    message: str = ""

    @classmethod
    def of(cls, given: OperationInput, now: datetime) -> "Operation":
        """Begin, or go on with what an earlier run carried over."""
        before = given.carried
        if before is None:
            return cls(given, now, confirmed=given.confirmed)
        operation = cls(given, before.began, before.phase, before.survey, before.cursor, before.tally)
        operation.said, operation.not_before = list(before.said), before.not_before
        operation.confirmed, operation.held = True, before.phase == "paused"
        return operation

    async def run(self) -> Progress:
        """Go from where it stands to the end. Raises ApplicationError where it cannot be done at all."""
        try:
            if self.phase == "counting":
                await self._survey()
            while not self.stopped and not self.finished and self.phase not in ENDED:
                await self._step()
            if self.phase not in ENDED:
                self._turn("cancelled" if self.stopped else "done")
        except ActivityError as error:
            self._failed(error)
            raise ApplicationError(self.message, type=ErrorCode.INPUT_INVALID, non_retryable=True) from error
        except asyncio.CancelledError:
            self._turn("cancelled")
            raise
        return self.progress()

    async def _survey(self) -> None:
        self._show()
        self.survey = await calls.survey_operation(SurveyInput(work=self.given.work, began=self.began))
        if self.given.dry_run:
            self._turn("dry-run")
            return
        if not self.confirmed:
            self._turn("waiting")
            if not await calls.until(lambda: self.confirmed or self.stopped, within=policies.CONFIRM_WITHIN):
                self.stopped, self.message = True, "nobody confirmed it"
        if not self.stopped:
            self._turn("running")

    async def _step(self) -> None:
        """Do one slice, or wait for the word or the moment to go on."""
        if self.held:
            self._turn("paused")
            await calls.until(lambda: not self.held or self.stopped)
            if not self.stopped:
                self._turn("running")
            return
        now = facts().at
        if self.not_before is not None and self.not_before > now:
            await calls.until(lambda: self.held or self.stopped, within=self.not_before - now)
            if self.held or self.stopped:
                return
        self._take(await calls.advance_operation(self._slice()))
        if calls.crowded() and not self.finished and not self.stopped:
            await calls.until(workflow.all_handlers_finished)
            calls.go_on(self._carry())

    def _slice(self) -> SliceInput:
        info, given = workflow.info(), self.given
        return SliceInput(
            operation=info.workflow_id,
            run=info.first_execution_run_id,
            work=given.work,
            by=given.by,
            rate=given.rate,
            began=self.began,
            end=self.survey.end,
            ends=self.survey.ends,
            cursor=self.cursor,
            items=max(1, min(policies.SLICE_ITEMS, int(given.rate.per_second * policies.SLICE.total_seconds()))),
            not_before=self.not_before,
        )

    def _take(self, did: SliceResult) -> None:
        self.cursor, self.not_before, self.finished = did.cursor, did.not_before, did.finished
        self.tally = self.tally.plus(did.tally)
        self._show()

    def _carry(self) -> OperationInput:
        phase: Phase = "paused" if self.held else "running"
        carried = Carried(
            phase=phase,
            began=self.began,
            survey=self.survey,
            cursor=self.cursor,
            tally=self.tally,
            said=tuple(self.said),
            not_before=self.not_before,
        )
        return self.given.model_copy(update={"carried": carried})

    # what people say

    def check(self, what: str) -> None:
        """Refuse what cannot be said now. Raises ApplicationError `operation.illegal_move`."""
        if self.phase not in _FROM[what]:
            raise ApplicationError(
                f"cannot {what} an operation that is {self.phase}",
                type=ErrorCode.OPERATION_ILLEGAL_MOVE,
                non_retryable=True,
            )

    def steer(self, what: str, given: SteerInput) -> Progress:
        """Change its course; a slice under way comes to its end first (seconds)."""
        self.said.append(Said(at=facts().at, by=given.by, what=what, reason=given.reason))
        del self.said[:-SAID]
        if what == names.CONFIRM:
            self.confirmed = True
        elif what == names.CANCEL:
            self.stopped = True
        else:
            self.held = what == names.PAUSE
        self._show()
        return self.progress()

    def progress(self) -> Progress:
        """Return where it is."""
        ended = self.phase in ENDED
        return Progress(
            id=workflow.info().workflow_id,
            phase=self.phase,
            work=self.given.work,
            by=self.given.by,
            rate=self.given.rate,
            began=self.began,
            ended=self.ended,
            survey=self.survey,
            tally=self.tally,
            missed=max(0, self.survey.count - self.tally.total) if ended and self.finished else 0,
            said=tuple(self.said),
            message=self.message,
        )

    def _failed(self, error: ActivityError) -> None:
        cause = error.cause
        self.message = bounded(cause.message if isinstance(cause, ApplicationError) else str(cause or error))
        self._turn("failed")

    def _turn(self, phase: Phase) -> None:
        if phase == self.phase:
            return
        self.phase = phase
        if phase in ENDED:
            self.ended = facts().at
        calls.mark(state=phase)
        self._show()

    def _show(self) -> None:
        tally, counted = self.tally, self.survey.count
        rows = [f"### {self.phase}: {tally.total} of {counted}", f"{tally.done} done, {tally.failed} failed"]
        rows += [f"{number} skipped: {reason}" for reason, number in tally.skipped.items()]
        rows += [f"at most {format_rate(self.given.rate)}, asked for by {self.given.by}", self.survey.note]
        rows += [f"- `{one.item}` {one.code}: {one.message}" for one in tally.failures[:10]]
        calls.tell("\n\n".join(row for row in rows if row)[:8_000])
