"""From a group to what is said about it, and from a case's notice to what a group remembers. Pure."""

from datetime import datetime

from holdfast.clock import rfc3339
from holdfast.contracts.escalation_runs import EscalationInput, EscalationView, TierView
from holdfast.contracts.escalations import CaseNotice
from holdfast.contracts.notifications import About, Notification
from holdfast.domain.incidents import Group, Sample
from holdfast.errors import bounded

ALARMING = "alarming"
ACKNOWLEDGED = "acknowledged"
RECOVERED = "recovered"

SAMPLE_TEXT = 200  # characters of a failure's text in a notification


def sample(notice: CaseNotice) -> Sample:
    """Return what is kept of one case."""
    return Sample(
        case=notice.case,
        at=notice.at,
        code=notice.code,
        message=bounded(notice.message, SAMPLE_TEXT),
        source=notice.source,
        event_id=notice.event_id,
        event_type=notice.event_type,
        trigger=notice.trigger,
    )


def state_of(group: Group) -> str:
    """Return where a group stands, in one word: the value of HoldfastState."""
    if not group.book.open:
        return RECOVERED
    return ALARMING if group.facts.alarming else ACKNOWLEDGED


def notification(  # noqa: PLR0913 - who says what of which
    given: EscalationInput, group: Group, about: About, notifier: str, *, at: datetime, workflow_id: str
) -> Notification:
    """Say where the group stands now; `tier` and `times` are the caller's to add."""
    facts = group.facts
    since = facts.since or at
    incident = incident_key(workflow_id, facts.number, since)
    return Notification(
        id=f"{incident}/{about}/{notifier}",
        notifier=notifier,
        about=about,
        escalation=given.escalation,
        group=given.group,
        incident=incident,
        workflow_id=workflow_id,
        at=at,
        since=since,
        waiting=group.book.waiting,
        open=group.book.open,
        failures=max(facts.total - facts.total_before, 0),
        codes=dict(facts.codes),
        samples=tuple(facts.samples),
        trigger=given.trigger,
        source=given.source,
        stage=given.stage,
        by=facts.acknowledged_by,
    )


def incident_key(workflow_id: str, number: int, since: datetime) -> str:
    """Name one incident, the same from its first alarm to its end, and no other of this group ever after."""
    return f"{workflow_id}/{rfc3339(since)}-{number}"


def view(
    given: EscalationInput, group: Group, workflow_id: str, *, sending: int, wake: datetime | None
) -> EscalationView:
    """Show the whole group."""
    facts = group.facts
    tiers = []
    for number, tier in enumerate(group.policy.tiers):
        told = facts.told.get(number)
        tiers.append(
            TierView(
                tier=number + 1,
                notify=tier.notify,
                times=told.times if told else 0,
                last=told.at if told else None,
            )
        )
    return EscalationView(
        id=workflow_id,
        escalation=given.escalation,
        group=given.group,
        state=state_of(group),
        incident=facts.number,
        since=facts.since,
        waiting=group.book.waiting,
        open=group.book.open,
        failures=max(facts.total - facts.total_before, 0),
        total=facts.total,
        codes=dict(facts.codes),
        samples=tuple(facts.samples),
        acknowledged_by=facts.acknowledged_by,
        acknowledged_at=facts.acknowledged_at,
        covered_until=facts.covered_until,
        tiers=tuple(tiers),
        sending=sending,
        next=wake,
        log=tuple(facts.log),
    )
