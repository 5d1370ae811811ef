"""Who is told of failures, and when: the section `escalations` of holdfast.yaml."""

from datetime import timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from holdfast.domain.quantities import Duration

DEFAULT = "default"
"""The escalation that takes every case whose trigger names none, where it exists."""

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
GroupBy = Literal["trigger", "code", "source", "case", "escalation"]

MIN_REPEAT = timedelta(minutes=1)
_CLOCK = r"^([01]\d|2[0-3]):[0-5]\d$"


class TierConfig(BaseModel):
    """One step: whom to tell, how long after the failure, and how often."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after: Duration = Field(
        default=timedelta(0), description="How long after the first failure of the group. 0s: at once."
    )
    notify: tuple[str, ...] = Field(min_length=1, description="Names of `notifiers`, all told together.")
    repeat: Duration | None = Field(
        default=None, description="Tell them again this long after the last time, at least 1m. Default: once."
    )
    until: Literal["acknowledged", "resolved"] = Field(
        default="acknowledged",
        description="What ends this tier: a person acknowledges; or, `resolved`, only the end of the last case.",
    )
    even_in_quiet_hours: bool = Field(default=False, description="Do not wait for the end of the quiet hours.")

    @field_validator("notify", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("repeat")
    @classmethod
    def _not_too_often(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value < MIN_REPEAT:
            raise ValueError("must be at least 1m")
        return value


class QuietConfig(BaseModel):
    """Hours in which nobody is told; what falls into them is told at their end. Correct across daylight saving."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    start: str = Field(alias="from", pattern=_CLOCK, description="First minute, local time, like 22:00.")
    end: str = Field(
        alias="to",
        pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$",
        description="First minute after, like 07:00; 24:00 is midnight. Not later than `from`: on the next day.",
    )
    timezone: str = Field(description="IANA time zone, like Europe/Berlin.")
    days: tuple[Day, ...] = Field(
        default=DAYS, min_length=1, description="Days on which these hours begin: mon, tue, wed, thu, fri, sat, sun."
    )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is not an IANA time zone, like Europe/Berlin or UTC") from error
        return value


class EscalationConfig(BaseModel):
    """Who is told of a trigger's failures, tier by tier. A plain list stands for `tiers`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tiers: tuple[TierConfig, ...] = Field(min_length=1, max_length=20, description="In the order of `after`.")
    quiet: tuple[QuietConfig, ...] = Field(
        default=(), max_length=14, description="Quiet hours: one, or a list (nights, and whole weekends)."
    )
    group_by: GroupBy = Field(
        default="trigger",
        description="Failures that are told as one, with a count: of one `trigger`; of one trigger and error `code`; of"
        " one `source`; each `case` by itself; or all of this `escalation`. What has no trigger: by source, stage.",
    )
    group_wait: Duration = Field(
        default=timedelta(0),
        description="Wait this long after the first failure before anybody is told, so that the count is in it.",
    )
    reopen_after: Duration = Field(
        default=timedelta(hours=1),
        description="How long an acknowledgement also covers failures that come after it. What is still open of those"
        " then, and what fails later, begins again at the first tier.",
    )
    recovered: bool = Field(
        default=True, description="When the last case is closed, tell everybody who was told of the failure."
    )
    recovered_after: Duration = Field(
        default=timedelta(0), description="Tell so only when nothing has failed for this long."
    )
    tell_acknowledged: bool = Field(
        default=False,
        description="Also tell those who were told who has acknowledged. PagerDuty and Opsgenie always learn it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"tiers": value} if isinstance(value, list | tuple) else value

    @field_validator("quiet", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else (value,)

    @field_validator("tiers")
    @classmethod
    def _in_order(cls, value: tuple[TierConfig, ...]) -> tuple[TierConfig, ...]:
        if list(value) != sorted(value, key=lambda tier: tier.after):
            raise ValueError("tiers stand in the order of `after`")
        return value
