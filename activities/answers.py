"""What an answer over HTTP means, and what of it is kept: pure but for the compiled expressions, bounded throughout.

Flow: http → **judge**, **Reader** → a receipt, or a failure that is tried again or not.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from activities.target import Receipt, kept
from holdfast.domain.expressions import RESPONSE, Absent, Expression, Failed, Found
from holdfast.domain.http_options import HttpOptions, contains
from holdfast.domain.retry import MAX_RETRY_AFTER
from holdfast.errors import ErrorCode, PermanentFailure, RejectedInput, TransientFailure

MAX_RESPONSE = 65_536  # bytes read of an answer that nobody looks into
MAX_READ = 1_048_576  # bytes of one that `success` or `result` read, before and after decompression
MAX_COMPILED = 1_000  # expressions kept
_LATER = frozenset({408, 425, 429})
_PLAIN = HttpOptions()


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer as it came; `whole` says whether all of its body was read."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool


def judge(
    status: int, headers: Mapping[str, str], excerpt: str, *, now: datetime, options: HttpOptions = _PLAIN
) -> Receipt:
    """Read a status: what is expected (2xx) is done; `retry_on`, 408, 425, 429 and 5xx may pass; the rest is refused.

    Raises TransientFailure `target.retry_later` or `target.failed`, PermanentFailure `target.refused`.
    """
    said = f"HTTP {status}" + (f": {excerpt}" if excerpt else "")
    again = contains(options.retry_on, status) if options.retry_on is not None else False
    if not again and contains(options.expect or ("2xx",), status):
        return Receipt(f"HTTP {status}", {"status": status})
    if again or status in _LATER or status >= 500:
        wait = retry_after(headers.get("retry-after"), now=now)
        code = ErrorCode.TARGET_RETRY_LATER if status in _LATER or wait is not None else ErrorCode.TARGET_FAILED
        raise TransientFailure(code, said, retry_after=wait)
    if 200 <= status <= 299:
        said += " (not among the statuses of `expect`)"
    if 300 <= status <= 399:
        said = f"HTTP {status}: redirects are not followed; configure the final address"
    raise PermanentFailure(ErrorCode.TARGET_REFUSED, said)


def retry_after(value: str | None, *, now: datetime) -> timedelta | None:
    """Read `Retry-After` (seconds, or an HTTP date), never negative, at most MAX_RETRY_AFTER; None where unreadable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return MAX_RETRY_AFTER if len(text) > 9 else min(timedelta(seconds=int(text)), MAX_RETRY_AFTER)
    try:
        due = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if due.tzinfo is None:
        return None
    return min(max(due - now, timedelta(0)), MAX_RETRY_AFTER)


class Reader:
    """Evaluates `success` and `result`; what was compiled once is kept."""

    def __init__(self) -> None:
        self._compiled: dict[str, Expression] = {}

    def read(self, options: HttpOptions, answered: Answered, receipt: Receipt, text: str) -> Receipt:
        """Apply both to an answer whose status was good; `text` is its body, secrets blanked.

        Raises TransientFailure or PermanentFailure where `success` says so, or cannot say.
        """
        if options.success is None and options.result is None:
            return receipt
        bound = RESPONSE.bind(response=_view(answered, text))
        if options.success is not None:
            match self._expression(options.success).evaluate(bound):
                case Found(True):
                    pass
                case Found("refuse"):
                    raise PermanentFailure(
                        ErrorCode.TARGET_REFUSED, f"HTTP {answered.status}, and `success` refuses it"
                    )
                case Found(value):
                    what = "is false" if value is False else "is neither true nor false"
                    raise TransientFailure(ErrorCode.TARGET_FAILED, f"HTTP {answered.status}, but `success` {what}")
                case Absent(reason) | Failed(reason):
                    raise TransientFailure(ErrorCode.TARGET_FAILED, f"HTTP {answered.status}, `success`: {reason}")
        if options.result is None:
            return receipt
        match self._expression(options.result).evaluate(bound):
            case Found(value):
                return Receipt(receipt.summary, kept(value))
            case Absent(reason) | Failed(reason):
                # it was carried out: a result that cannot be read must not do it again
                return Receipt(receipt.summary, {"status": answered.status, "result_error": reason})

    def _expression(self, source: str) -> Expression:
        found = self._compiled.get(source)
        if found is None:
            try:
                found = RESPONSE.compile(source)
            except RejectedInput as error:
                raise PermanentFailure(ErrorCode.TARGET_MISCONFIGURED, error.message) from None
            if len(self._compiled) < MAX_COMPILED:
                self._compiled[source] = found
        return found


def _view(answered: Answered, text: str) -> dict[str, Any]:
    data: Any = None
    if answered.whole:
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            data = None
    return {
        "status": answered.status,
        "headers": {name.lower(): value for name, value in answered.headers.items()},
        "text": text.replace("\x00", "\ufffd"),
        "data": data,
        "truncated": not answered.whole,
    }


def decoded(answered: Answered) -> Answered:
    """Undo gzip or deflate (never asked for, but some send it), up to MAX_READ bytes: a bomb ends there."""
    coding = answered.headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"gzip", "x-gzip", "deflate"}:
        return answered
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        body = inflate.decompress(answered.body, MAX_READ)
    except zlib.error:
        return Answered(answered.status, answered.headers, b"", whole=False)
    return Answered(answered.status, answered.headers, body, whole=answered.whole and inflate.eof)
