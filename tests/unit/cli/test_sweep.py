"""Times as people write them for `holdfast sweep` and `holdfast custody`."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.cli.sweep import moment
from holdfast.errors import RejectedInput


def test_a_duration_is_that_long_ago() -> None:
    """`3d` means three days back from now."""
    began = datetime.now(UTC)
    assert timedelta(0) <= moment("3d") - (began - timedelta(days=3)) < timedelta(minutes=1)


@pytest.mark.parametrize("text", ["2026-11-20T08:00:00Z", "2026-11-20T08:00:00", "2026-11-20T10:00:00+02:00"])
def test_a_time_without_a_zone_is_utc(text: str) -> None:
    """And one with a zone keeps its meaning."""
    assert moment(text) == datetime(2026, 11, 20, 8, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "", "3", "2026-13-01"])
def test_anything_else_is_refused(text: str) -> None:
    """With what would be right, instead of a guess."""
    with pytest.raises(RejectedInput, match="neither a time"):
        moment(text)
