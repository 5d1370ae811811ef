"""Payloads of the workflow `Escalation`: what it begins with, what it hands to its next run, what it shows."""

from pydantic import AwareDatetime, BaseModel, ConfigDict

from holdfast.contracts.notifications import Notification
from holdfast.domain.casebook import PackedCases
from holdfast.domain.escalations import EscalationConfig
from holdfast.domain.incidents import Entry, Incident, Sample
from holdfast.domain.zones import Zone

_FROZEN = ConfigDict(frozen=True, extra="forbid")

RENEW_AFTER = 2_000  # events; a run takes at most 10,000 signals and 51,200 events


class Snapshot(BaseModel):
    """All that one run hands to the next."""

    model_config = _FROZEN

    facts: Incident
    cases: PackedCases
    sending: tuple[Notification, ...] = ()  # not known to have arrived: sent again, under the same ids


class EscalationInput(BaseModel):
    """Input of `Escalation`. The policy is that of the group's beginning; notifiers are looked up when used."""

    model_config = _FROZEN

    escalation: str
    group: str
    policy: EscalationConfig
    zones: dict[str, Zone] = {}
    kinds: dict[str, str] = {}  # notifier → what it is
    trigger: str = ""
    source: str = ""
    stage: str = ""
    renew_after: int = RENEW_AFTER
    snapshot: Snapshot | None = None


class TierView(BaseModel):
    """How far one tier has come."""

    model_config = _FROZEN

    tier: int  # from 1
    notify: tuple[str, ...]
    times: int = 0
    last: AwareDatetime | None = None


class EscalationView(BaseModel):
    """Answer of the query `escalation` and of the Update `acknowledge`."""

    model_config = _FROZEN

    id: str
    escalation: str
    group: str
    state: str  # alarming, acknowledged (also: all snoozed), recovered
    incident: int
    since: AwareDatetime | None
    waiting: int
    open: int
    failures: int  # of this incident
    total: int  # of the group
    codes: dict[str, int]
    samples: tuple[Sample, ...]
    acknowledged_by: str = ""
    acknowledged_at: AwareDatetime | None = None
    covered_until: AwareDatetime | None = None
    tiers: tuple[TierView, ...] = ()
    sending: int = 0
    next: AwareDatetime | None = None  # when something is done by itself
    log: tuple[Entry, ...] = ()
