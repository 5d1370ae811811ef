"""What an error of the bus means: every NATS and JetStream failure sorted once, by code, into the one family.

Flow: publish, consume, look up → **classify**. A timeout is an unknown outcome, never a failure of the message.
"""

import json
from typing import Any

import nats.errors
from nats.js.errors import APIError, NoStreamResponseError

from holdfast.errors import ErrorCode, HoldfastError, RejectedInput, Unavailable

FULL = frozenset({10002, 10023, 10028, 10047, 10077, 10167, 10210, 10211})
"""Back-pressure: limits of stream, account or disk, and 10167, the stream's inbound queue. Room comes back."""

AWAY = frozenset({10004, 10008, 10009, 10035, 10039, 10041, 10063, 10076, 10118, 10119, 10158, 10163})
"""No leader, no quorum, JetStream starting, a duplicate in flight (10158): the same again works later."""

WRONG_MESSAGE = frozenset({10054, 10097, 10111, 10201, 10227, *range(10165, 10173), *range(10188, 10192)} - {10167})
"""This message can never be stored: too large, or headers the stream does not allow."""

WRONG_DEPLOYMENT = frozenset({10058, 10059, 10060, 10065, 10109})
"""Stream missing, another stream, sealed, subjects taken: no message can be stored until somebody mends it."""

_TOO_LARGE = frozenset({10054, 10097})
_STORE_FAILED = 10077  # a wrapper; its text alone says that it was this message's size
_CONNECTION = (
    nats.errors.ConnectionClosedError,
    nats.errors.ConnectionDrainingError,
    nats.errors.ConnectionReconnectingError,
    nats.errors.NoServersError,
    nats.errors.OutboundBufferLimitError,
    nats.errors.StaleConnectionError,
)


def classify(error: BaseException) -> HoldfastError:
    """Translate an error that nats-py raised. An unknown one counts as `bus.unavailable`: retried, never dropped."""
    match error:
        case HoldfastError():
            return error
        case TimeoutError():  # nats.errors.TimeoutError is one
            return Unavailable(ErrorCode.BUS_TIMEOUT, "the bus did not answer in time; the outcome is unknown")
        case APIError():
            return of_api_error(error.err_code, error.code, error.description)
        case nats.errors.MaxPayloadError():
            return RejectedInput(ErrorCode.REQUEST_TOO_LARGE, "larger than the NATS server takes")
        case nats.errors.BadSubjectError() | nats.errors.BadHeaderError():
            return RejectedInput(ErrorCode.REQUEST_MALFORMED, "not a subject or header that NATS takes")
        case nats.errors.AuthorizationError():
            return Unavailable(ErrorCode.BUS_MISCONFIGURED, "the NATS server refuses the credentials")
        case NoStreamResponseError() | nats.errors.NoRespondersError():
            return Unavailable(ErrorCode.BUS_UNAVAILABLE, "no stream answers: it is missing, or JetStream is starting")
    if isinstance(error, (*_CONNECTION, OSError)):
        return Unavailable(ErrorCode.BUS_UNAVAILABLE, "not connected to NATS")
    return Unavailable(ErrorCode.BUS_UNAVAILABLE, f"{type(error).__name__}: {error}")


def of_api_error(err_code: int | None, code: int | None, description: str | None) -> HoldfastError:
    """Translate a JetStream error by `err_code` (10xxx), failing that by its HTTP-like `code`."""
    text = f"JetStream error {err_code or code}: {description or 'no description'}"
    if err_code == _STORE_FAILED and "message too large" in (description or ""):
        return RejectedInput(ErrorCode.REQUEST_TOO_LARGE, text)
    if err_code in FULL:
        return Unavailable(ErrorCode.BUS_FULL, text)
    if err_code in AWAY:
        return Unavailable(ErrorCode.BUS_UNAVAILABLE, text)
    if err_code in WRONG_MESSAGE:
        return RejectedInput(
            ErrorCode.REQUEST_TOO_LARGE if err_code in _TOO_LARGE else ErrorCode.REQUEST_MALFORMED, text
        )
    if err_code in WRONG_DEPLOYMENT:
        return Unavailable(ErrorCode.BUS_MISCONFIGURED, text)
    # 5xx is the server's own trouble and passes; any other refusal needs a person
    away = code is None or code >= 500
    return Unavailable(ErrorCode.BUS_UNAVAILABLE if away else ErrorCode.BUS_MISCONFIGURED, text)


def of_reply(raw: bytes) -> tuple[dict[str, Any] | None, HoldfastError | None]:
    """Read a JetStream reply: its JSON object, or the error it carries."""
    try:
        reply = json.loads(raw)
    except (ValueError, RecursionError):
        return None, Unavailable(ErrorCode.BUS_UNAVAILABLE, "the bus answered with something that is not JSON")
    if not isinstance(reply, dict):
        return None, Unavailable(ErrorCode.BUS_UNAVAILABLE, "the bus answered with something that is no object")
    refusal = reply.get("error")
    if isinstance(refusal, dict):
        return None, of_api_error(refusal.get("err_code"), refusal.get("code"), refusal.get("description"))
    return reply, None
