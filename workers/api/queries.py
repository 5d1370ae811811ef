"""Reading what callers put into a URL: times, and cursors that only fit the list they came from."""

import base64
import json
from datetime import UTC, datetime, timedelta

from holdfast import ids
from holdfast.domain.quantities import parse_duration
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.temporal.case_list import Cursor

LONGEST_AGO = timedelta(days=3_650)
MAX_CURSOR = 4_096  # characters


def moment(text: str, now: datetime, name: str = "since") -> datetime:
    """Read `2h` as that long ago, or a time with its zone. Raises RejectedInput `input.invalid`."""
    try:
        ago: timedelta = parse_duration(text)
    except (ValueError, OverflowError):
        return instant(text, name)
    return now - min(ago, LONGEST_AGO)


def instant(text: str, name: str) -> datetime:
    """Read a time with its zone. Raises RejectedInput `input.invalid`."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None and found.year > 1:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise RejectedInput(ErrorCode.INPUT_INVALID, f"{name}: a time with its zone, like 2026-11-20T08:00:00Z")


def cursor_text(cursor: Cursor, query: str) -> str:
    """Return a place in the list that `query` gave, opaque to the caller."""
    plain = json.dumps([ids.fingerprint(query), cursor.encode()])
    return base64.urlsafe_b64encode(plain.encode()).decode("ascii")


def cursor_of(text: str, query: str) -> Cursor:
    """Read `cursor_text`'s text. Raises RejectedInput `input.invalid`, also where it is of another list."""
    unknown = RejectedInput(ErrorCode.INPUT_INVALID, "cursor: not `next` of this list; begin anew without it")
    if len(text) > MAX_CURSOR:
        raise unknown
    try:
        mark, inner = json.loads(base64.urlsafe_b64decode(text.encode("ascii")))
        cursor = Cursor.decode(inner)
    except (ValueError, TypeError, AttributeError, RecursionError, RejectedInput) as error:
        raise unknown from error
    if mark != ids.fingerprint(query) or cursor.seen < 0:
        raise unknown
    return cursor
