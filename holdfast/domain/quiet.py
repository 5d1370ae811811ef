"""Quiet hours: from a moment to the first one at which people may be told. Pure; the zone comes as a table."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from holdfast.domain.escalations import DAYS, QuietConfig
from holdfast.domain.zones import Zone

_DAY = timedelta(days=1)
_ROUNDS = 60  # windows that follow each other without a gap; a policy that is never loud ends here


def quiet_end(windows: Sequence[QuietConfig], zones: Mapping[str, Zone], moment: datetime) -> datetime:
    """Return `moment` where it is not quiet, else the end of the quiet hours (of several that touch: the last)."""
    for _ in range(_ROUNDS):
        later = max((_end(window, zones[window.timezone], moment) for window in windows), default=moment)
        if later == moment:
            break
        moment = later
    return moment


def _end(window: QuietConfig, zone: Zone, moment: datetime) -> datetime:
    """Return the end of this window where `moment` lies in it, else `moment`."""
    today = zone.local(moment).replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = _clock(window.start), _clock(window.end)
    if end <= start:
        end += _DAY
    for midnight in (today - _DAY, today):  # a window that began yesterday may still last
        if DAYS[midnight.weekday()] not in window.days:
            continue
        if zone.utc(midnight + start) <= moment < (until := zone.utc(midnight + end)):
            return until
    return moment


def _clock(text: str) -> timedelta:
    hours, _, minutes = text.partition(":")
    return timedelta(hours=int(hours), minutes=int(minutes))
