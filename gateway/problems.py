"""The one translator from errors to HTTP: RFC 9457 problem documents with stable codes and no internals."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from gateway.limits import RETRY_AFTER
from holdfast.errors import ErrorCode, HoldfastError, Unavailable

_STATUS = {
    ErrorCode.REQUEST_MALFORMED: HTTPStatus.BAD_REQUEST,
    ErrorCode.IDENTITY_FAILED: HTTPStatus.BAD_REQUEST,
    ErrorCode.SIGNATURE_MISSING: HTTPStatus.UNAUTHORIZED,
    ErrorCode.SIGNATURE_INVALID: HTTPStatus.UNAUTHORIZED,
    ErrorCode.SIGNATURE_STALE: HTTPStatus.UNAUTHORIZED,
    ErrorCode.CLIENT_NOT_ALLOWED: HTTPStatus.FORBIDDEN,
    ErrorCode.SOURCE_UNKNOWN: HTTPStatus.NOT_FOUND,
    ErrorCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.INPUT_INVALID: HTTPStatus.BAD_REQUEST,
    ErrorCode.ACCESS_UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.ACCESS_FORBIDDEN: HTTPStatus.FORBIDDEN,
    ErrorCode.REQUEST_METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    ErrorCode.REQUEST_TOO_SLOW: HTTPStatus.REQUEST_TIMEOUT,
    ErrorCode.REQUEST_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.REQUEST_UNSUPPORTED_MEDIA_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}

_CLOSING = {
    ErrorCode.SOURCE_RATE_LIMITED,
    ErrorCode.REQUEST_TOO_LARGE,
    ErrorCode.REQUEST_TOO_SLOW,
    ErrorCode.REQUEST_UNSUPPORTED_MEDIA_TYPE,
}
"""Refused before the body was read to its end: the connection cannot carry another request."""

UNPROVEN = "The request could not be verified."
"""All that an unproven caller is told; the log says why."""

NOT_STORED = "The event was not stored. Send it again."
UNKNOWN_OUTCOME = "It is not known whether the event was stored. Send it again: it will be recognised."

_UNKNOWN = {ErrorCode.BUS_TIMEOUT, ErrorCode.SPOOL_FULL, ErrorCode.SPOOL_FAILED}
"""The outbox is asked after the bus, which may have stored the event without being able to say so."""

_TOO_MANY = {ErrorCode.SOURCE_RATE_LIMITED, ErrorCode.SOURCE_TOO_CONCURRENT}
"""429: the sender's own doing, and yet the same again will do; all else that is unavailable is 503."""

_UNPROVEN = {ErrorCode.SIGNATURE_MISSING, ErrorCode.SIGNATURE_INVALID, ErrorCode.SIGNATURE_STALE}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer. `closes`: the connection ends with it."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    closes: bool = False


def problem_of(error: HoldfastError, *, allow: Sequence[str] = (), detail: str | None = None) -> Answer:
    """Translate an error of ours; `allow` are the methods for 405, `detail` is for callers who may know more."""
    code = error.code
    if isinstance(error, Unavailable):
        status = HTTPStatus.TOO_MANY_REQUESTS if code in _TOO_MANY else HTTPStatus.SERVICE_UNAVAILABLE
        headers = [(b"retry-after", _retry_after(error))]
    else:
        status, headers = _STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR), []
    if allow:
        headers.append((b"allow", ", ".join(allow).encode()))
    if status == HTTPStatus.UNAUTHORIZED:
        asked = code is ErrorCode.ACCESS_UNAUTHENTICATED
        headers.append((b"www-authenticate", b'Bearer realm="holdfast"' if asked else b"Signature"))
    return _document(status, code, detail or _detail(error, status), headers, closes=code in _CLOSING)


def _detail(error: HoldfastError, status: HTTPStatus) -> str:
    """Say what the sender can use; why a dependency failed is for the log."""
    if error.code in _UNPROVEN:
        return UNPROVEN
    if error.code is ErrorCode.CLIENT_NOT_ALLOWED:
        return "Requests from this address are not accepted."
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return "Something went wrong here; the event was not stored."
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return UNKNOWN_OUTCOME if error.code in _UNKNOWN else NOT_STORED
    return error.message


def problem_of_bug(correlation_id: str) -> Answer:
    """Answer for an error that is no error of ours; the log holds it under the same id."""
    detail = "Something went wrong here; the event may not have been stored. Send it again."
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return _document(status, ErrorCode.DEFECT, detail, [], instance=f"urn:uuid:{correlation_id}")


def _retry_after(error: Unavailable) -> bytes:
    if error.retry_after is not None:
        return str(max(1, round(error.retry_after.total_seconds()))).encode()
    return str(random.randint(*RETRY_AFTER)).encode()  # noqa: S311 - spreads load, protects nothing


def _document(  # noqa: PLR0913 - one document has this many parts
    status: HTTPStatus,
    code: ErrorCode,
    detail: str,
    headers: list[tuple[bytes, bytes]],
    *,
    closes: bool = False,
    instance: str | None = None,
) -> Answer:
    document: dict[str, str | int] = {
        "type": f"urn:holdfast:problem:{code}",
        "title": status.phrase,
        "status": int(status),
        "code": str(code),
        "detail": detail,
    }
    if instance is not None:
        document["instance"] = instance
    body = json.dumps(document).encode()
    fixed = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    if closes:
        fixed.append((b"connection", b"close"))
    return Answer(int(status), [*fixed, *headers], body, closes)
