"""What a case tells its escalation: that it opened, and each time the attention it needs changes."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from holdfast.domain.deadletters import CaseState, Stage

_FROZEN = ConfigDict(frozen=True, extra="forbid")

Change = Literal["opened", "acknowledged", "snoozed", "reopened", "closed"]


class CaseNotice(BaseModel):
    """Input of `report_case`: one change of one case, bounded texts only, never a body."""

    model_config = _FROZEN

    case: str  # workflow id of the case
    dead_letter_id: str
    change: Change
    state: CaseState
    at: AwareDatetime
    stage: Stage
    code: str
    message: str
    trigger: str = ""
    source: str = ""
    event_id: str = ""
    event_type: str = ""
    by: str = ""
    until: AwareDatetime | None = None  # snoozed: when it needs attention again
    escalation: str | None = None  # change "opened": the policy asked for; later: the one that took it


class ReportedCase(BaseModel):
    """Result of `report_case`: the escalation that follows this case; empty: none does, and no more is reported."""

    model_config = _FROZEN

    escalation: str = ""
