"""`DeadLetter`: the case of one failure, alive until somebody (or time) has settled it.

Flow: record → escalated → **case** → acknowledge | redrive | discard | expire. Updates move it, the query `case`
shows it; its search attribute HoldfastState says where it stands.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, WorkflowAlreadyStartedError

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.attempts import failed
from holdfast.contracts.dead_letter import (
    AcknowledgeInput,
    CaseView,
    DeadLetterRecord,
    DiscardInput,
    HistoryEntry,
    PrepareRedriveInput,
    RedriveInput,
    RepublishInput,
)
from holdfast.contracts.delivery import Attempt, DeliveryInput, Redrive
from holdfast.domain.deadletters import CLOSED, CaseState, Move, next_state
from holdfast.domain.triggers import DeadLetterConfig
from holdfast.errors import ErrorCode, RejectedInput, bounded
from workflows import calls, narrate, policies, records
from workflows.escalate import dead_letter, facts
from workflows.inputs import NOTHING, Model, Unreadable, read, read_or_default
from workflows.outcomes import activity_failed, is_cancellation, redrive_failed


@dataclass(slots=True)
class _Case:
    """All that a case knows."""

    record: DeadLetterRecord
    since: datetime  # when it was last left to people: expiry counts from here
    state: CaseState = CaseState.OPEN
    wanted: RedriveInput | None = None  # a redrive that was asked for and is not answered yet
    redrives: list[str] = field(default_factory=list)
    failures: list[Attempt] = field(default_factory=list)
    history: list[HistoryEntry] = field(default_factory=list)

    def view(self, workflow_id: str) -> CaseView:
        return CaseView(
            id=workflow_id,
            state=self.state,
            record=self.record,
            redrives=tuple(self.redrives),
            failures=tuple(self.failures),
            history=tuple(self.history),
        )


@workflow.defn(name=names.DEAD_LETTER, failure_exception_types=policies.FAILURE_TYPES)
class DeadLetter:
    """One case. Its workflow id is `dead-letter/{id of the dead letter}`."""

    @workflow.init
    def __init__(self, raw: RawValue = NOTHING) -> None:
        given = read(DeadLetterRecord, raw)
        self._unreadable = given if isinstance(given, Unreadable) else None
        self._case = None if isinstance(given, Unreadable) else _Case(given, workflow.now())

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> CaseView:  # noqa: ARG002 - read by __init__, before any Update
        """Stay open until resolved, discarded or expired; the result is the whole case."""
        if self._unreadable is not None:
            raise await dead_letter(records.of_unreadable(self._unreadable, facts()))
        case = self._opened
        missing = _missing(case.record)
        if missing:
            calls.mark(missing=missing)
        self._show()
        try:
            await self._live(case)
        except asyncio.CancelledError:
            if case.state not in CLOSED:
                case.state = CaseState.DISCARDED
                self._note(case, "cancel", "temporal", "the case itself was cancelled")
            raise
        await calls.until(workflow.all_handlers_finished)
        return case.view(workflow.info().workflow_id)

    async def _live(self, case: _Case) -> None:
        expire_after = (case.record.spec.dead_letter if case.record.spec else DeadLetterConfig()).expire_after
        while case.state not in CLOSED:
            left = max(expire_after - (facts().at - case.since), policies.INSPECT_FIRST)
            if await calls.until(lambda: case.state in CLOSED or case.wanted is not None, within=left):
                if case.wanted is not None:
                    await self._redrive(case, case.wanted)
            elif case.state in {CaseState.OPEN, CaseState.ACKNOWLEDGED}:
                self._move(case, Move.EXPIRE, "holdfast", "nobody handled it in time; the record stays in the stream")

    async def _redrive(self, case: _Case, wanted: RedriveInput) -> None:
        """Carry one redrive out, to its end."""
        number = len(case.redrives) + 1
        try:
            if case.record.envelope is None:
                await self._republish(case, wanted, number)
            else:
                await self._deliver_again(case, wanted, number)
        except (ActivityError, ChildWorkflowError, ApplicationError) as error:
            if is_cancellation(error) and calls.cancel_requested():
                raise asyncio.CancelledError from error
            if isinstance(error, ActivityError):
                failure = activity_failed(error, number=number, at=facts().at)
                self._failed_again(case, number, failure.code, failure.message)
            else:
                self._failed_again(case, number, *redrive_failed(error))
        finally:
            case.wanted = None

    async def _republish(self, case: _Case, wanted: RedriveInput, number: int) -> None:
        lineage = Redrive(dead_letter_id=case.record.id, case=workflow.info().workflow_id, number=number)
        await calls.republish(RepublishInput(record=case.record, redrive=lineage, body=wanted.body))
        case.redrives.append(ids.redrive_id(case.record.id, number))
        self._move(case, Move.SUCCEED, "holdfast", "it is back on the bus and is read anew")

    async def _deliver_again(self, case: _Case, wanted: RedriveInput, number: int) -> None:
        lineage = Redrive(dead_letter_id=case.record.id, case=workflow.info().workflow_id, number=number)
        plan = await calls.prepare_redrive(PrepareRedriveInput(record=case.record, redrive=lineage, body=wanted.body))
        if plan.delivery is None:
            self._move(case, Move.SUCCEED, "holdfast", f"nothing to deliver: {plan.reason}")
            return
        child = await self._start(case, plan.delivery)
        case.wanted = None
        self._show()
        await child
        self._move(case, Move.SUCCEED, "holdfast", f"delivered by {case.redrives[-1]}")

    async def _start(self, case: _Case, delivery: DeliveryInput) -> calls.Child:
        """Start the redrive under the next free number: an earlier case of this dead letter may have used some."""
        first = len(case.redrives) + 1
        for number in range(first, first + policies.REDRIVE_NUMBERS):
            lineage = Redrive(dead_letter_id=case.record.id, case=workflow.info().workflow_id, number=number)
            delivery_id = ids.redrive_id(case.record.id, number)
            try:
                child = await calls.start_redrive(
                    delivery.model_copy(update={"redrive": lineage}), workflow_id=delivery_id
                )
            except WorkflowAlreadyStartedError:
                continue
            case.redrives.append(delivery_id)
            return child
        raise ApplicationError(
            f"{policies.REDRIVE_NUMBERS} redrives of this dead letter exist already", type=ErrorCode.START_REJECTED
        )

    def _failed_again(self, case: _Case, number: int, code: str, message: str) -> None:
        case.failures.append(failed(number, facts().at, code, message))
        case.since = facts().at
        self._move(case, Move.FAIL_AGAIN, "holdfast", f"{code}: {message}")

    # what people ask for

    @workflow.query(name=names.CASE)
    def case(self) -> CaseView:
        """Show the whole case."""
        return self._opened.view(workflow.info().workflow_id)

    @workflow.update(name=names.ACKNOWLEDGE)
    async def acknowledge(self, raw: RawValue = NOTHING) -> CaseView:
        """Note that somebody looks after it."""
        given = _input(AcknowledgeInput, raw)
        self._move(self._opened, Move.ACKNOWLEDGE, given.by, given.note)
        return self.case()

    @acknowledge.validator
    def _may_acknowledge(self, raw: RawValue = NOTHING) -> None:
        _input(AcknowledgeInput, raw)
        self._check(Move.ACKNOWLEDGE)

    @workflow.update(name=names.REDRIVE)
    async def redrive(self, raw: RawValue = NOTHING) -> CaseView:
        """Try again; the answer names the new delivery and does not wait for its outcome."""
        given, case = _input(RedriveInput, raw), self._opened
        edited = " (with an edited body)" if given.body is not None else ""
        self._move(case, Move.REDRIVE, given.by, given.reason + edited)
        case.wanted = given
        await calls.until(lambda: case.wanted is not given, within=policies.REDRIVE_ANSWER)
        return self.case()

    @redrive.validator
    def _may_redrive(self, raw: RawValue = NOTHING) -> None:
        given = _input(RedriveInput, raw)
        self._check(Move.REDRIVE)
        record = self._opened.record
        if given.body is None and not (record.envelope or record.raw_base64 or record.tick):
            raise ApplicationError(
                "there is nothing to send again; give a `body`", type=ErrorCode.INPUT_INVALID, non_retryable=True
            )

    @workflow.update(name=names.DISCARD)
    async def discard(self, raw: RawValue = NOTHING) -> CaseView:
        """Give it up."""
        given = _input(DiscardInput, raw)
        self._move(self._opened, Move.DISCARD, given.by, given.reason)
        return self.case()

    @discard.validator
    def _may_discard(self, raw: RawValue = NOTHING) -> None:
        _input(DiscardInput, raw)
        self._check(Move.DISCARD)

    # how the case moves

    @property
    def _opened(self) -> _Case:
        if self._case is None:
            raise ApplicationError("this case could not be read", type=ErrorCode.INPUT_INVALID, non_retryable=True)
        return self._case

    def _check(self, move: Move) -> CaseState:
        try:
            return next_state(self._opened.state, move)
        except RejectedInput as error:
            raise ApplicationError(error.message, type=error.code, non_retryable=True) from None

    def _move(self, case: _Case, move: Move, by: str, note: str) -> None:
        case.state = self._check(move)
        self._note(case, move, by, note)

    def _note(self, case: _Case, move: str, by: str, note: str) -> None:
        case.history.append(HistoryEntry(at=facts().at, by=by, move=move, note=bounded(note)))
        calls.mark(state=case.state)
        self._show()

    def _show(self) -> None:
        case = self._opened
        calls.tell(narrate.case(case.view(workflow.info().workflow_id)))


def _input(model: type[Model], raw: RawValue) -> Model:
    """Read what a person sent. Raises ApplicationError `input.invalid`, which rejects the Update and no more."""
    given = read_or_default(model, raw)
    if isinstance(given, Unreadable):
        raise ApplicationError(given.reason, type=ErrorCode.INPUT_INVALID, non_retryable=True)
    return given


def _missing(record: DeadLetterRecord) -> dict[str, str]:
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
