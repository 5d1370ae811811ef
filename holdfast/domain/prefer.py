"""`Prefer: wait=N` of RFC 7240, read strictly: how long a sender would wait for the outcome of its event.

A preference is a wish and never a reason to refuse: what cannot be read counts as not said.
"""

import re
from collections.abc import Sequence
from datetime import timedelta

MAX_LENGTH = 1_024  # bytes of all Prefer headers together; longer ones are not read
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_PARAMETER = rb"%b(?:[ \t]*=[ \t]*(?:%b|%b)?)?" % (_TOKEN, _TOKEN, _QUOTED)
_PREFERENCE = re.compile(
    rb"(%b)(?:[ \t]*=[ \t]*(%b|%b)?)?((?:[ \t]*;[ \t]*(?:%b)?)*)" % (_TOKEN, _TOKEN, _QUOTED, _PARAMETER)
)
_BETWEEN = re.compile(rb"[ \t]*(?:,[ \t]*)+")
_SECONDS = re.compile(rb"[0-9]+")


def wanted_wait(values: Sequence[bytes], longest: timedelta) -> timedelta | None:
    """Return what the Prefer headers `values` ask for, whole seconds, at most `longest`; None where they do not.

    Only the first `wait` counts (RFC 7240, section 2); one that is no number of seconds makes the whole wish void.
    """
    if not values or sum(map(len, values)) > MAX_LENGTH:
        return None
    preferences = _preferences(b", ".join(values))
    wait = next((value for name, value in preferences or () if name == b"wait"), None)
    if wait is None or not _SECONDS.fullmatch(wait):
        return None
    asked = timedelta(seconds=int(wait)) if len(wait) <= 9 else longest
    return min(asked, longest)


def _preferences(text: bytes) -> list[tuple[bytes, bytes]] | None:
    """Return names (lower case) with values (as written, empty where there is none), or None for no such list."""
    found: list[tuple[bytes, bytes]] = []
    text = text.strip(b" \t,")  # an empty element of a list means nothing (RFC 9110, section 5.6.1)
    position = 0
    while position < len(text):
        match = _PREFERENCE.match(text, position)
        if match is None:
            return None
        found.append((match.group(1).lower(), match.group(2) or b""))
        position = match.end()
        if position < len(text):
            between = _BETWEEN.match(text, position)
            if between is None:
                return None
            position = between.end()
    return found
