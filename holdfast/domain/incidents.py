"""What an escalation knows of its group: the open cases, whether anybody looks after them, who was told.

Flow: notice of a case → **group** → timeline → tell. Every move may come twice and means the same then.

An *incident* begins when a case needs somebody and nobody looks after the group; it calms down when a person
acknowledges, or when no case needs anybody any more.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, Field

from holdfast.domain.casebook import Casebook
from holdfast.domain.escalations import EscalationConfig

MAX_SAMPLES = 5  # cases that a notification shows: the first ones, and the latest
MAX_CODES = 10  # error codes that are counted by themselves; the rest is one number
MAX_LOG = 60  # lines of what was done
MAX_SNOOZED = 1_000  # snoozes with their ends; past it a case is only quiet until it is reported again
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Sample:
    """One case, as a notification shows it."""

    case: str
    at: AwareDatetime
    code: str
    message: str
    source: str = ""
    event_id: str = ""
    event_type: str = ""
    trigger: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of what was done, for people."""

    at: AwareDatetime
    text: str


@dataclass(slots=True)
class Told:
    """What became of one tier: when it was last due and told, how often, and how many of its notifiers failed then."""

    at: AwareDatetime
    times: int = 1
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Superseded:
    """An incident that gave way to the next: whoever keeps it open elsewhere is to close it."""

    number: int
    since: AwareDatetime
    reached: tuple[str, ...]


@dataclass(slots=True)
class Incident:
    """Everything but the open cases; it travels to the workflow's next run as it is."""

    number: int = 0
    since: AwareDatetime | None = None
    alarming: bool = False
    waiting_since: AwareDatetime | None = None
    emptied_at: AwareDatetime | None = None
    acknowledged_at: AwareDatetime | None = None
    acknowledged_by: str = ""
    covered_until: AwareDatetime | None = None
    resolved: bool = False  # at those who keep an incident of their own
    recovered: bool = False  # told to people
    total: int = 0
    total_before: int = 0  # of `total`, those of earlier incidents
    codes: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    told: dict[Annotated[int, Field(ge=0)], Told] = field(default_factory=dict)
    reached: list[str] = field(default_factory=list)
    superseded: list[Superseded] = field(default_factory=list)
    snoozed: dict[str, AwareDatetime] = field(default_factory=dict)
    log: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class Group:
    """One group: failures that are told as one."""

    policy: EscalationConfig
    facts: Incident = field(default_factory=Incident)
    book: Casebook = field(default_factory=Casebook)

    def opened(self, sample: Sample, at: datetime, *, again: bool = False) -> None:
        """A case opened, or opened `again`; how often this is said does not matter."""
        facts, before = self.facts, self.book.waiting
        if not again and self.book.knows(sample.case):
            return
        facts.snoozed.pop(sample.case, None)
        if self.book.wait(sample.case):
            facts.total += 1
            code = sample.code if sample.code in facts.codes or len(facts.codes) < MAX_CODES else OTHER
            facts.codes[code] = facts.codes.get(code, 0) + 1
            if len(facts.samples) >= MAX_SAMPLES:
                del facts.samples[-2]  # the first ones stay, and the latest two
            facts.samples.append(sample)
        if not before:
            facts.waiting_since = at
        facts.emptied_at = None

    def acknowledged(self, by: str, at: datetime, note: str = "") -> None:
        """Somebody looks after it: after everything that is open now, and for a while after what comes."""
        facts = self.facts
        self.book.handle_all()
        facts.covered_until = at + self.policy.reopen_after
        facts.acknowledged_at, facts.acknowledged_by = at, by
        self.note(at, f"acknowledged by {by}" + (f": {note}" if note else ""))

    def snoozed(self, case: str, until: datetime | None) -> None:
        """One case needs nobody until then."""
        if not self.book.knows(case):
            return
        self.book.handle(case)
        if until is not None and (len(self.facts.snoozed) < MAX_SNOOZED or case in self.facts.snoozed):
            self.facts.snoozed[case] = until

    def closed(self, case: str, at: datetime) -> None:
        """One case is resolved, discarded or expired."""
        self.facts.snoozed.pop(case, None)
        if self.book.close(case) and not self.book.open:
            self.facts.emptied_at = at
            self.facts.covered_until = None  # what fails now is something new

    def advance(self, now: datetime) -> None:
        """Let time do what it does: snoozes end, acknowledgements stop covering what came after them."""
        facts = self.facts
        for case in [one for one, until in facts.snoozed.items() if until <= now]:
            until = facts.snoozed.pop(case)
            if self.book.knows(case):
                if not self.book.waiting:
                    facts.waiting_since = until
                self.book.wait(case)
        if not self.book.waiting:
            facts.alarming = False
        elif not facts.alarming and (facts.covered_until is None or now >= facts.covered_until):
            self._begin(now)

    def told(self, tier: int, planned: datetime, now: datetime) -> int:
        """Note that a tier is told now; returns how often it was in this incident, this time included."""
        repeat = self.policy.tiers[tier].repeat or timedelta(0)
        # repeats keep their rhythm, but what was missed for longer than one is not made up for
        at = planned if now < planned + repeat else max(now, planned)
        before = self.facts.told.get(tier)
        self.facts.told[tier] = Told(at, before.times + 1 if before else 1)
        return self.facts.told[tier].times

    def reached(self, number: int, since: datetime, notifier: str) -> None:
        """A notifier has been told of an incident, perhaps one that is over by now."""
        if number != self.facts.number:
            self.facts.superseded.append(Superseded(number, since, (notifier,)))
        elif notifier not in self.facts.reached:
            self.facts.reached.append(notifier)

    def failed(self, number: int, tier: int) -> None:
        """One notifier of a tier could not be told, for good."""
        if number == self.facts.number and tier in self.facts.told:
            self.facts.told[tier].failures += 1

    def note(self, at: datetime, text: str) -> None:
        """Keep one line of what was done; the oldest give way."""
        self.facts.log.append(Entry(at, text))
        del self.facts.log[:-MAX_LOG]

    def _begin(self, now: datetime) -> None:
        facts = self.facts
        if facts.since is not None and facts.reached and not facts.resolved:
            facts.superseded.append(Superseded(facts.number, facts.since, tuple(facts.reached)))
        since = facts.waiting_since or now
        facts.number += 1
        facts.since = min(now, max(since, facts.covered_until or since))
        facts.alarming, facts.resolved, facts.recovered = True, False, False
        facts.acknowledged_at, facts.acknowledged_by, facts.covered_until = None, "", None
        facts.told, facts.reached = {}, []
        facts.total_before = facts.total - self.book.waiting
