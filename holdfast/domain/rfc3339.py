"""Reading RFC 3339 timestamps as the standard has them, no more: Python reads other forms of ISO 8601 too."""

import re
from datetime import UTC, datetime, timedelta

_FORM = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def read_rfc3339(text: str) -> datetime | None:
    """Return the moment in UTC, to the microsecond, or None. A leap second is the first of the next minute."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    day, minute, second, fraction, offset = match.groups()
    leap = second == "60"
    micro = (fraction or "")[:6].ljust(6, "0")
    try:
        moment = datetime.fromisoformat(
            f"{day}T{minute}:{'59' if leap else second}.{micro}{'+00:00' if offset in 'Zz' else offset}"
        )
        return (moment + timedelta(seconds=1 if leap else 0)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
