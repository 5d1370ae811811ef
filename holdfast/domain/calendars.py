"""When a schedule ticks, as data: calendars and intervals, each the set of times that Temporal would make of it.

Flow: cron | calendar | every → **Calendar, Interval** → Temporal's spec, and our own list of the next runs.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FULL_NAMES = (
    *("january", "february", "march", "april", "june", "july", "august", "september", "october"),
    *("november", "december", "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"),
)
LAST_YEAR = 2100  # Temporal looks no further


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a calendar: its name and the values it may have; `names` stand for values from `first` on."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[int, ...]:
        """Every value."""
        return tuple(range(self.low, self.high + 1))


SECOND = Field("second", 0, 59)
MINUTE = Field("minute", 0, 59)
HOUR = Field("hour", 0, 23)
DAY_OF_MONTH = Field("day_of_month", 1, 31)
MONTH = Field("month", 1, 12, MONTHS)
YEAR = Field("year", 2000, LAST_YEAR)
DAY_OF_WEEK = Field("day_of_week", 0, 6, WEEKDAYS)
FIELDS = (SECOND, MINUTE, HOUR, DAY_OF_MONTH, MONTH, YEAR, DAY_OF_WEEK)


@dataclass(frozen=True, slots=True)
class Calendar:
    """All times whose local second, minute, … are among these values; each tuple is sorted. Sunday is 0.

    Day of month and day of week must both match, as in Temporal: cron's "either" is two calendars.
    """

    second: tuple[int, ...] = (0,)
    minute: tuple[int, ...] = (0,)
    hour: tuple[int, ...] = (0,)
    day_of_month: tuple[int, ...] = DAY_OF_MONTH.all
    month: tuple[int, ...] = MONTH.all
    year: tuple[int, ...] = ()  # () is every year
    day_of_week: tuple[int, ...] = DAY_OF_WEEK.all

    def has_day(self, day: datetime) -> bool:
        """Whether the local day of `day` is among them."""
        return (
            day.month in self.month
            and day.day in self.day_of_month
            and day.isoweekday() % 7 in self.day_of_week
            and (not self.year or day.year in self.year)
        )

    def has(self, wall: datetime) -> bool:
        """Whether the local time `wall` is among them."""
        return (
            wall.second in self.second and wall.minute in self.minute and wall.hour in self.hour and self.has_day(wall)
        )

    def stretch(self, wall: datetime) -> timedelta:
        """How long from `wall`, which it has, it has all times: to the end of the second, minute, hour or day."""
        if len(self.second) < 60:
            return timedelta(seconds=1)
        rest = timedelta(seconds=60 - wall.second)
        if len(self.minute) < 60:
            return rest
        rest += timedelta(minutes=59 - wall.minute)
        return rest if len(self.hour) < 24 else rest + timedelta(hours=23 - wall.hour)


@dataclass(frozen=True, slots=True)
class Interval:
    """All times `offset` after a multiple of `every` since the Unix epoch; whole seconds."""

    every: timedelta
    offset: timedelta = timedelta(0)


Spec = Calendar | Interval


def parse_field(text: str, field: Field) -> tuple[int, ...]:
    """Return the values of a field: `*`, `5`, `1-5`, `*/15`, `10-50/20`, `5/15` (from 5 on), `MON-FRI`, lists of these.

    Raises ValueError, which names the field, what is wrong and what would be right.
    """
    values: set[int] = set()
    for part in text.split(","):
        values.update(_part(part.strip(), field))
    return tuple(sorted(values))


def _part(part: str, field: Field) -> range | list[int]:
    span, slash, step_text = part.partition("/")
    step = 1
    if slash:
        if not step_text.isdecimal() or int(step_text) < 1:
            raise ValueError(f"{field.name}: {part!r}: the step after / is a whole number from 1 on")
        step = int(step_text)
    if span in {"*", "?"}:
        return range(field.low, field.high + 1, step)
    first_text, dash, last_text = span.partition("-")
    first = _value(first_text, field, part)
    if dash:
        last = _value(last_text, field, part)
        if field is DAY_OF_WEEK and last == 0 and last_text.strip() != "0" and first > 0:
            last = 7  # FRI-SUN: the week ends with Sunday
    else:
        last = field.high if slash else first
    if last < first:
        raise ValueError(
            f"{field.name}: {part!r} runs backwards; write two ranges, {first}-{field.high},{field.low}-{last}"
        )
    if field is DAY_OF_WEEK:
        return [day % 7 for day in range(first, last + 1, step)]
    return range(first, last + 1, step)


def _value(text: str, field: Field, part: str) -> int:
    text = text.strip().lower()
    if text.isdecimal() and text.isascii():
        value = int(text)
        if field is DAY_OF_WEEK and value == 7:
            return 7  # Sunday too: folded to 0 when the range is known
        if not field.low <= value <= field.high:
            raise ValueError(f"{field.name}: {text} is not within {field.low}-{field.high}")
        return value
    if field.names and (text in field.names or text in FULL_NAMES) and text[:3] in field.names:
        return field.names.index(text[:3]) + field.low
    if text == "h" or text.startswith("h("):
        raise ValueError(f"{field.name}: {part!r}: H is not known; give a value, and use `jitter` to spread load")
    if (re.search(r"[lw#]", text) and not field.names) or re.fullmatch(r"[a-z0-9]*(l|w|#\d)", text):
        raise ValueError(
            f"{field.name}: {part!r}: L, W and # are not known; name the days, e.g. day_of_month 22-28 with"
            " day_of_week FRI in `calendar` for the fourth Friday"
        )
    allowed = f"{field.low}-{field.high}" + (
        f" or {field.names[0].upper()}-{field.names[-1].upper()}" if field.names else ""
    )
    raise ValueError(f"{field.name}: {part!r} is not a value; allowed are {allowed}, *, ranges a-b, steps /n and lists")
