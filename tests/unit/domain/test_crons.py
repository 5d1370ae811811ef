from datetime import timedelta

import pytest

from holdfast.domain.calendars import DAY_OF_MONTH, DAY_OF_WEEK, Calendar, Interval
from holdfast.domain.crons import argo_cron, parse_cron


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("30 4 * * *", [Calendar(minute=(30,), hour=(4,))]),
        ("*/20 9-11 * * MON-FRI", [Calendar(minute=(0, 20, 40), hour=(9, 10, 11), day_of_week=(1, 2, 3, 4, 5))]),
        ("5/15 0 * jan,JUL *", [Calendar(minute=(5, 20, 35, 50), month=(1, 7))]),
        ("0 0 * * 7", [Calendar(day_of_week=(0,))]),
        ("0 0 * * 5-7", [Calendar(day_of_week=(0, 5, 6))]),
        ("0 0 * * fri-sun", [Calendar(day_of_week=(0, 5, 6))]),
        ("0 0 * * 0-7", [Calendar()]),
        ("0 0 ? * monday", [Calendar(day_of_week=(1,))]),
        ("0 0 1 1 * 2027", [Calendar(day_of_month=(1,), month=(1,), year=(2027,))]),
        ("*/30 0 0 1 1 * *", [Calendar(second=(0, 30), day_of_month=(1,), month=(1,))]),
        ("@Weekly", [Calendar(day_of_week=(0,))]),
        ("@every 1h30m/15m", [Interval(timedelta(minutes=90), timedelta(minutes=15))]),
    ],
)
def test_an_expression_is_its_times(expression: str, expected: list[object]) -> None:
    """Every form that cron and Temporal know means what they mean by it."""
    assert list(parse_cron(expression)) == expected


@pytest.mark.parametrize(
    ("days", "weekdays", "either"),
    [
        ("1", "1", True),
        ("1-31", "MON", True),  # all values, but written down: robfig and Vixie call that restricted
        ("*/2", "MON", True),  # a step restricts
        ("*", "MON", False),
        ("1", "*", False),
        ("*,5", "MON", False),
        ("*/1", "1", False),
        ("?", "1", False),
        ("*", "*", False),
    ],
)
def test_a_day_of_the_month_or_of_the_week(days: str, weekdays: str, either: bool) -> None:
    """Where both are restricted it ticks on either, as robfig/cron has it: two calendars, each with one of the two."""
    specs = argo_cron(f"0 0 {days} * {weekdays}").specs
    assert len(specs) == (2 if either else 1)
    if either:
        first, second = specs
        assert isinstance(first, Calendar)
        assert isinstance(second, Calendar)
        assert first.day_of_week == DAY_OF_WEEK.all
        assert second.day_of_month == DAY_OF_MONTH.all


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("0 0 L * *", "L, W and #"),
        ("0 0 15W * *", "L, W and #"),
        ("0 0 * * FRI#2", "L, W and #"),
        ("0 0 * * 5L", "L, W and #"),
        ("H 0 * * *", "jitter"),
        ("60 0 * * *", "minute: 60 is not within 0-59"),
        ("0 0 0 * *", "day_of_month: 0 is not within 1-31"),
        ("0 22-2 * * *", "runs backwards"),
        ("*/0 * * * *", "the step after /"),
        ("0 0 * foo *", "JAN-DEC"),
        ("0 0 * *", "has 4 fields"),
        ("@reboot", "nothing ticks at a start"),
        ("@every fortnight", "is not a duration"),
        ("@every 500ms", "at least 1s|whole number"),
        ("TZ=Europe/Berlin 0 0 * * *", "timezone"),
        ("", "has 0 fields"),
        ("0 0 * * ,", "is not a value"),
    ],
)
def test_what_cannot_be_translated_is_refused(expression: str, says: str) -> None:
    """Nothing is guessed: the error names the field and what would be right."""
    with pytest.raises(ValueError, match=says):
        parse_cron(expression)


def test_an_entry_of_argo_may_bring_its_zone() -> None:
    """`CRON_TZ=` before the expression is handed back, and what remains is a `cron` of holdfast.yaml."""
    found = argo_cron("CRON_TZ=America/New_York 30 2 * * *")
    assert (found.timezone, found.cron) == ("America/New_York", "30 2 * * *")
    with pytest.raises(ValueError, match="five fields"):
        argo_cron("0 0 1 1 * 2027")
