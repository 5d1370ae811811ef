"""When who is told: from a policy, a group and the time to the next thing to do. Pure, so that days are tested at once.

Flow: notice → group → **next_step** → notify, or wait.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from holdfast.domain.escalations import TierConfig
from holdfast.domain.incidents import Group, Incident
from holdfast.domain.quiet import quiet_end
from holdfast.domain.zones import Zone


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell this tier now; it was due at `planned`."""

    tier: int
    planned: datetime


@dataclass(frozen=True, slots=True)
class Resolve:
    """Everything is closed: close the incident at those who keep one of their own."""


@dataclass(frozen=True, slots=True)
class Recover:
    """Everything is closed: tell the people who were told of the failure."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until`; None: before something is reported."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class End:
    """Everything is closed and everybody knows."""


Step = Tell | Resolve | Recover | Wait | End


def next_step(group: Group, zones: Mapping[str, Zone], now: datetime) -> Step:
    """Return what is to be done now. Call `group.advance(now)` before."""
    if not group.book.open:
        return _closing(group, zones, now)
    wakes = list(group.facts.snoozed.values())
    if group.book.waiting and not group.facts.alarming and group.facts.covered_until is not None:
        wakes.append(group.facts.covered_until)
    for number, tier in enumerate(group.policy.tiers):
        due = _due(group, number, tier)
        if due is None:
            continue
        if not tier.even_in_quiet_hours:
            due = quiet_end(group.policy.quiet, zones, due)
            if due <= now and (loud := quiet_end(group.policy.quiet, zones, now)) > now:
                due = loud  # it is late, and quiet by now
        if due <= now:
            return Tell(number, due)
        wakes.append(due)
    return Wait(min(wakes, default=None))


def _due(group: Group, number: int, tier: TierConfig) -> datetime | None:
    """Return when a tier is due but for quiet hours; None where it is not any more, or not at all."""
    facts = group.facts
    if facts.since is None or not (facts.alarming or tier.until == "resolved"):
        return None
    told = facts.told.get(number)
    if told is not None:
        return told.at + tier.repeat if tier.repeat is not None else None
    if number and _reached_nobody(group, facts, number - 1):
        return facts.told[number - 1].at  # nobody knows yet: the next tier does not wait
    return facts.since + max(tier.after, group.policy.group_wait)


def _reached_nobody(group: Group, facts: Incident, number: int) -> bool:
    told = facts.told.get(number)
    return told is not None and told.failures >= len(group.policy.tiers[number].notify)


def _closing(group: Group, zones: Mapping[str, Zone], now: datetime) -> Step:
    facts = group.facts
    due = (facts.emptied_at or now) + group.policy.recovered_after
    if now < due:
        return Wait(due)
    if not facts.resolved:
        return Resolve()
    if facts.recovered:
        return End()
    loud = quiet_end(group.policy.quiet, zones, now)
    if group.policy.recovered and facts.reached and loud > now:
        return Wait(loud)
    return Recover()
