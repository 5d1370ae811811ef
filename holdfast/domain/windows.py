"""Daily windows in a time zone: `during: {days: mon-fri, from: "09:00", to: "17:00", timezone: Europe/Berlin}`.

The start belongs to the window, the end does not. A window whose end is not after its start runs over midnight and
belongs to the day it starts on. It is the wall clock of the zone that counts, so a change to summer time moves the
window with the people who live there; in the hour that comes twice, both count.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Days = frozenset[int]
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?|24:00(:00)?")


def parse_days(text: str) -> Days:
    """Read `mon-fri`, `sat,sun`, `fri-mon`, or an empty text for every day. Raises ValueError."""
    found: set[int] = set()
    for part in text.lower().replace(" ", "").split(",") if text.strip() else ["mon-sun"]:
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(f"{part!r} is no day; write {', '.join(DAYS)}, a range like mon-fri, or a list")
        start, end = DAYS.index(first), DAYS.index(last or first)
        found |= {day % 7 for day in range(start, end + 1 if end >= start else end + 8)}
    return frozenset(found)


def parse_time(text: str) -> timedelta:
    """Read `09:00`, `09:00:30` or `24:00` as the time since midnight. Raises ValueError."""
    if not _TIME.fullmatch(text):
        raise ValueError(f'{text!r} is no time of day; write it in quotes, like "09:00" or "17:30:00"')
    hours, minutes, seconds = [*map(int, text.split(":")), 0][:3]
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def inside(at: datetime, days: Days, start: timedelta, end: timedelta, zone: str) -> bool:
    """Whether `at` lies in the window. Raises ValueError for a zone that does not exist."""
    try:
        local = at.astimezone(ZoneInfo(zone))
    except (KeyError, OSError) as error:
        raise ValueError(f"{zone!r} is not an IANA time zone") from error
    clock = local.time()
    passed = timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second, microseconds=clock.microsecond)
    today, yesterday = local.weekday(), (local.weekday() - 1) % 7
    if start < end:
        return today in days and start <= passed < end
    return (today in days and passed >= start) or (yesterday in days and passed < end)


class WindowConfig(BaseModel):
    """One daily window."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    days: str = Field(default="", description="`mon-fri`, `sat,sun`, …. Default: every day.")
    start: str = Field(
        default="00:00", alias="from", description='First moment, wall clock of the zone, in quotes: "09:00".'
    )
    end: str = Field(
        default="24:00",
        alias="to",
        description="First moment after it. Not after `from`: the window runs over midnight and belongs to the day it"
        " starts on.",
    )
    timezone: str = Field(default="UTC", description="IANA time zone, e.g. Europe/Berlin. Summer time is followed.")
    of: Literal["time", "received_at"] = Field(
        default="time",
        description="Which time: the event's own, which a CloudEvent's sender states, or when it was received.",
    )

    @field_validator("days", mode="before")
    @classmethod
    def _list_or_text(cls, value: object) -> object:
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _readable(self) -> "WindowConfig":
        parse_days(self.days)
        start, end = parse_time(self.start), parse_time(self.end)
        if start == end:
            raise ValueError("from and to are the same time: the window would be empty, or the whole day")
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"timezone: {self.timezone!r} is not an IANA time zone, like Europe/Berlin") from error
        return self

    def show(self) -> str:
        """For people: `mon-fri 09:00-17:00 Europe/Berlin`."""
        return f"{self.days + ' ' if self.days else ''}{self.start}-{self.end} {self.timezone}"

    def contains(self, at: datetime) -> bool:
        """Whether a time lies in it."""
        return inside(at, parse_days(self.days), parse_time(self.start), parse_time(self.end), self.timezone)


def end_of(window: WindowConfig, at: datetime) -> datetime:
    """Return when the window that holds `at` ends: the first moment after `at` that it no longer covers, in UTC."""
    start, end, zone = parse_time(window.start), parse_time(window.end), ZoneInfo(window.timezone)
    local = at.astimezone(zone)
    clock = local.time()
    passed = timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second, microseconds=clock.microsecond)
    over_midnight = start >= end and passed >= start and local.weekday() in parse_days(window.days)
    midnight = datetime(local.year, local.month, local.day) + timedelta(days=1 if over_midnight else 0)  # noqa: DTZ001
    found = (midnight + end).replace(tzinfo=zone).astimezone(UTC)
    # in the hour that comes twice the first end lies behind: the window ends with the second
    return found if found > at else (midnight + end).replace(tzinfo=zone, fold=1).astimezone(UTC)
