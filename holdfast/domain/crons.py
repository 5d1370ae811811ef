"""Cron expressions as calendars, with the meaning that cron gives them.

Temporal's own parser wants day of month *and* day of week to match; cron fires on *either* where both are restricted
(`0 0 1 * 1`: every first of a month and every Monday). So an expression becomes one or two calendars here.
"""

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

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

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
LONGEST = timedelta(days=3_660)  # of an interval; what is rarer is a date
_EVERY = re.compile(r"@every\s+(\S+?)(?:/(\S+))?")
_GO_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|m|s|d))+")
_GO_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|d)")
_GO_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ArgoCron:
    """A `schedules` entry of an Argo CronWorkflow: what it ticks on, and the zone where the entry itself names one."""

    specs: tuple[Spec, ...]
    timezone: str | None
    cron: str  # the same for `cron:` in holdfast.yaml


def parse_cron(expression: str) -> tuple[Spec, ...]:
    """Return what an expression ticks on.

    Five fields (minute hour day-of-month month day-of-week); six with a year behind them; seven with a second before
    and a year behind, as Temporal reads them; `@daily` and its kin; `@every 90m` and `@every 90m/15m` (offset).
    Raises ValueError, which says what is wrong and what would be right.
    """
    text = expression.strip()
    if _ZONE.fullmatch(text):
        raise ValueError(f"{expression!r}: the time zone belongs into the field `timezone`")
    if text.startswith("@"):
        return _named(text)
    fields = text.split()
    if len(fields) not in {5, 6, 7}:
        raise ValueError(
            f"{expression!r} has {len(fields)} fields; a cron expression has five (minute hour day-of-month month"
            f" day-of-week), six (and year) or seven (second first, year last); or it is"
            f" {', '.join(ALIASES)} or @every 90m"
        )
    try:
        return _calendars(fields)
    except ValueError as error:
        raise ValueError(f"{expression!r}: {error}") from error


def argo_cron(expression: str) -> ArgoCron:
    """Translate one entry of a CronWorkflow's `schedules`, as Argo (robfig/cron, ParseStandard) reads it.

    Its only forms are five fields, `@daily` and its kin and `@every`; `TZ=` or `CRON_TZ=` may stand before them.
    `@every` counts from the Unix epoch here, from the controller's start there. Raises ValueError.
    """
    text, zone = expression.strip(), None
    if prefixed := _ZONE.fullmatch(text):
        zone, text = prefixed[1], prefixed[2].strip()
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{expression!r}: {zone!r} is not an IANA time zone") from error
    if not text.startswith("@") and len(text.split()) != 5:
        raise ValueError(f"{expression!r}: Argo reads five fields: minute hour day-of-month month day-of-week")
    return ArgoCron(parse_cron(text), zone, text)


def _named(text: str) -> tuple[Spec, ...]:
    if text.lower() in ALIASES:
        return _calendars(ALIASES[text.lower()].split())
    if match := _EVERY.fullmatch(text):
        every, offset = _duration(match[1], text), _duration(match[2], text) if match[2] else timedelta(0)
        if every < timedelta(seconds=1):
            raise ValueError(f"{text!r}: an interval is at least 1s")
        return (Interval(every, offset % every),)
    hint = "; nothing ticks at a start: put an event there yourself" if text.lower() == "@reboot" else ""
    raise ValueError(f"{text!r} is not one of {', '.join(ALIASES)} or @every 90m{hint}")


def _duration(text: str, whole: str) -> timedelta:
    if not _GO_DURATION.fullmatch(text):
        raise ValueError(f"{whole!r}: {text!r} is not a duration, like 30s, 90m or 1h30m")
    seconds = sum(float(number) * _GO_UNITS[unit] for number, unit in _GO_PART.findall(text))
    if seconds < math.inf and seconds != int(seconds):
        raise ValueError(f"{whole!r}: {text!r} is not a whole number of seconds")
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{whole!r}: {text!r} is longer than {LONGEST.days} days")
    return timedelta(seconds=seconds)


def _calendars(fields: list[str]) -> tuple[Calendar, ...]:
    second = parse_field(fields[0], SECOND) if len(fields) == 7 else (0,)
    minute, hour, day, month, weekday = fields[1:6] if len(fields) == 7 else fields[:5]
    year = fields[-1] if len(fields) > 5 else "*"
    days, weekdays = parse_field(day, DAY_OF_MONTH), parse_field(weekday, DAY_OF_WEEK)
    common = {
        "second": second,
        "minute": parse_field(minute, MINUTE),
        "hour": parse_field(hour, HOUR),
        "month": parse_field(month, MONTH),
        "year": () if _any(year) else parse_field(year, YEAR),
    }
    if _any(day) or _any(weekday):
        return (Calendar(**common, day_of_month=days, day_of_week=weekdays),)
    return (Calendar(**common, day_of_month=days), Calendar(**common, day_of_week=weekdays))


def _any(text: str) -> bool:
    """Whether a field restricts nothing: a part of it is `*`, `?` or `*/1`. `*/2` restricts, as in robfig/cron 3."""
    return any(part.strip() in {"*", "?", "*/1", "?/1"} for part in text.split(","))
