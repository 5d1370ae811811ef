"""The exact times a schedule ticks at, worked out as Temporal does, without asking it.

An interval counts from the Unix epoch. A calendar ticks when the local time matches; where clocks change, Temporal
has habits of its own, which are kept here to the second and tested against the server: a local time that is skipped
does not tick (but by half an hour late where the clocks jump by half an hour), one that is repeated ticks twice west of
Greenwich and once, the second time, east of it.

Flow: schedule → Calendar, Interval → **occurrences** → plan, and the watch for missed ticks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from holdfast.domain.calendars import LAST_YEAR, Calendar, Interval, Spec

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NO_TIME = timedelta(0)
NEAR = timedelta(hours=4)  # around a change of the clocks
MAX_NEAR = 2_000  # times looked at there
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_EXCLUDED = 20_000  # stretches in a row that exclusions may take away before we say that nothing comes


@dataclass(frozen=True, slots=True)
class ClockChange:
    """A change of the clocks: at `at` (UTC) the local time jumps from `before` to `after`, both naive."""

    at: datetime
    before: datetime
    after: datetime


@dataclass(frozen=True, slots=True)
class Oddity:
    """A local time that would tick, and what a change of the clocks makes of it; `runs` are its instants, UTC.

    skipped: no run; doubled: two; once: it comes twice and runs once; shifted: it does not exist and runs later.
    """

    wall: datetime
    kind: Literal["skipped", "doubled", "once", "shifted"]
    runs: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class Occurrences:
    """When something ticks: at any of `specs`, at no time that `exclude` has, from `start` to `end`, both included."""

    specs: tuple[Spec, ...]
    exclude: tuple[Calendar, ...] = ()
    zone: ZoneInfo = ZoneInfo("UTC")  # noqa: RUF009 - immutable
    start: datetime | None = None
    end: datetime | None = None

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield, in order and in UTC, every time later than `moment`, to the second. It may never end."""
        moment = moment.astimezone(UTC)
        if self.start is not None:
            moment = max(moment, self.start.astimezone(UTC) - SECOND)
        excluded = 0
        while excluded < MAX_EXCLUDED:
            found = [at for spec in self.specs if (at := self._next(spec, moment)) is not None]
            if not found or (self.end is not None and min(found) > self.end):
                return
            moment = min(found)
            if (last := self._excluded_until(moment)) is not None:
                moment = last
                excluded += 1
                continue
            excluded = 0
            yield moment

    def between(self, after: datetime, up_to: datetime, limit: int) -> tuple[datetime, ...]:
        """Return the times later than `after` and not later than `up_to`, at most `limit` of them."""
        found: list[datetime] = []
        for at in self.after(after):
            if at > up_to or len(found) == limit:
                break
            found.append(at)
        return tuple(found)

    def has(self, moment: datetime) -> bool:
        """Whether `moment` is one of the times."""
        return self.between(moment - SECOND, moment, 1) == (moment.astimezone(UTC),)

    def oddities(self, after: datetime, up_to: datetime, limit: int = 6) -> tuple[Oddity, ...]:
        """Return the first local times that daylight saving skips or doubles for these calendars."""
        found: list[Oddity] = []
        calendars = [spec for spec in self.specs if isinstance(spec, Calendar)]
        change = next_change(self.zone, after, up_to)
        while change is not None and len(found) < limit:
            first, last = sorted((change.before, change.after))
            runs = frozenset(self.between(change.at - NEAR, change.at + NEAR, MAX_NEAR))
            walls = {wall for one in calendars for wall in _walls(one, first - HOUR, last + HOUR, MAX_NEAR)}
            found += [odd for wall in sorted(walls) if (odd := self._oddity(wall, runs)) is not None]
            change = next_change(self.zone, change.at, up_to)
        return tuple(found[:limit])

    def _oddity(self, wall: datetime, runs: frozenset[datetime]) -> Oddity | None:
        if any(calendar.has(wall) for calendar in self.exclude):
            return None
        exists = instants(wall, self.zone)
        ran = tuple(at for at in exists if at in runs)
        if not exists:
            late = go_date(wall, self.zone)
            return Oddity(wall, "shifted", (late,)) if late in runs else Oddity(wall, "skipped", ())
        if len(exists) == len(ran) == 1:
            return None
        return Oddity(wall, "doubled" if len(ran) == 2 else "once" if ran else "skipped", ran)

    def _excluded_until(self, moment: datetime) -> datetime | None:
        """Return the last second of the excluded stretch that `moment` lies in; None where it is not excluded.

        A stretch is a day, an hour, a minute or a second: who leaves out a weekend of a schedule that ticks every
        second leaves out 172,800 times.
        """
        local = moment.astimezone(self.zone)
        wall = local.replace(tzinfo=None)
        stretches = [calendar.stretch(wall) for calendar in self.exclude if calendar.has(wall)]
        if not stretches:
            return None
        last = moment + max(stretches) - SECOND
        return last if _offset(self.zone, last) == local.utcoffset() else moment  # step where the clocks change

    def _next(self, spec: Spec, moment: datetime) -> datetime | None:
        if isinstance(spec, Interval):
            steps = (moment - EPOCH - spec.offset) // spec.every + 1
            return EPOCH + spec.offset + steps * spec.every
        return next_of_calendar(spec, moment, self.zone)


