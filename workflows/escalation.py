"""`Escalation`: one group of failures, from the first one to the last recovery, and who is told meanwhile.

Flow: case → report_case → **group** → notify, by tier, until somebody acknowledges. The signal `report` brings every
change of a case; `acknowledge` quiets the group; the query `escalation` shows it. What is due when is decided in
`holdfast/domain/timeline.py`; this file carries it out.
"""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError

from holdfast.contracts import names
from holdfast.contracts.escalation_runs import EscalationInput, EscalationView, Snapshot
from holdfast.contracts.escalations import CaseNotice
from holdfast.contracts.moves import AcknowledgeInput
from holdfast.contracts.notifications import About, Notification
from holdfast.domain import timeline
from holdfast.domain.casebook import Casebook
from holdfast.domain.escalations import EscalationConfig, TierConfig
from holdfast.domain.incidents import Group, Incident
from holdfast.domain.notifiers import KEEPS_INCIDENTS, MIRRORS
from holdfast.errors import ErrorCode, bounded
from workflows import calls, narrate_escalation, notices, policies
from workflows.inputs import NOTHING, Unreadable, read, read_or_default
from workflows.outcomes import activity_failed, is_cancellation

MOST = 4  # times RENEW_AFTER: then it is renewed even while something is being sent

_NOBODY = EscalationConfig(tiers=(TierConfig(notify=("nobody",)),))  # of a run whose input could not be read


