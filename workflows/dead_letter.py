"""`DeadLetter`: the case of one failure, alive until somebody (or time) has settled it.

Flow: record → escalated → **case** → redrive | discard | expire. Updates (and signals of the same names) move it, the
query `case` shows it; its search attribute HoldfastState says where it stands.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError

from holdfast.contracts import names
from holdfast.contracts.case_watch import WatchTriggerInput
from holdfast.contracts.dead_letter import CarriedCase, CaseView, DeadLetterRecord
from holdfast.contracts.escalations import Change
from holdfast.contracts.moves import (
    AcknowledgeInput,
    AssignInput,
    CommentInput,
    DiscardInput,
    HistoryEntry,
    MoveInput,
    RecoveredInput,
    RedriveInput,
    SnoozeInput,
    SupersededInput,
)
from holdfast.domain.deadletters import WAITING, CaseState, Move, next_state
from holdfast.errors import ErrorCode, RejectedInput
from workflows import calls, narrate, policies, records
from workflows.case import Case, Wanted, snooze_end
from workflows.escalate import dead_letter, facts
from workflows.inputs import NOTHING, Unreadable, read
from workflows.moves import QUIET, change_of, given_as, missing_attributes, model_of, verify
from workflows.redrives import Delivered, Ended, FailedAgain, Nothing, Refused, carry_out

SELF = "holdfast"


@workflow.defn(name=names.DEAD_LETTER, failure_exception_types=policies.FAILURE_TYPES)
class DeadLetter:
    """One case. Its workflow id is `dead-letter/{id of the dead letter}`."""

    @workflow.init
    def __init__(self, raw: RawValue = NOTHING) -> None:
        given = read(DeadLetterRecord, raw)
        carried = read(CarriedCase, raw) if isinstance(given, Unreadable) else None
        self._unreadable: Unreadable | None = None
        self._case: Case | None = None
        self._reports = False
        if isinstance(carried, CarriedCase):
            self._case = Case.carried(carried)
        elif isinstance(given, Unreadable):
            self._unreadable = given
        else:
            self._case = Case.of(given, facts().workflow_id, facts().at)

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> CaseView:  # noqa: ARG002 - read by __init__, before any Update
        """Stay open until resolved, discarded or expired; the result is the whole case."""
        if self._unreadable is not None:
            raise await dead_letter(records.of_unreadable(self._unreadable, facts()))
        case = self._opened
        missing = missing_attributes(case.record)
        if missing:
            calls.mark(missing=missing)
        self._reports = calls.patched(policies.CASES_REPORT)
        helpers = (asyncio.create_task(self._report(case)), asyncio.create_task(self._watched(case)))
        self._show()
        try:
            await self._live(case)
        except asyncio.CancelledError:
            if not case.closed:
                case.state = CaseState.DISCARDED
                self._note(case, "cancel", "temporal", "the case itself was cancelled")
                self._tell(case, "closed", "temporal")
            await calls.until(lambda: not case.notices)
            raise
        await calls.until(lambda: workflow.all_handlers_finished() and not case.notices)
        for helper in helpers:
            helper.cancel()
        return case.view()

    async def _live(self, case: Case) -> None:
        while not case.closed:
            due, now = case.due, facts().at
            changed = await calls.until(partial(_is_wanted, case, due), within=max(due - now, policies.INSPECT_FIRST))
            if case.wanted is not None:
                await self._redrive(case, case.wanted)
            elif not changed and not case.closed:
                self._by_itself(case)
            if calls.crowded() and case.state in WAITING and case.wanted is None:
                await self._go_on(case)

    def _by_itself(self, case: Case) -> None:
        """Do what time has brought: the end of a snooze, an automatic redrive, the end of patience."""
        now = facts().at
        if case.snoozed_until is not None and now >= case.snoozed_until:
            case.snoozed_until, case.since = None, now
            self._move(case, Move.WAKE, SELF, "the snooze is over")
        elif case.next_redrive_at is not None and now >= case.next_redrive_at:
            self._automatic(case, "after its wait")
        elif case.snoozed_until is None and now >= case.expires_at:
            self._move(case, Move.EXPIRE, SELF, "nobody handled it in time; the record stays in the stream")

    async def _redrive(self, case: Case, wanted: Wanted) -> None:
        """Carry one redrive out, to its end."""

        def began() -> None:
            case.wanted = None
            self._show()

        number = case.made + 1
        try:
            self._ended(case, wanted, number, await carry_out(case, wanted.given, began))
        finally:
            case.wanted = None

    def _ended(self, case: Case, wanted: Wanted, number: int, ended: Ended) -> None:
        now = facts().at
        match ended:
            case Delivered(how):
                case.line(outcome="delivered", ended=now)
                self._move(case, Move.SUCCEED, SELF, how)
            case Nothing(reason):
                case.line(outcome="nothing", ended=now, message=reason)
                self._move(case, Move.SUCCEED, SELF, f"nothing to deliver: {reason}")
            case Refused(reason):
                wanted.refused = reason
                case.line(outcome="refused", ended=now, message=reason)
                case.state = wanted.before
                self._note(case, Move.REFUSE, SELF, reason)
            case FailedAgain(code, message, left):
                case.line(outcome="failed", ended=now, code=code, message=message, **left.fields())
                case.failed_again(number, now, code, message)
                self._move(case, Move.FAIL_AGAIN, SELF, f"{code}: {message}")

    def _automatic(self, case: Case, why: str) -> None:
        policy = case.record.handling.auto_redrive
        of = policy.max if policy is not None else 0
        given = RedriveInput(by=SELF, reason=f"automatic redrive {case.automatic + 1} of {of}, {why}")
        self._begin(case, given, automatic=True)

    def _begin(self, case: Case, given: RedriveInput, *, automatic: bool = False) -> Wanted:
        wanted = Wanted(given, case.state, automatic)
        self._check(Move.REDRIVE)
        case.begin(given, facts().at, automatic=automatic)
        case.snoozed_until = None
        edited = " (with an edited body)" if given.body is not None else ""
        through = f" (by trigger {given.trigger})" if given.trigger is not None else ""
        recorded = " (as recorded)" if given.config == "recorded" else ""
        self._move(case, Move.REDRIVE, given.by, given.reason + edited + through + recorded)
        case.wanted = wanted
        return wanted

    async def _go_on(self, case: Case) -> None:
        """Go on in a new run before this one's history is too long; what is under way is waited for first."""
        if not calls.patched(policies.CASES_GO_ON):
            return
        await calls.until(lambda: workflow.all_handlers_finished() or case.wanted is not None or case.closed)
        if case.wanted is None and not case.closed:
            calls.go_on(case.carry())

    # who is told

    async def _report(self, case: Case) -> None:
        """Tell the escalation of this case whatever happens to it, in order; nobody follows it: stop."""
        if not self._reports:
            return
        if case.escalation is None and not case.notices:
            case.notify("opened", SELF, facts().at)
        while True:
            await calls.until(lambda: bool(case.notices))
            notice = case.notices[0].model_copy(update={"escalation": case.escalation or case.notices[0].escalation})
            try:
                told = (await calls.report_case(notice)).escalation
            except ActivityError:
                told = case.escalation or ""
            case.escalation = told if case.escalation is None else case.escalation
            case.notices = case.notices[1:] if case.escalation else []

    async def _watched(self, case: Case) -> None:
        """Have the trigger watched where its recovery, or a newer event, settles this case."""
        while self._reports and case.record.trigger:
            await calls.until(lambda: case.wants_watch)
            case.watched = True
            await calls.watch_trigger(WatchTriggerInput(trigger=case.record.trigger, entry=case.watch_entry))

    # what people ask for

    @workflow.query(name=names.CASE)
    def case(self) -> CaseView:
        """Show the whole case."""
        return self._opened.view()

    @workflow.update(name=names.ACKNOWLEDGE)
    async def acknowledge(self, raw: RawValue = NOTHING) -> CaseView:
        """Note that somebody looks after it."""
        return self._do(AcknowledgeInput, raw)

    @acknowledge.validator
    def _may_acknowledge(self, raw: RawValue = NOTHING) -> None:
        self._may(Move.ACKNOWLEDGE, AcknowledgeInput, raw)

    @workflow.update(name=names.ASSIGN)
    async def assign(self, raw: RawValue = NOTHING) -> CaseView:
        """Give it to somebody."""
        return self._do(AssignInput, raw)

    @assign.validator
    def _may_assign(self, raw: RawValue = NOTHING) -> None:
        self._may(Move.ASSIGN, AssignInput, raw)

    @workflow.update(name=names.SNOOZE)
    async def snooze(self, raw: RawValue = NOTHING) -> CaseView:
        """Ask for no attention for a while."""
        return self._do(SnoozeInput, raw)

    @snooze.validator
    def _may_snooze(self, raw: RawValue = NOTHING) -> None:
        self._may(Move.SNOOZE, SnoozeInput, raw)

    @workflow.update(name=names.COMMENT)
    async def comment(self, raw: RawValue = NOTHING) -> CaseView:
        """Leave a note."""
        return self._do(CommentInput, raw)

    @comment.validator
    def _may_comment(self, raw: RawValue = NOTHING) -> None:
        self._may(Move.COMMENT, CommentInput, raw)

    @workflow.update(name=names.DISCARD)
    async def discard(self, raw: RawValue = NOTHING) -> CaseView:
        """Give it up."""
        return self._do(DiscardInput, raw)

    @discard.validator
    def _may_discard(self, raw: RawValue = NOTHING) -> None:
        self._may(Move.DISCARD, DiscardInput, raw)

    @workflow.update(name=names.REDRIVE)
    async def redrive(self, raw: RawValue = NOTHING) -> CaseView:
        """Try again; the answer names the new delivery and does not wait for its outcome."""
        given, case = given_as(RedriveInput, raw), self._opened
        if self._is_repeated():
            return case.answer()
        wanted = self._begin(case, given)
        await calls.until(lambda: case.wanted is not wanted, within=policies.REDRIVE_ANSWER)
        if wanted.refused:
            raise ApplicationError(wanted.refused, type=ErrorCode.CASE_REFUSED, non_retryable=True)
        self._remember()
        return case.answer()

    @redrive.validator
    def _may_redrive(self, raw: RawValue = NOTHING) -> None:
        self._may(Move.REDRIVE, RedriveInput, raw)

    @workflow.signal(dynamic=True)
    def signalled(self, name: str, args: Sequence[RawValue]) -> None:
        """Take a move as a signal: one that is illegal, wrong or unknown is noted in the history, not lost."""
        if self._case is None or self._case.closed:
            return
        raw = args[0] if args else NOTHING
        try:
            if name in {names.RECOVERED, names.SUPERSEDED}:
                self._seen(name, raw)
                return
            model = model_of(name)
            self._may(Move(name), model, raw)
            self._apply(given_as(model, raw))
        except ApplicationError as error:
            self._note(self._case, Move.REFUSE, "signal", f"{name}: {error.message}")

    def _seen(self, name: str, raw: RawValue) -> None:
        """Take what the watch of the trigger saw."""
        case = self._opened
        if name == names.RECOVERED:
            seen = given_as(RecoveredInput, raw)
            if case.wanted is None and case.redrives_on_recovery(seen.at):
                self._automatic(case, f"because {seen.delivery} was delivered")
            return
        newer = given_as(SupersededInput, raw)
        if newer.own_run:
            if case.state in WAITING:
                note = f"its delivery was reset after it had failed, and delivered in run {newer.own_run}"
                self._move(case, Move.SUPERSEDE, SELF, note)
            return
        if case.record.handling.resolve_on_newer and case.state in WAITING:
            self._move(case, Move.SUPERSEDE, SELF, f"a newer event of the same key was delivered by {newer.delivery}")

    # how the case moves

    @property
    def _opened(self) -> Case:
        if self._case is None:
            raise ApplicationError("this case could not be read", type=ErrorCode.INPUT_INVALID, non_retryable=True)
        return self._case

    def _may(self, move: Move, model: type[MoveInput], raw: RawValue) -> None:
        """Refuse what is wrong or illegal; an Update that was done in an earlier run passes, and changes nothing."""
        given = given_as(model, raw)
        if self._is_repeated():
            return
        self._check(move)
        verify(given, self._opened.record, self._opened.lines, facts().at)

    def _do(self, model: type[MoveInput], raw: RawValue) -> CaseView:
        given = given_as(model, raw)
        if not self._is_repeated():
            self._apply(given)
            self._remember()
        return self._opened.answer()

    def _apply(self, given: MoveInput) -> None:
        """Carry out a move that was found legal."""
        case = self._opened
        match given:
            case AcknowledgeInput():
                case.snoozed_until = None
                self._move(case, Move.ACKNOWLEDGE, given.by, given.note)
            case AssignInput():
                case.assignee = given.to.strip()
                calls.mark(assignee=case.assignee)
                to = f"to {case.assignee}" if case.assignee else "to nobody"
                self._move(case, Move.ASSIGN, given.by, f"{to}: {given.note}" if given.note else to)
            case SnoozeInput():
                case.snoozed_until = snooze_end(given, facts().at)
                until = f"until {case.snoozed_until.isoformat(timespec='seconds')}"
                self._move(case, Move.SNOOZE, given.by, f"{until}: {given.reason}" if given.reason else until)
            case CommentInput():
                self._move(case, Move.COMMENT, given.by, given.text)
            case DiscardInput():
                self._move(case, Move.DISCARD, given.by, given.reason)
            case RedriveInput():
                self._begin(case, given)

    def _check(self, move: Move) -> CaseState:
        try:
            return next_state(self._opened.state, move)
        except RejectedInput as error:
            raise ApplicationError(error.message, type=error.code, non_retryable=True) from None

    def _move(self, case: Case, move: Move, by: str, note: str) -> None:
        case.state = self._check(move)
        if case.closed:
            case.snoozed_until = None
        self._note(case, move, by, note)
        change = change_of(move)
        if change is not None:
            self._tell(case, change, by)

    def _tell(self, case: Case, change: Change, by: str) -> None:
        if calls.patched(policies.CASES_REPORT):  # an Update may come before `run` has asked
            case.notify(change, by, facts().at)

    def _note(self, case: Case, move: str, by: str, note: str) -> None:
        case.note(HistoryEntry(at=facts().at, by=by, move=move, note=note))
        if move not in QUIET:
            calls.mark(state=case.state)
        self._show()

    def _show(self) -> None:
        calls.tell(narrate.case(self._opened.view()))

    def _is_repeated(self) -> bool:
        info = workflow.current_update_info()
        return info is not None and self._opened.is_answered(info.id)

    def _remember(self) -> None:
        info = workflow.current_update_info()
        if info is not None:
            self._opened.remember(info.id)


def _is_wanted(case: Case, due: datetime) -> bool:
    """Whether the case has something to do before `due`."""
    return case.closed or case.wanted is not None or case.due != due or calls.crowded()
