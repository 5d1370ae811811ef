"""The log of failed attempts as it travels: in heartbeat details, in the final failure, in the dead letter.

Bounded, because a failure that is too large is cut by the server: the first and the last attempts tell the story.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from holdfast.contracts.delivery import Attempt
from holdfast.errors import ErrorCode, bounded

FIRST = 5  # attempts kept from the beginning
LAST = 15  # attempts kept from the end
MESSAGE = 300  # characters kept of each message

_LOG = TypeAdapter(tuple[Attempt, ...])


def failed(number: int, at: datetime, code: str, message: str) -> Attempt:
    """One failed attempt, its text bounded."""
    return Attempt(number=number, at=at, code=code, message=bounded(message, MESSAGE))


def append(log: tuple[Attempt, ...], attempt: Attempt) -> tuple[Attempt, ...]:
    """Return `log` with one more; the middle is dropped where it grows past FIRST + LAST."""
    grown = (*log, attempt)
    return grown if len(grown) <= FIRST + LAST else (*grown[:FIRST], *grown[-LAST:])


def lost(log: tuple[Attempt, ...], *, before: int, since: int, at: datetime) -> tuple[Attempt, ...]:
    """Return `log` with an entry for the attempt that ended without a word just before number `before`.

    `since` is the number of the first attempt that could have reported here.
    """
    known = log[-1].number if log else since - 1
    if known >= before - 1:
        return log
    text = "no outcome was reported: the worker was lost, or the attempt ran out of time"
    return append(log, failed(before - 1, at, ErrorCode.TARGET_TIMEOUT, text))


def read_log(details: Sequence[Any]) -> tuple[Attempt, ...]:
    """Read a log out of failure or heartbeat details; empty where there is none."""
    try:
        return _LOG.validate_python(details[0] if details else ())
    except ValidationError:
        return ()
