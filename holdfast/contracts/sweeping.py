"""Payloads of `Sweep`, which finds what fell through, and of its activities."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from holdfast.domain.sweeping import Answer, FindingKind

_FROZEN = ConfigDict(frozen=True, extra="forbid")

MOST_NAMED = 100  # findings of each part that are named; the rest is counted

Part = Literal["runs", "running", "bus"]
PARTS: tuple[Part, ...] = ("runs", "running", "bus")


class SweepInput(BaseModel):
    """Input of `Sweep`; without one it goes on where the last sweep that ended well began, less an overlap."""

    model_config = _FROZEN

    version: Literal[1] = 1
    since: AwareDatetime | None = None


class SweepWindow(BaseModel):
    """What one sweep looks at: what ended, or was stored, in this time."""

    model_config = _FROZEN

    since: AwareDatetime
    until: AwareDatetime


class SweepPartInput(BaseModel):
    """Input of `sweep_part`."""

    model_config = _FROZEN

    part: Part
    window: SweepWindow


class Finding(BaseModel):
    """One thing that the sweeper found, and its answer."""

    model_config = _FROZEN

    kind: FindingKind
    answer: Answer
    workflow_id: str = ""
    run_id: str = ""
    source: str = ""
    event_id: str = ""
    sequence: int | None = None  # on the bus
    detail: str = ""


class PartResult(BaseModel):
    """What one part of a sweep came to."""

    model_config = _FROZEN

    examined: int = 0
    findings: tuple[Finding, ...] = ()
    found: int = 0  # findings in all, those that are not named included


class SweepResult(BaseModel):
    """Result of `Sweep`."""

    model_config = _FROZEN

    version: Literal[1] = 1
    window: SweepWindow
    examined: int
    found: int
    findings: tuple[Finding, ...]