def next_of_calendar(calendar: Calendar, moment: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first time later than `moment` that Temporal finds; it goes hour by hour along the local clock."""
    local = moment.astimezone(zone).replace(tzinfo=None, microsecond=0)
    again = HOUR if (moment - HOUR).astimezone(zone).hour == local.hour else NO_TIME  # in the repeat of an hour
    hour, rest = local.replace(minute=0, second=0), timedelta(minutes=local.minute, seconds=local.second + 1)
    while hour.year <= LAST_YEAR:
        if rest >= HOUR:  # this hour is done: it comes again, or the next one does
            repeats = not again and go_date(hour + HOUR, zone) - go_date(hour, zone) > HOUR
            hour, again, rest = (hour, HOUR, NO_TIME) if repeats else (hour + HOUR, NO_TIME, NO_TIME)
        if not _has_hour(calendar, hour, go_date(hour + rest, zone).astimezone(zone).isoweekday() % 7):
            later = _next_hour(calendar, hour)
            if later is None:
                return None
            hour, rest, again = later, NO_TIME, NO_TIME
        if (found := _in_hour(calendar, rest)) is None:
            rest = HOUR
            continue
        at = go_date(hour + found, zone)
        if at.astimezone(zone).hour == hour.hour:
            return at + again
        hour, rest = hour + HOUR, NO_TIME  # that hour does not exist on this day
    return None


def go_date(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant that Go, and so Temporal, takes a local time for where it comes twice or never."""
    naive = wall.replace(tzinfo=UTC)
    offset = _offset(zone, naive)
    return naive - _offset(zone, naive - offset) if offset else naive


def instants(wall: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Return every instant, UTC, at which the clocks of `zone` show `wall`: none, one or two."""
    tried = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return tuple(sorted(at for at in tried if at.astimezone(zone).replace(tzinfo=None) == wall))


def _has_hour(calendar: Calendar, hour: datetime, weekday: int) -> bool:
    return (
        hour.hour in calendar.hour
        and hour.month in calendar.month
        and hour.day in calendar.day_of_month
        and weekday in calendar.day_of_week
        and (not calendar.year or hour.year in calendar.year)
    )


def _next_hour(calendar: Calendar, hour: datetime) -> datetime | None:
    """Return the next hour that the calendar has, after `hour`."""
    wall = next_wall(calendar, hour + HOUR)
    return None if wall is None else wall.replace(minute=0, second=0)


def _in_hour(calendar: Calendar, rest: timedelta) -> timedelta | None:
    minute, second = divmod(int(rest.total_seconds()), 60)
    for candidate in calendar.minute:
        least = second if candidate == minute else 0
        if candidate >= minute:
            for at in calendar.second:
                if at >= least:
                    return timedelta(minutes=candidate, seconds=at)
    return None


def next_wall(calendar: Calendar, wall: datetime) -> datetime | None:
    """Return the first matching local time from `wall` on, as if no clock ever changed."""
    if calendar.has_day(wall) and (found := _time_of_day(calendar, wall.time())) is not None:
        return datetime.combine(wall.date(), found)
    day = datetime.combine(wall.date(), time())
    while True:
        if day.month not in calendar.month:
            day = (day.replace(day=1) + 32 * DAY).replace(day=1)
        else:
            day += DAY
        if day.year > (calendar.year[-1] if calendar.year else LAST_YEAR):
            return None
        if calendar.has_day(day):
            return datetime.combine(day.date(), time(calendar.hour[0], calendar.minute[0], calendar.second[0]))


def _time_of_day(calendar: Calendar, least: time) -> time | None:
    for hour in calendar.hour:
        if hour > least.hour:
            return time(hour, calendar.minute[0], calendar.second[0])
        if hour < least.hour:
            continue
        for minute in calendar.minute:
            if minute > least.minute:
                return time(hour, minute, calendar.second[0])
            if minute < least.minute:
                continue
            for second in calendar.second:
                if second >= least.second:
                    return time(hour, minute, second)
    return None


def _walls(calendar: Calendar, first: datetime, last: datetime, limit: int) -> list[datetime]:
    """Return the matching local times from `first` on, before `last`."""
    walls: list[datetime] = []
    wall = next_wall(calendar, first)
    while wall is not None and wall < last and len(walls) < limit:
        walls.append(wall)
        wall = next_wall(calendar, wall + SECOND)
    return walls


def next_change(zone: ZoneInfo, after: datetime, up_to: datetime) -> ClockChange | None:
    """Return the first change of the clocks later than `after` and not later than `up_to`, to the second."""
    low = after.replace(microsecond=0)
    before = _offset(zone, low)
    while low < up_to:
        high = min(low + DAY, up_to)
        if _offset(zone, high) == before:
            low = high
            continue
        while high - low > SECOND:
            middle = low + ((high - low) // SECOND // 2) * SECOND
            low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
        at = high.astimezone(UTC)
        naive = at.replace(tzinfo=None)
        return ClockChange(at, naive + before, naive + _offset(zone, at))
    return None


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)
