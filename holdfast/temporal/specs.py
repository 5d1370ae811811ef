"""A schedule's times as Temporal's spec, and Temporal's spec as times again.

Flow: ScheduleConfig → **to_temporal** → Temporal; Temporal's description → **from_temporal** → Occurrences.
"""

from collections.abc import Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

from temporalio.client import ScheduleCalendarSpec, ScheduleIntervalSpec, ScheduleRange, ScheduleSpec

from holdfast.domain.calendars import DAY_OF_MONTH, DAY_OF_WEEK, MONTH, Calendar, Interval
from holdfast.domain.occurrences import Occurrences
from holdfast.domain.schedules import ScheduleConfig


def to_temporal(config: ScheduleConfig) -> ScheduleSpec:
    """Return what Temporal ticks by; cron expressions go as calendars, because Temporal reads them differently."""
    specs = config.specs
    return ScheduleSpec(
        calendars=[_calendar_spec(spec) for spec in specs if isinstance(spec, Calendar)],
        intervals=[ScheduleIntervalSpec(spec.every, spec.offset) for spec in specs if isinstance(spec, Interval)],
        skip=[_calendar_spec(exclusion.calendar) for exclusion in config.exclude],
        start_at=config.start_at,
        end_at=config.end_at,
        jitter=config.jitter or None,
        time_zone_name=config.timezone,
    )


def from_temporal(spec: ScheduleSpec) -> Occurrences:
    """Return the times of a described schedule; the server has turned its cron expressions into calendars."""
    intervals = [Interval(one.every, one.offset or timedelta(0)) for one in spec.intervals]
    return Occurrences(
        specs=(*(_calendar(one) for one in spec.calendars), *intervals),
        exclude=tuple(_calendar(one) for one in spec.skip),
        zone=ZoneInfo(spec.time_zone_name or "UTC"),
        start=spec.start_at,
        end=spec.end_at,
    )


def _calendar_spec(calendar: Calendar) -> ScheduleCalendarSpec:
    return ScheduleCalendarSpec(
        second=_ranges(calendar.second),
        minute=_ranges(calendar.minute),
        hour=_ranges(calendar.hour),
        day_of_month=_ranges(calendar.day_of_month),
        month=_ranges(calendar.month),
        year=_ranges(calendar.year),
        day_of_week=_ranges(calendar.day_of_week),
    )


def _calendar(spec: ScheduleCalendarSpec) -> Calendar:
    return Calendar(
        second=_values(spec.second) or (0,),
        minute=_values(spec.minute) or (0,),
        hour=_values(spec.hour) or (0,),
        day_of_month=_values(spec.day_of_month) or DAY_OF_MONTH.all,
        month=_values(spec.month) or MONTH.all,
        year=_values(spec.year),
        day_of_week=tuple(sorted({day % 7 for day in _values(spec.day_of_week)})) or DAY_OF_WEEK.all,
    )


def _ranges(values: tuple[int, ...]) -> list[ScheduleRange]:
    """Return sorted values as few ranges of equal steps."""
    ranges: list[ScheduleRange] = []
    rest = list(values)
    while rest:
        step = rest[1] - rest[0] if len(rest) > 1 else 1
        length = 1
        while length < len(rest) and rest[length] - rest[length - 1] == step:
            length += 1
        if length == 2 and step > 1:
            length = 1
        ranges.append(ScheduleRange(rest[0], rest[length - 1], step if length > 1 else 1))
        rest = rest[length:]
    return ranges


def _values(ranges: Sequence[ScheduleRange]) -> tuple[int, ...]:
    return tuple(
        sorted({value for one in ranges for value in range(one.start, max(one.end, one.start) + 1, max(one.step, 1))})
    )
