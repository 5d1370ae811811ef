"""The next moment of a cron expression with five fields, in a time zone: when the windows of a join are ended.

Schedules are Temporal's and are not computed here. The wall clock of the zone counts: a time that a change to summer
time leaves out is passed over, one that comes twice counts once. Where day of month and day of week are both given,
either is enough, as in every cron.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(?:(\*|\?)|(\w+)(?:-(\w+))?)(?:/(\d+))?")
HORIZON = timedelta(days=366 * 8 + 1)  # 29 February may be eight years away


@dataclass(frozen=True, slots=True)
class Cron:
    """One expression, read."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    either_day: bool  # both day fields are given: one of them is enough

    def after(self, moment: datetime, zone: str) -> datetime | None:
        """Return the first time after `moment` (aware), in UTC; None where there is none within eight years."""
        local = moment.astimezone(ZoneInfo(zone))
        day = local.date()
        while day - local.date() <= HORIZON:
            if self._on(day.month, day.day, (day.weekday() + 1) % 7):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        at = datetime.combine(day, time(hour, minute), ZoneInfo(zone))
                        real = at.astimezone(UTC)
                        if real > moment and real.astimezone(at.tzinfo).time() == at.time():
                            return real
            day += timedelta(days=1)
        return None

    def _on(self, month: int, day: int, weekday: int) -> bool:
        if month not in self.months:
            return False
        if self.either_day:
            return day in self.days or weekday in self.weekdays
        return day in self.days and weekday in self.weekdays


def parse_cron(text: str) -> Cron:
    """Read five fields, or `@daily` and its like. Raises ValueError."""
    fields = _MACROS.get(text.strip().lower(), text).split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"{text!r} is no cron expression: minute, hour, day of month, month, day of week")
    minutes, hours, days, months, weekdays = (
        _field(field, *bounds) for field, bounds in zip(fields, _FIELDS, strict=True)
    )
    both = not fields[2].startswith(("*", "?")) and not fields[4].startswith(("*", "?"))
    return Cron(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), both)


def _field(text: str, name: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no {name}")
        star, first, last, every = match.groups()
        start, end = (low, high) if star else (_number(first, name), _number(last or first, name))
        if first and every and not last:
            end = high  # 5/15 begins at 5
        if not low <= start <= end <= high or int(every or 1) < 1:
            raise ValueError(f"{part!r} is no {name} from {low} to {high}")
        found |= set(range(start, end + 1, int(every or 1)))
    return frozenset(found)


def _number(text: str, name: str) -> int:
    names = {"month": _MONTHS, "weekday": _DAYS}.get(name, ())
    if text in names:
        return names.index(text) + (name == "month")
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no {name}")
    return int(text)
