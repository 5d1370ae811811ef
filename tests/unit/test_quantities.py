from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.quantities import format_duration, parse_duration


@given(st.integers(0, 10**12))
def test_a_duration_is_read_back_as_written(milliseconds: int) -> None:
    """Formatting and parsing are inverse, so a snapshot in a history means what the file said."""
    value = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize("text", ["5", 5, 5.0, "", "5 m", "m", "-1s", "1y", "1s1", None, True, "9" * 400 + "d"])
def test_what_has_no_unit_is_refused(text: object) -> None:
    """A bare number would have to be guessed, so it is not."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_units_add_up() -> None:
    """`1h30m` is ninety minutes."""
    assert parse_duration("1h30m") == timedelta(minutes=90)
