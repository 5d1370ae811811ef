"""A schedule: when it ticks and the event each tick publishes."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from holdfast.domain.calendars import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    YEAR,
    Calendar,
    Interval,
    Spec,
    parse_field,
)
from holdfast.domain.crons import parse_cron
from holdfast.domain.occurrences import Occurrences
from holdfast.domain.quantities import Duration

MIN_CATCH_UP = timedelta(seconds=10)  # Temporal's own lower bound
MAX_CATCH_UP = timedelta(days=90)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)  # before any schedule began: what a file means does not change with the day
_FIELDS = {
    "second": SECOND,
    "minute": MINUTE,
    "hour": HOUR,
    "day_of_month": DAY_OF_MONTH,
    "month": MONTH,
    "year": YEAR,
    "day_of_week": DAY_OF_WEEK,
}


class _Fields(BaseModel):
    """The fields of a calendar as people write them; `15`, `"9-17"`, `"MON-FRI"` and lists of these."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    day_of_month: str = Field(default="*", description="1-31, ranges a-b, steps /n, lists.")
    month: str = Field(default="*", description="1-12 or JAN-DEC.")
    year: str = Field(default="*", description="Up to 2100.")
    day_of_week: str = Field(default="*", description="0-7 or SUN-SAT; both 0 and 7 are Sunday.")

    @field_validator("*", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        if isinstance(value, list):
            return ",".join(str(part) for part in value)
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _readable(self) -> "_Fields":
        self.calendar  # noqa: B018 - raises ValueError, which names the field
        return self

    @property
    def calendar(self) -> Calendar:
        """The times it stands for."""
        values = {
            name: () if name == "year" and text.strip() in {"*", "?"} else parse_field(text, _FIELDS[name])
            for name, text in ((name, getattr(self, name)) for name in type(self).model_fields)
        }
        return Calendar(**values)


class CalendarConfig(_Fields):
    """Times by their local fields, all of which must match: `{hour: 9, minute: 30, day_of_week: MON-FRI}`."""

    second: str = Field(default="0", description="0-59.")
    minute: str = Field(default="0", description="0-59.")
    hour: str = Field(default="0", description="0-23.")


class ExclusionConfig(_Fields):
    """Times at which it does not tick: without hour, minute and second a whole day."""

    second: str = Field(default="*", description="0-59.")
    minute: str = Field(default="*", description="0-59.")
    hour: str = Field(default="*", description="0-23.")


class TickEvent(BaseModel):
    """The event that a tick publishes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = Field(default="schedule.ticked", min_length=1, max_length=256, description="The event's type.")
    subject: str | None = Field(default=None, max_length=256, description="What the event is about.")
    data: str | None = Field(
        default=None,
        description="CEL over `tick`; its value is event.data. `tick.schedule`; `tick.time`, when it was due, UTC;"
        " `tick.timezone`; and in that zone `tick.local_time`, `tick.date` and `tick.weekday` (`MON`).",
    )


class ScheduleConfig(BaseModel):
    """When to tick. At least one of `cron`, `calendar` and `every`; it ticks at the times of all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: tuple[str, ...] = Field(
        default=(),
        description="One or more cron expressions: five fields (six: with a year behind; seven: and a second before),"
        " `@daily` and its kin, or `@every 90m`. Where day of month and day of week are both restricted it ticks on"
        " either, as cron does; for days that match both use `calendar`.",
    )
    calendar: tuple[CalendarConfig, ...] = Field(
        default=(), description="One or more calendars; all fields of one must match."
    )
    every: Duration | None = Field(
        default=None, description="An interval, counted from the Unix epoch, so that a restart does not shift it."
    )
    offset: Duration = Field(default=timedelta(0), description="Shifts `every`: `every: 1h, offset: 15m` is xx:15.")
    exclude: tuple[ExclusionConfig, ...] = Field(
        default=(),
        description="Times at which it does not tick, as dates (`2026-12-25`) or as calendars (`{day_of_week: SUN}`);"
        " without an hour a whole day.",
    )
    timezone: str = Field(
        default="UTC",
        description="IANA time zone of cron, calendar and exclude. UTC has no daylight saving; for the others"
        " `holdfast schedules plan` shows what it skips and doubles.",
    )
    overlap: Literal["skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all"] = Field(
        default="skip",
        description="What to do when the tick before is still being published, which takes milliseconds unless the bus"
        " is away. A tick that is skipped for it becomes a dead letter.",
    )
    catch_up: Duration = Field(
        default=timedelta(hours=1),
        description="Ticks missed while Temporal was away are made up for when no older than this; at least 10s, at"
        " most 90d. An older one becomes a dead letter, `schedule.missed`, whose redrive publishes it late.",
    )
    jitter: Duration = Field(default=timedelta(0), description="Spread ticks over this long after their nominal time.")
    start_at: datetime | None = Field(default=None, description="No ticks before this time (with time zone).")
    end_at: datetime | None = Field(default=None, description="No ticks after this time (with time zone).")
    max_runs: int | None = Field(
        default=None,
        ge=1,
        description="Tick this often, then no more; what is left survives an apply, and changing the number starts"
        " the count anew. Ticks by hand and by backfill do not count.",
    )
    pause_on_failure: bool = Field(
        default=False, description="Pause it when a tick cannot be published (its data cannot be worked out)."
    )
    when: str | None = Field(
        default=None,
        description="CEL over `tick`, checked at each tick: false publishes nothing, and the tick's run says so.",
    )
    stop_when: str | None = Field(
        default=None,
        description="CEL over `ticks` (`ticks.failed`, `ticks.succeeded`, `ticks.failed_in_a_row`), checked before each"
        " tick: true pauses the schedule, with a note and a dead letter `schedule.stopped`. A tick failed when it could"
        " not be published or one of its deliveries was given up. Counted since the last such stop, for as long as"
        " Temporal keeps runs.",
    )
    paused: bool = Field(default=False, description="Create it paused. A pause made by hand later is left alone.")
    event: TickEvent = Field(default=TickEvent(), description="The event each tick publishes.")

    @field_validator("cron", "calendar", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | dict) else value

    @field_validator("exclude", mode="before")
    @classmethod
    def _dates(cls, value: Any) -> Any:
        return [_excluded(entry) for entry in (value if isinstance(value, list | tuple) else (value,))]

    @field_validator("cron")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            parse_cron(text)
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
        if not self.cron and not self.calendar and self.every is None:
            raise ValueError("needs `cron`, `calendar` or `every`, or it never ticks")
        if self.every is not None and (self.every < timedelta(seconds=1) or self.every % timedelta(seconds=1)):
            raise ValueError("every: whole seconds, at least 1s")
        if self.offset and (self.every is None or self.offset >= self.every or self.offset % timedelta(seconds=1)):
            raise ValueError("offset: shifts `every`, by whole seconds and by less than it")
        if not MIN_CATCH_UP <= self.catch_up <= MAX_CATCH_UP:
            raise ValueError("catch_up: at least 10s, Temporal's own lower bound, and at most 90d")
        if self.start_at and self.end_at and self.end_at <= self.start_at:
            raise ValueError("end_at must come after start_at")
        self._check_something_is_left()
        return self

    def _check_something_is_left(self) -> None:
        """Refuse exclusions that leave nothing: the server would search decades of times for one, again and again."""
        if not self.exclude:
            return
        occurrences, since = self.occurrences, self.start_at or LONG_AGO
        some = next(replace(occurrences, exclude=()).after(since), None)
        if some is not None and next(occurrences.after(some - timedelta(seconds=1)), None) is None:
            raise ValueError("exclude: takes every time away, or all for decades, so that it never ticks")

    @property
    def specs(self) -> tuple[Spec, ...]:
        """All that it ticks on."""
        found: list[Spec] = [spec for text in self.cron for spec in parse_cron(text)]
        found += [calendar.calendar for calendar in self.calendar]
        if self.every is not None:
            found.append(Interval(self.every, self.offset))
        return tuple(found)

    @property
    def occurrences(self) -> Occurrences:
        """The times it ticks at."""
        return Occurrences(
            specs=self.specs,
            exclude=tuple(exclusion.calendar for exclusion in self.exclude),
            zone=ZoneInfo(self.timezone),
            start=self.start_at,
            end=self.end_at,
        )


def _excluded(entry: Any) -> Any:
    """Return a date as the calendar of its day."""
    if isinstance(entry, str):
        try:
            entry = date.fromisoformat(entry)
        except ValueError as error:
            raise ValueError(f"{entry!r} is not a date, like 2026-12-25") from error
    if isinstance(entry, date) and not isinstance(entry, datetime):
        return {"year": entry.year, "month": entry.month, "day_of_month": entry.day}
    return entry
