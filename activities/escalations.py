"""The activity `report_case`: a change of a case reaches the escalation that follows it.

Flow: DeadLetter → **report_case** → Escalation. The first report chooses the policy and the group, and its answer names
the group's workflow; later reports go there, however the configuration has changed since.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from temporalio import activity

from activities.boundary import boundary
from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.escalation_runs import EscalationInput
from holdfast.contracts.escalations import CaseNotice, ReportedCase
from holdfast.domain.escalations import DEFAULT, EscalationConfig, GroupBy
from holdfast.domain.zones import zone_table
from holdfast.settings.file import HoldfastConfig, LoadedConfig
from holdfast.settings.live import LiveConfig
from holdfast.temporal import escalations

log = logging.getLogger(__name__)

_PREFIX = ids.escalation_id("x").removesuffix("x")


@dataclass(frozen=True, slots=True)
class Escalations:
    """Reports cases, with the worker's own client."""

    loaded: LoadedConfig | LiveConfig

    @activity.defn(name=names.REPORT_CASE)
    async def report_case(self, given: CaseNotice) -> ReportedCase:
        """Report one change. Tried until Temporal answers; reporting it twice is reporting it once."""
        with boundary(never_give_up=True):
            return await self._report(given)

    async def _report(self, given: CaseNotice) -> ReportedCase:
        client, config, follower = activity.client(), self.loaded.config, given.escalation or ""
        if follower.startswith(_PREFIX):
            found = await escalations.report(client, follower, given)
            if found or given.change != "reopened":
                return ReportedCase(escalation=follower)
            policy = _named(config, follower.removeprefix(_PREFIX).partition("/")[0])
        else:
            policy = chosen(config, given)
            if given.change not in {"opened", "reopened"}:
                return ReportedCase()
        if policy is None:
            return ReportedCase()
        workflow_id, begun = group_of(config, policy, given, at=given.at)
        workflow_id = follower if follower.startswith(_PREFIX) else workflow_id  # the one that the case knows
        await escalations.begin(client, workflow_id, begun, given)
        return ReportedCase(escalation=workflow_id)


def chosen(config: HoldfastConfig, given: CaseNotice) -> str | None:
    """Return the policy for a case: the one asked for, else the one named `default`; None where there is none."""
    wanted = given.escalation or DEFAULT
    if wanted in config.escalations:
        return wanted
    if given.escalation:
        log.warning("escalation.unknown", extra={"escalation": wanted, "trigger": given.trigger, "case": given.case})
        return DEFAULT if DEFAULT in config.escalations else None
    return None


def group_of(config: HoldfastConfig, policy: str, given: CaseNotice, *, at: datetime) -> tuple[str, EscalationInput]:
    """Return the workflow id of a case's group, and what the group begins with."""
    chosen_policy = config.escalations[policy]
    group = _group(chosen_policy.group_by, given)
    begun = EscalationInput(
        escalation=policy,
        group="/".join(group),
        policy=chosen_policy,
        zones={window.timezone: zone_table(window.timezone, at) for window in chosen_policy.quiet},
        kinds=_kinds(config, chosen_policy),
        trigger=given.trigger if group[0] in {"trigger", "code", "case"} else "",
        source=given.source if group[0] != "escalation" else "",
        stage=given.stage,
    )
    return ids.escalation_id(policy, *group), begun


def _group(by: GroupBy, given: CaseNotice) -> tuple[str, ...]:
    if by == "escalation":
        return ("escalation",)
    if by == "case":
        return ("case", given.dead_letter_id)
    if by == "source" and given.source:
        return ("source", given.source)
    if not given.trigger:
        return ("stray", given.source or "_", given.stage)
    return ("trigger", given.trigger) if by != "code" else ("code", given.trigger, given.code)


def _kinds(config: HoldfastConfig, policy: EscalationConfig) -> dict[str, str]:
    notifiers = {name for tier in policy.tiers for name in tier.notify}
    return {name: config.notifiers[name].kind for name in sorted(notifiers) if name in config.notifiers}


def _named(config: HoldfastConfig, token: str) -> str | None:
    return next((name for name in config.escalations if ids.token(name) == token), None)