@workflow.defn(name=names.ESCALATION, failure_exception_types=policies.FAILURE_TYPES)
class Escalation:
    """One group. Its workflow id is `escalation/{policy}/{group}`."""

    @workflow.init
    def __init__(self, raw: RawValue = NOTHING) -> None:
        given = read(EscalationInput, raw)
        self._unreadable = given.reason if isinstance(given, Unreadable) else ""
        self._given = None if isinstance(given, Unreadable) else given
        self._group = _begin(self._given, workflow.now())
        self._sending: dict[str, tuple[Notification, asyncio.Task[None]]] = {}
        self._changed = False
        self._wake: datetime | None = None
        self._timer: asyncio.Task[None] | None = None
        self._rings: datetime | None = None
        self._state = ""

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> EscalationView:  # noqa: ARG002 - read by __init__, before any signal
        """Stay until all of the group is closed and everybody who was told knows it; the result is the whole group."""
        given = self._input
        for notification in given.snapshot.sending if given.snapshot else ():
            self._send(notification)
        while True:
            if await self._pass():
                await calls.until(workflow.all_handlers_finished)
                if not self._changed:
                    return self._view()
            self._renew_if_due()

    # what happens by itself

    async def _pass(self) -> bool:
        """Do what is due, then wait for the next; True where nothing is left to do."""
        now, group = workflow.now(), self._group
        self._changed = False
        group.advance(now)
        self._settle_superseded()
        if not group.facts.alarming:
            self._withdraw_alarms()
        step = timeline.next_step(group, self._input.zones, now)
        wake: datetime | None = None
        match step:
            case timeline.Tell(tier, planned):
                self._alarm(tier, planned, now)
                return False
            case timeline.Resolve():
                group.facts.resolved = True
                self._say_recovered(keepers=True)
                return False
            case timeline.Recover():
                group.facts.recovered = True
                self._say_recovered(keepers=False)
                return False
            case timeline.End() if not self._sending:
                self._show(None)
                return True
            case timeline.Wait(until):
                wake = until
        self._set_timer(wake, now)
        self._show(wake)
        await calls.until(lambda: self._changed or self._long_enough)
        return False

    def _set_timer(self, wake: datetime | None, now: datetime) -> None:
        """Wake up then; a timer that stands is kept, because thousands of reports may come before it rings."""
        if wake == self._rings:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._rings = wake
        self._timer = None if wake is None else asyncio.create_task(self._ring(wake - now))

    async def _ring(self, wait: timedelta) -> None:
        await calls.pause(wait)
        self._rings, self._timer, self._changed = None, None, True

    def _alarm(self, tier: int, planned: datetime, now: datetime) -> None:
        times = self._group.told(tier, planned, now)
        for notifier in self._group.policy.tiers[tier].notify:
            said = self._notification("alarm", notifier)
            update = {"id": f"{said.id}/{tier + 1}.{times}", "tier": tier + 1, "times": times}
            self._send(said.model_copy(update=update))

    def _withdraw_alarms(self) -> None:
        """Nobody is called any more by an alarm that was still being tried when somebody acknowledged."""
        for notification, task in self._sending.values():
            if notification.about == "alarm" and self._input.policy.tiers[notification.tier - 1].until != "resolved":
                task.cancel()

    def _say_recovered(self, *, keepers: bool) -> None:
        for notifier in self._group.facts.reached:
            kind = self._input.kinds.get(notifier, "")
            wanted = self._group.policy.recovered or kind in MIRRORS
            if wanted and (kind in KEEPS_INCIDENTS) is keepers:
                self._send(self._notification("recovered", notifier))

    def _say_acknowledged(self) -> None:
        for notifier in self._group.facts.reached:
            if self._group.policy.tell_acknowledged or self._input.kinds.get(notifier) in MIRRORS:
                self._send(self._notification("acknowledged", notifier))

    def _settle_superseded(self) -> None:
        """Close earlier incidents where they are kept: PagerDuty pages nobody for one that is acknowledged already."""
        over, self._group.facts.superseded = self._group.facts.superseded, []
        for one in over:
            for notifier in one.reached:
                if self._input.kinds.get(notifier) in MIRRORS:
                    key = notices.incident_key(self._id, one.number, one.since)
                    update = {"id": f"{key}/recovered/{notifier}", "incident": key, "since": one.since}
                    self._send(self._notification("recovered", notifier).model_copy(update=update))

    def _send(self, notification: Notification) -> None:
        if notification.id not in self._sending:
            self._sending[notification.id] = (notification, asyncio.create_task(self._deliver(notification)))

    async def _deliver(self, said: Notification) -> None:
        group, number, since = self._group, self._group.facts.number, said.since
        what = f"tier {said.tier}, time {said.times}: {said.waiting} waiting" if said.about == "alarm" else said.about
        try:
            await calls.notify(said)
            if said.about == "alarm":
                group.reached(number, since, said.notifier)
            group.note(workflow.now(), f"told {said.notifier} ({what})")
        except ActivityError as error:
            if is_cancellation(error):
                group.note(workflow.now(), f"did not reach {said.notifier} before it was acknowledged ({what})")
            else:
                why = activity_failed(error, number=1, at=workflow.now())
                text = f"COULD NOT TELL {said.notifier} ({what}): {why.code}: {why.message}"
                group.note(workflow.now(), bounded(text, 300))
                if said.about == "alarm":
                    group.failed(number, said.tier - 1)
        finally:
            del self._sending[said.id]
            self._changed = True

    # what is reported and asked for

    @workflow.signal(name=names.REPORT)
    def report(self, raw: RawValue = NOTHING) -> None:
        """Take one change of one case; what cannot be read is noted and changes nothing."""
        notice = read(CaseNotice, raw)
        self._changed = True
        if isinstance(notice, Unreadable):
            self._group.note(workflow.now(), f"a report could not be read: {notice.reason}")
            return
        at = min(notice.at, workflow.now())
        match notice.change:
            case "opened" | "reopened":
                self._group.opened(notices.sample(notice), at, again=notice.change == "reopened")
            case "acknowledged":
                self._acknowledge(notice.by or "somebody", notice.case)
            case "snoozed":
                self._group.snoozed(notice.case, notice.until)
            case "closed":
                self._group.closed(notice.case, at)

    @workflow.query(name=names.SHOW_ESCALATION)
    def show(self) -> EscalationView:
        """Show the whole group."""
        return self._view()

    @workflow.update(name=names.ACKNOWLEDGE)
    def acknowledge(self, raw: RawValue = NOTHING) -> EscalationView:
        """Say that somebody looks after the group: nobody else is told, until something new fails later."""
        given = _acknowledgement(raw)
        self._acknowledge(given.by, given.note)
        self._changed = True
        return self._view()

    @acknowledge.validator
    def _may_acknowledge(self, raw: RawValue = NOTHING) -> None:
        _acknowledgement(raw)
        if not self._group.book.open:
            raise ApplicationError(
                "nothing of this group is open", type=ErrorCode.CASE_ILLEGAL_MOVE, non_retryable=True
            )

    @workflow.signal(name=names.ACKNOWLEDGE)
    def acknowledge_without_answer(self, raw: RawValue = NOTHING) -> None:
        """Do the same for whoever can only signal; what cannot be read counts as somebody's."""
        given = read_or_default(AcknowledgeInput, raw)
        known = AcknowledgeInput() if isinstance(given, Unreadable) else given
        self._acknowledge(known.by, known.note)
        self._changed = True

    def _acknowledge(self, by: str, note: str = "") -> None:
        if not self._group.book.open:
            return
        first = self._group.facts.alarming
        self._group.acknowledged(by, workflow.now(), note)
        self._group.advance(workflow.now())
        if first:
            self._say_acknowledged()

    # how it is kept and shown

    @property
    def _input(self) -> EscalationInput:
        if self._given is None:
            raise ApplicationError(self._unreadable, type=ErrorCode.INPUT_INVALID, non_retryable=True)
        return self._given

    @property
    def _id(self) -> str:
        return workflow.info().workflow_id

    @property
    def _long_enough(self) -> bool:
        length, limit = workflow.info().get_current_history_length(), self._input.renew_after
        return length >= limit * MOST or (length >= limit and not self._sending)

    def _renew_if_due(self) -> None:
        """Begin a new run before the history is long. What is being sent goes along, and is sent again."""
        if not self._long_enough:
            return
        sending = tuple(notification for notification, _ in self._sending.values())
        snapshot = Snapshot(facts=self._group.facts, cases=self._group.book.pack(), sending=sending)
        calls.go_on(self._input.model_copy(update={"snapshot": snapshot}))

    def _notification(self, about: About, notifier: str) -> Notification:
        return notices.notification(self._input, self._group, about, notifier, at=workflow.now(), workflow_id=self._id)

    def _view(self) -> EscalationView:
        return notices.view(self._input, self._group, self._id, sending=len(self._sending), wake=self._wake)

    def _show(self, wake: datetime | None) -> None:
        self._wake = wake
        state = notices.state_of(self._group)
        if state != self._state:
            self._state = state
            calls.mark(state=state)
        calls.tell(narrate_escalation.escalation(self._view()))


def _begin(given: EscalationInput | None, now: datetime) -> Group:
    """Return the group as the run before left it, or an empty one."""
    if given is None:
        return Group(_NOBODY)
    if given.snapshot is None:
        return Group(given.policy, Incident(emptied_at=now))
    return Group(given.policy, given.snapshot.facts, Casebook.unpack(given.snapshot.cases))


def _acknowledgement(raw: RawValue) -> AcknowledgeInput:
    """Read what a person sent. Raises ApplicationError `input.invalid`, which rejects the Update and no more."""
    given = read_or_default(AcknowledgeInput, raw)
    if isinstance(given, Unreadable):
        raise ApplicationError(given.reason, type=ErrorCode.INPUT_INVALID, non_retryable=True)
    return given
