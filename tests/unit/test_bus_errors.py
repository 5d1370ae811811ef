import pytest
from nats import errors as nats_errors
from nats.js.errors import APIError, NoStreamResponseError

from holdfast.bus.errors import AWAY, FULL, WRONG_DEPLOYMENT, WRONG_MESSAGE, classify, of_reply
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput, Unavailable


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (nats_errors.TimeoutError(), Unavailable, ErrorCode.BUS_TIMEOUT),
        (TimeoutError(), Unavailable, ErrorCode.BUS_TIMEOUT),
        (nats_errors.ConnectionClosedError(), Unavailable, ErrorCode.BUS_UNAVAILABLE),
        (nats_errors.OutboundBufferLimitError(), Unavailable, ErrorCode.BUS_UNAVAILABLE),
        (ConnectionResetError(), Unavailable, ErrorCode.BUS_UNAVAILABLE),
        (NoStreamResponseError(), Unavailable, ErrorCode.BUS_UNAVAILABLE),
        (nats_errors.AuthorizationError(), Unavailable, ErrorCode.BUS_MISCONFIGURED),
        (nats_errors.MaxPayloadError(), RejectedInput, ErrorCode.REQUEST_TOO_LARGE),
        (nats_errors.BadSubjectError(), RejectedInput, ErrorCode.REQUEST_MALFORMED),
        (APIError(503, "maximum bytes exceeded", 10077), Unavailable, ErrorCode.BUS_FULL),
        (APIError(503, "message too large", 10077), RejectedInput, ErrorCode.REQUEST_TOO_LARGE),
        (APIError(503, "insufficient resources", 10023), Unavailable, ErrorCode.BUS_FULL),
        (APIError(429, "too many requests", 10167), Unavailable, ErrorCode.BUS_FULL),
        (APIError(409, "duplicate in process", 10158), Unavailable, ErrorCode.BUS_UNAVAILABLE),
        (APIError(400, "rollup", 10111), RejectedInput, ErrorCode.REQUEST_MALFORMED),
        (APIError(404, "stream not found", 10059), Unavailable, ErrorCode.BUS_MISCONFIGURED),
        (APIError(400, "expected stream does not match", 10060), Unavailable, ErrorCode.BUS_MISCONFIGURED),
        (APIError(500, "something new", 19999), Unavailable, ErrorCode.BUS_UNAVAILABLE),
        (APIError(400, "something new", 19999), Unavailable, ErrorCode.BUS_MISCONFIGURED),
        (KeyError("surprise"), Unavailable, ErrorCode.BUS_UNAVAILABLE),
    ],
)
def test_every_failure_of_the_bus_has_its_class(error: Exception, kind: type[HoldfastError], code: ErrorCode) -> None:
    """Back-pressure, absence, this message's fault and the deployment's are told apart by code."""
    found = classify(error)
    assert (type(found), found.code) == (kind, code)


def test_no_code_is_in_two_classes() -> None:
    """The four sets are disjoint, so the order of the tests decides nothing."""
    sets = (FULL, AWAY, WRONG_MESSAGE, WRONG_DEPLOYMENT)
    assert sum(map(len, sets)) == len(frozenset().union(*sets))


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[]", b"null", b"12"])
def test_a_reply_that_is_none_is_an_unknown_outcome(raw: bytes) -> None:
    """Nothing but a JSON object can acknowledge."""
    reply, refusal = of_reply(raw)
    assert reply is None
    assert isinstance(refusal, Unavailable)
