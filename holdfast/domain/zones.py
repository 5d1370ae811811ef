"""A time zone as a table of offsets: worked out once with the machine's tz data, then the same wherever it is read.

Workflow code must not depend on which tz data its machine has; an escalation carries this table instead.
"""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict

HORIZON = timedelta(days=5 * 366)  # transitions are known this far ahead; later the last offset is taken


class Zone(BaseModel):
    """`offsets[i]` holds from `since[i]` on; the first one also before. Seconds east of UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: tuple[AwareDatetime, ...]
    offsets: tuple[int, ...]

    def local(self, moment: datetime) -> datetime:
        """Return what a clock on the wall shows, as a naive datetime."""
        return moment.astimezone(UTC).replace(tzinfo=None) + self._offset(moment)

    def utc(self, wall: datetime) -> datetime:
        """Return when a clock on the wall shows `wall`; the first time, where it does twice.

        Where it never does, because the clock was put forward over it: as long after the change as `wall` is after the
        beginning of what was skipped.
        """
        as_utc = wall.replace(tzinfo=UTC)
        for seconds in self.offsets:
            guess = as_utc - timedelta(seconds=seconds)
            candidates = [timedelta(seconds=one) for one in self._near(guess)]
            fitting = sorted(as_utc - one for one in candidates if self._offset(as_utc - one) == one)
            if fitting:
                return fitting[0]
        before = self._near(as_utc)[0]
        return as_utc - timedelta(seconds=before)

    def _offset(self, moment: datetime) -> timedelta:
        return timedelta(seconds=self.offsets[max(bisect_right(self.since, moment) - 1, 0)])

    def _near(self, moment: datetime) -> tuple[int, ...]:
        """Return the offsets in force within two days of `moment`, in order."""
        first = max(bisect_right(self.since, moment - timedelta(days=2)) - 1, 0)
        last = max(bisect_right(self.since, moment + timedelta(days=2)), first + 1)
        return self.offsets[first:last]


def zone_table(name: str, start: datetime) -> Zone:
    """Return the offsets of the IANA zone `name` from `start` to HORIZON after it. Raises KeyError, ValueError."""
    zone, hour = ZoneInfo(name), timedelta(hours=1)
    start = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    since, offsets = [start], [_seconds(zone, start)]
    days = [start + timedelta(days=n) for n in range(HORIZON.days + 1)]
    for one, other in pairwise(days):
        if _seconds(zone, one) == _seconds(zone, other):
            continue
        low, high = one, other
        while high - low > timedelta(seconds=1):
            middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
            low, high = (middle, high) if _seconds(zone, middle) == _seconds(zone, one) else (low, middle)
        since.append(high)
        offsets.append(_seconds(zone, high + hour))
    return Zone(since=tuple(since), offsets=tuple(offsets))


def _seconds(zone: ZoneInfo, moment: datetime) -> int:
    offset = moment.astimezone(zone).utcoffset()
    return round(offset.total_seconds()) if offset is not None else 0
