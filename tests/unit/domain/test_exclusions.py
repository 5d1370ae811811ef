from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from pydantic import ValidationError

from holdfast.domain.schedules import ScheduleConfig

FRIDAY_NIGHT = datetime(2027, 10, 29, 22, 0, tzinfo=UTC)  # Saturday in Berlin, the clocks go back on Sunday


@pytest.mark.parametrize(
    "written",
    [
        {"every": "1m", "exclude": [{"hour": "*"}]},
        {"cron": "0 3 25 12 *", "exclude": [{"month": 12, "day_of_month": 25}]},
        {"cron": "* 9-17 * * *", "exclude": [{"hour": "0-11"}, {"hour": "12-23"}], "timezone": "Australia/Lord_Howe"},
        {"every": "1s", "exclude": [{"day_of_week": "MON-FRI"}, {"day_of_week": "SAT,SUN"}]},
    ],
)
def test_exclusions_that_leave_nothing_are_refused(written: dict[str, Any]) -> None:
    """A schedule that never ticks is a mistake, and would keep the server searching for its next time."""
    with pytest.raises(ValidationError, match="exclude: takes every time away"):
        ScheduleConfig.model_validate(written)


def test_long_exclusions_are_passed_over() -> None:
    """A weekend in which the clocks change, or all but one minute of each hour, ends to the second."""
    weekend = {"every": "1s", "timezone": "Europe/Berlin", "exclude": [{"day_of_week": "SAT,SUN"}]}
    config = ScheduleConfig.model_validate(weekend)
    monday = FRIDAY_NIGHT + timedelta(hours=49)
    assert tuple(islice(config.occurrences.after(FRIDAY_NIGHT), 2)) == (monday, monday + timedelta(seconds=1))
    months = ScheduleConfig.model_validate({"every": "1s", "exclude": [{"month": "1-11", "minute": "0-58"}]})
    moment = datetime(2027, 1, 31, 22, 59, 59, tzinfo=UTC)
    assert next(months.occurrences.after(moment)) == moment + timedelta(minutes=59, seconds=1)


def test_one_left_out_minute_is_left_out_alone() -> None:
    """What begins within an excluded stretch goes on right after it."""
    config = ScheduleConfig.model_validate({"every": "20s", "exclude": [{"minute": "30"}]})
    start = datetime(2027, 1, 1, 12, 29, 40, tzinfo=UTC)
    assert next(config.occurrences.after(start)) == start + timedelta(seconds=80)
