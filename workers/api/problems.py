"""Errors of the admin API as RFC 9457 problem documents with stable codes. Flow: work → **problem** → answer."""

import math
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse

from holdfast.errors import Conflict, ErrorCode, HoldfastError, RejectedInput, Unavailable

RETRY_AFTER = 2  # seconds, where nobody said otherwise

_STATUS = {
    ErrorCode.ACCESS_UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.ACCESS_FORBIDDEN: HTTPStatus.FORBIDDEN,
    ErrorCode.ACCESS_THROTTLED: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.REQUEST_CROSS_ORIGIN: HTTPStatus.FORBIDDEN,
    ErrorCode.REQUEST_MISDIRECTED: HTTPStatus.MISDIRECTED_REQUEST,
    ErrorCode.REQUEST_METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    ErrorCode.REQUEST_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.REQUEST_TOO_SLOW: HTTPStatus.REQUEST_TIMEOUT,
    ErrorCode.REQUEST_UNSUPPORTED_MEDIA_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ErrorCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.CASE_ILLEGAL_MOVE: HTTPStatus.CONFLICT,
    ErrorCode.CASE_CLOSED: HTTPStatus.CONFLICT,
    ErrorCode.CASE_REDRIVING: HTTPStatus.CONFLICT,
    ErrorCode.CASE_REFUSED: HTTPStatus.CONFLICT,
    ErrorCode.OPERATION_ILLEGAL_MOVE: HTTPStatus.CONFLICT,
}


def status_of(error: HoldfastError) -> HTTPStatus:
    """Return the status that an error is answered with; what the caller can mend is never a 5xx."""
    if isinstance(error, Unavailable):
        throttled = error.code is ErrorCode.ACCESS_THROTTLED
        return HTTPStatus.TOO_MANY_REQUESTS if throttled else HTTPStatus.SERVICE_UNAVAILABLE
    if isinstance(error, Conflict):
        return HTTPStatus.CONFLICT
    if isinstance(error, RejectedInput):
        return _STATUS.get(error.code, HTTPStatus.BAD_REQUEST)
    return HTTPStatus.INTERNAL_SERVER_ERROR


def problem(error: HoldfastError, request_id: str, *, allow: str | None = None) -> JSONResponse:
    """Translate an error. Who asks has a token, so the detail says what is the matter, dependencies included."""
    status = status_of(error)
    headers = {}
    if isinstance(error, Unavailable):
        seconds = error.retry_after.total_seconds() if error.retry_after is not None else RETRY_AFTER
        headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="holdfast"'
    if allow is not None:
        headers["Allow"] = allow
    known = status is not HTTPStatus.INTERNAL_SERVER_ERROR
    detail = error.message if known else "Something went wrong here; the log has it under this request id."
    return JSONResponse(document(status, error.code, detail, request_id), status, headers, "application/problem+json")


def document(status: HTTPStatus, code: ErrorCode, detail: str, request_id: str) -> dict[str, Any]:
    """Return the problem document itself."""
    return {
        "type": f"urn:holdfast:problem:{code}",
        "title": status.phrase,
        "status": int(status),
        "code": str(code),
        "detail": detail,
        "instance": f"urn:uuid:{request_id}",
    }
