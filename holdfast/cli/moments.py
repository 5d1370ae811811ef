"""Moments as people write them for an option: `2h` ago, or a time. Flow: `--since` → **moment** → query."""

from datetime import UTC, datetime, timedelta

from holdfast.domain.quantities import parse_duration
from holdfast.errors import ErrorCode, RejectedInput


def moment_of(option: str, text: str, now: datetime) -> datetime:
    """Read `2h` ago, or a time; one without a zone is UTC. Raises RejectedInput `input.invalid`."""
    try:
        ago: timedelta = parse_duration(text)
        return now - ago
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise RejectedInput(
            ErrorCode.INPUT_INVALID, f"{option} {text}: neither a duration like 2h nor a time like 2026-11-20T08:00:00Z"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
