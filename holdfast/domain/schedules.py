"""A schedule: when it ticks and the event each tick publishes."""

from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from holdfast.domain.quantities import Duration

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MIN_CATCH_UP = timedelta(seconds=10)  # Temporal's own lower bound


class TickEvent(BaseModel):
    """The event that a tick publishes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = Field(default="schedule.ticked", min_length=1, max_length=256, description="The event's type.")
    subject: str | None = Field(default=None, max_length=256, description="What the event is about.")
    data: str | None = Field(
        default=None, description="CEL over `tick` (tick.schedule, tick.time, tick.date); its value is event.data."
    )


class ScheduleConfig(BaseModel):
    """When to tick. At least one of `cron` and `every`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: tuple[str, ...] = Field(
        default=(), description="One or more cron expressions of five fields, or @daily and its kin."
    )
    every: Duration | None = Field(default=None, description="An interval, counted from the Unix epoch.")
    timezone: str = Field(default="UTC", description="IANA time zone the cron expressions are read in.")
    overlap: Literal["skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all"] = Field(
        default="skip", description="What to do when the tick before is still running."
    )
    catch_up: Duration = Field(
        default=timedelta(hours=1),
        description="Ticks missed while Temporal was away are made up for when no older than this; at least 10s.",
    )
    jitter: Duration = Field(default=timedelta(0), description="Spread ticks over this long after their nominal time.")
    start_at: datetime | None = Field(default=None, description="No ticks before this time (with time zone).")
    end_at: datetime | None = Field(default=None, description="No ticks after this time (with time zone).")
    paused: bool = Field(default=False, description="Create it paused. A pause made by hand later is left alone.")
    event: TickEvent = Field(default=TickEvent(), description="The event each tick publishes.")

    @field_validator("cron", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if text not in ALIASES and len(text.split()) != 5:
                raise ValueError(
                    f"{text!r} is not a cron expression of five fields (minute hour day month weekday) or one of"
                    f" {', '.join(ALIASES)}"
                )
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is not an IANA time zone, like Europe/Berlin or UTC") from error
        return value

    @field_validator("start_at", "end_at")
    @classmethod
    def _aware(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("needs a time zone, like 2026-01-31T08:00:00Z")
        return value

    @model_validator(mode="after")
    def _ticks_at_all(self) -> "ScheduleConfig":
        if not self.cron and self.every is None:
            raise ValueError("needs `cron` or `every`, or it never ticks")
        if self.every is not None and self.every < timedelta(seconds=1):
            raise ValueError("every: at least 1s")
        if self.catch_up < MIN_CATCH_UP:
            raise ValueError("catch_up: at least 10s, Temporal's own lower bound")
        if self.start_at and self.end_at and self.end_at <= self.start_at:
            raise ValueError("end_at must come after start_at")
        return self

    @property
    def cron_expressions(self) -> tuple[str, ...]:
        """The cron expressions with the aliases spelled out, as Temporal takes them."""
        return tuple(ALIASES.get(text, text) for text in self.cron)
