"""The activity `report_case`: tells the escalation of a case what happened to it. Flow: DeadLetter → **report**."""

from dataclasses import dataclass

from temporalio import activity

from holdfast.contracts import names
from holdfast.contracts.escalations import CaseNotice, ReportedCase


@dataclass(frozen=True, slots=True)
class Escalations:
    """Finds the escalation that follows a case."""

    @activity.defn(name=names.REPORT_CASE)
    async def report_case(self, notice: CaseNotice) -> ReportedCase:  # noqa: ARG002 - no escalation is configured
        """Return the escalation that took it; none does."""
        return ReportedCase()
