"""The tables of docs/schedules.md; tests/property/test_occurrences.py holds the same nights against the real server."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.domain.schedules import ScheduleConfig

TABLE = [
    ("Europe/Berlin", "2027-03-28", "30 2 * * *", []),
    ("Europe/Berlin", "2027-03-28", "0 3 * * *", ["01:00"]),
    ("Europe/Berlin", "2027-10-31", "30 2 * * *", ["01:30"]),
    ("Europe/Berlin", "2027-10-31", "0,30 2 * * *", ["01:00", "02:30"]),
    ("America/New_York", "2027-03-14", "30 2 * * *", []),
    ("America/New_York", "2027-11-07", "0,30 1 * * *", ["05:00", "05:30", "06:00", "06:30"]),
    ("America/New_York", "2027-11-07", "30 1 * * *", ["05:30", "06:30"]),
    ("Australia/Lord_Howe", "2027-10-03", "15 2 * * *", ["15:45"]),
    ("Australia/Lord_Howe", "2027-04-04", "45 1 * * *", ["15:15"]),
]


@pytest.mark.parametrize(("zone", "day", "cron", "expected"), TABLE)
def test_the_night_when_the_clocks_change(zone: str, day: str, cron: str, expected: list[str]) -> None:
    """What runs on that local day, in UTC."""
    times = ScheduleConfig.model_validate({"cron": cron, "timezone": zone}).occurrences
    midnight = datetime.fromisoformat(day).replace(tzinfo=times.zone).astimezone(UTC)
    found = times.between(midnight - timedelta(seconds=1), midnight + timedelta(hours=12), 100)
    assert [f"{at:%H:%M}" for at in found] == expected


@pytest.mark.parametrize(
    ("zone", "cron", "wall", "kind", "runs"),
    [
        ("Europe/Berlin", "30 2 * * *", "2027-03-28T02:30:00", "skipped", 0),
        ("Europe/Berlin", "30 2 * * *", "2027-10-31T02:30:00", "once", 1),
        ("America/New_York", "30 1 * * *", "2027-11-07T01:30:00", "doubled", 2),
        ("Australia/Lord_Howe", "15 2 * * *", "2027-10-03T02:15:00", "shifted", 1),
    ],
)
def test_the_plan_names_what_is_odd(zone: str, cron: str, wall: str, kind: str, runs: int) -> None:
    """Skipped, doubled, once and shifted local times are named with their runs; UTC and excluded times have none."""
    since, until = datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    config = ScheduleConfig.model_validate({"cron": cron, "timezone": zone})
    odd = {one.wall: one for one in config.occurrences.oddities(since, until)}
    assert (odd[datetime.fromisoformat(wall)].kind, len(odd[datetime.fromisoformat(wall)].runs)) == (kind, runs)
    without = ScheduleConfig.model_validate({"cron": cron, "timezone": zone, "exclude": [wall[:10]]})
    assert datetime.fromisoformat(wall) not in {one.wall for one in without.occurrences.oddities(since, until)}
    assert ScheduleConfig.model_validate({"cron": cron}).occurrences.oddities(since, until) == ()
