"""What a case knows and how it changes: state, people, times, redrives; every list bounded, no command issued.

Flow: Update, signal or timer → **case** → command. `due` is when something happens by itself next.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from holdfast import ids
from holdfast.contracts.attempts import failed
from holdfast.contracts.case_watch import WatchEntry
from holdfast.contracts.dead_letter import CarriedCase, CaseView, DeadLetterRecord
from holdfast.contracts.delivery import Attempt
from holdfast.contracts.escalations import CaseNotice, Change
from holdfast.contracts.moves import HistoryEntry, RedriveInput, RedriveLine, SnoozeInput
from holdfast.domain.deadletters import CLOSED, WAITING, CaseState
from holdfast.errors import bounded

HISTORY = 100  # entries kept; older ones are counted
LINES = 20  # redrives described; the workflow ids of the last REDRIVES are kept
REDRIVES = 50
FAILURES = 20
ANSWERED = 200  # Updates remembered over a new run
NOTICES = 50  # reports waiting for an escalation that cannot be reached
SMALL_BODY = 4_096  # characters of an edited body that the case itself shows; the redrive's own input has all
LARGE_RECORD = 1_700_000  # bytes; beyond it a new run carries less, for its input ends at 2 MiB
ANSWER = 65_536  # bytes of a record that an Update's answer repeats; each answer stays in the history
LEAST = 20  # entries of each list that are carried beside a large record


@dataclass(slots=True)
class Wanted:
    """A redrive that was asked for and has not begun yet; `refused` says why it cannot."""

    given: RedriveInput
    before: CaseState
    automatic: bool = False
    refused: str = ""


@dataclass(slots=True)
class Case:
    """All that a case knows."""

    id: str
    record: DeadLetterRecord
    since: datetime  # when it was last left to people: expiry counts from here
    failed_at: datetime  # the last failure: automatic redrives count from here
    failed_code: str
    state: CaseState = CaseState.OPEN
    assignee: str = ""
    snoozed_until: datetime | None = None
    wanted: Wanted | None = None
    made: int = 0  # redrives that were started
    asked: int = 0  # redrives that were asked for
    automatic: int = 0
    redrives: list[str] = field(default_factory=list)
    lines: list[RedriveLine] = field(default_factory=list)
    failures: list[Attempt] = field(default_factory=list)
    history: list[HistoryEntry] = field(default_factory=list)
    omitted: int = 0
    watched: bool = False  # entered into the watch of its trigger since it last failed
    answered: list[str] = field(default_factory=list)
    notices: list[CaseNotice] = field(default_factory=list)
    escalation: str | None = None  # None: not answered yet; empty: nobody follows it

    @classmethod
    def of(cls, record: DeadLetterRecord, case_id: str, now: datetime) -> "Case":
        """Open a case."""
        return cls(case_id, record, now, failed_at=record.at, failed_code=record.code)

    @classmethod
    def carried(cls, given: CarriedCase) -> "Case":
        """Go on with a case in a new run."""
        view = given.view
        return cls(
            view.id,
            view.record,
            given.since,
            failed_at=given.failed_at,
            failed_code=given.failed_code,
            state=view.state,
            assignee=view.assignee,
            snoozed_until=view.snoozed_until,
            made=given.made,
            asked=given.asked,
            automatic=given.automatic,
            redrives=list(view.redrives),
            lines=list(view.redrive_log),
            failures=list(view.failures),
            history=list(view.history),
            omitted=view.history_omitted,
            answered=list(given.answered),
            notices=list(given.notices),
            escalation=given.escalation,
        )

    def carry(self) -> CarriedCase:
        """Return everything for a new run."""
        large = _size(self.record) > LARGE_RECORD
        view = self.view()
        if large:
            lines = tuple(line.model_copy(update={"body": None}) for line in self.lines[-LEAST // 4 :])
            update: dict[str, Any] = {"history": tuple(self.history[-LEAST:]), "redrive_log": lines}
            update["history_omitted"] = self.omitted + max(0, len(self.history) - LEAST)
            view = view.model_copy(update=update)
        return CarriedCase(
            view=view,
            since=self.since,
            failed_at=self.failed_at,
            failed_code=self.failed_code,
            made=self.made,
            asked=self.asked,
            automatic=self.automatic,
            answered=tuple(self.answered[-(LEAST if large else ANSWERED) :]),
            notices=tuple(self.notices),
            escalation=self.escalation,
        )

    def view(self) -> CaseView:
        """Return the whole case."""
        return CaseView(
            id=self.id,
            state=self.state,
            record=self.record,
            assignee=self.assignee,
            snoozed_until=self.snoozed_until,
            expires_at=self.expires_at if self.state in WAITING else None,
            next_redrive_at=self.next_redrive_at,
            redrives=tuple(self.redrives),
            redrive_log=tuple(self.lines),
            failures=tuple(self.failures),
            history=tuple(self.history),
            history_omitted=self.omitted,
        )

    def answer(self) -> CaseView:
        """Return what an Update answers: the case, without an event so large that it would fill the history."""
        view = self.view()
        if _size(self.record) <= ANSWER:
            return view
        return view.model_copy(update={"record": self.record.without_bulk(), "record_cut": True})

    # when something happens by itself

    @property
    def expires_at(self) -> datetime:
        """When nobody has handled it for too long."""
        return self.since + self.record.handling.expire_after

    @property
    def next_redrive_at(self) -> datetime | None:
        """When it is redriven without a person; only while nobody has taken it."""
        policy = self.record.handling.auto_redrive
        if policy is None or self.state != CaseState.OPEN or not policy.wants(self.failed_code, self.automatic):
            return None
        return self.failed_at + policy.wait(self.automatic)

    @property
    def due(self) -> datetime:
        """When the next thing happens by itself; a snoozed case does not expire."""
        quiet = self.snoozed_until or self.expires_at
        return min(quiet, self.next_redrive_at or quiet)

    def redrives_on_recovery(self, at: datetime) -> bool:
        """Whether it is redriven now that a delivery of its trigger succeeded at `at`."""
        policy = self.record.handling.auto_redrive
        wants = policy is not None and policy.when_recovered and policy.wants(self.failed_code, self.automatic)
        return wants and self.state == CaseState.OPEN and at > self.failed_at

    # what happens to it

    @property
    def wants_watch(self) -> bool:
        """Whether its trigger must be watched for it, and is not yet."""
        entry = self.watch_entry
        return not self.watched and self.state in WAITING and (entry.recovery or bool(entry.key))

    @property
    def watch_entry(self) -> WatchEntry:
        """What the watch of its trigger tells it."""
        policy, envelope = self.record.handling, self.record.envelope
        auto = policy.auto_redrive
        return WatchEntry(
            case=self.id,
            failed_at=self.failed_at,
            recovery=auto is not None and auto.when_recovered and auto.wants(self.failed_code, self.automatic),
            key=self.record.key if policy.resolve_on_newer else "",
            received_at=envelope.received_at if envelope is not None else self.record.at,
        )

    def note(self, entry: HistoryEntry) -> None:
        """Remember who did what; the oldest entries are counted and dropped."""
        self.history.append(entry.model_copy(update={"note": bounded(entry.note)}))
        if len(self.history) > HISTORY:
            self.omitted += len(self.history) - HISTORY
            del self.history[:-HISTORY]

    def begin(self, given: RedriveInput, at: datetime, *, automatic: bool) -> None:
        """Write down that a redrive was asked for, and want it; the state was moved before."""
        self.asked += 1
        self.automatic += automatic
        body = given.body
        self.lines.append(
            RedriveLine(
                number=self.asked,
                at=at,
                by=given.by,
                reason=bounded(given.reason),
                automatic=automatic,
                trigger=given.trigger or self.record.trigger,
                config=given.config,
                body_sha256=None if body is None else ids.sha256_hex(body.encode("utf-8", "surrogatepass")),
                body_size=None if body is None else len(body),
                body=body if body is not None and len(body) <= SMALL_BODY else None,
            )
        )
        del self.lines[:-LINES]

    def started(self, delivery: str, number: int) -> None:
        """Write down the delivery that carries it out."""
        self.made = number
        self.redrives.append(delivery)
        del self.redrives[:-REDRIVES]
        self.line(delivery=delivery)

    def line(self, **update: Any) -> None:
        """Change the description of the redrive that is under way."""
        if self.lines:
            self.lines[-1] = self.lines[-1].model_copy(update=update)

    def failed_again(self, number: int, at: datetime, code: str, message: str) -> None:
        """Write down a redrive that failed, and count every wait from now."""
        self.failures.append(failed(number, at, code, message))
        del self.failures[:-FAILURES]
        self.since = self.failed_at = at
        self.failed_code = code
        self.watched = False

    def notify(self, change: Change, by: str, at: datetime) -> None:
        """Queue a report to the escalation that follows it, if one does."""
        if self.escalation == "":
            return
        if change != "opened" and self.escalation is None and not self.notices:
            self.notify("opened", "holdfast", at)  # an Update may come before the case's first step
        record = self.record
        self.notices.append(
            CaseNotice(
                case=self.id,
                dead_letter_id=record.id,
                change=change,
                state=self.state,
                at=at,
                stage=record.stage,
                code=self.failed_code,
                message=self.failures[-1].message if self.failures else record.message,
                trigger=record.trigger,
                source=record.source,
                event_id=record.event_id,
                event_type=record.event_type,
                by=by,
                until=self.snoozed_until if change == "snoozed" else None,
                escalation=record.handling.escalation if change == "opened" else self.escalation,
            )
        )
        if len(self.notices) > NOTICES:
            del self.notices[1]  # the first is being sent

    def remember(self, update_id: str) -> None:
        """Remember an Update that is done."""
        self.answered.append(_short(update_id))
        del self.answered[:-ANSWERED]

    def is_answered(self, update_id: str) -> bool:
        """Whether this very Update was done before, in this run or an earlier one."""
        return _short(update_id) in self.answered

    @property
    def closed(self) -> bool:
        """Whether nothing more can happen."""
        return self.state in CLOSED


def snooze_end(given: SnoozeInput, now: datetime) -> datetime:
    """Return when a snooze ends."""
    return given.until or now + (given.for_ or timedelta(0))


def _size(record: DeadLetterRecord) -> int:
    return len(record.model_dump_json(exclude_none=True).encode("utf-8", "surrogatepass"))


def _short(update_id: str) -> str:
    return update_id if len(update_id) <= 64 else ids.sha256_hex(update_id.encode())
