from collections.abc import MutableMapping
from typing import Any

import pytest

from gateway.receive import Disconnected, Receiver, check_head
from holdfast.clock import SystemClock
from holdfast.errors import ErrorCode, RejectedInput, Unavailable

SCOPE: dict[str, Any] = {"headers": [(b"host", b"h")], "raw_path": b"/hooks/x", "query_string": b"", "method": "POST"}


class Sender:
    """An ASGI sender that counts how much was asked of it."""

    def __init__(self, *chunks: bytes, leaves: bool = False) -> None:
        self.events: list[MutableMapping[str, Any]] = [
            {"type": "http.request", "body": chunk, "more_body": leaves or index < len(chunks) - 1}
            for index, chunk in enumerate(chunks)
        ]
        self.asked = 0

    async def __call__(self) -> MutableMapping[str, Any]:
        """Return the next event."""
        self.asked += 1
        return self.events.pop(0) if self.events else {"type": "http.disconnect"}


async def body_of(sender: Sender, cap: int) -> bytes:
    """Receive all of it."""
    return (await Receiver(SystemClock()).receive(SCOPE, sender, cap, {})).body


@pytest.mark.parametrize("chunks", [(b"",), (b"abcd",), (b"ab", b"cd"), (b"", b"abcd", b""), (b"a", b"b", b"c", b"d")])
async def test_a_body_up_to_the_cap_comes_whole(chunks: tuple[bytes, ...]) -> None:
    """However it is cut into pieces."""
    assert await body_of(Sender(*chunks), 4) == b"".join(chunks)


@pytest.mark.parametrize("chunks", [(b"abcde",), (b"abc", b"de"), (b"abcd", b"e"), (b"abcd", b"", b"e")])
async def test_one_byte_more_is_refused(chunks: tuple[bytes, ...]) -> None:
    """However it is cut into pieces."""
    with pytest.raises(RejectedInput) as caught:
        await body_of(Sender(*chunks), 4)
    assert caught.value.code is ErrorCode.REQUEST_TOO_LARGE


async def test_reading_stops_at_the_cap() -> None:
    """An endless sender is asked for no more than it takes to know."""
    sender = Sender(*[b"xx"] * 1000)
    with pytest.raises(RejectedInput):
        await body_of(sender, 4)
    assert sender.asked <= 4


async def test_a_sender_that_leaves_is_no_request() -> None:
    """Half a body is never passed on as a whole one."""
    with pytest.raises(Disconnected):
        await body_of(Sender(b"ab", leaves=True), 4)


def test_headers_alone_can_refuse() -> None:
    """Announced too large, or compressed: nothing is read."""
    check_head([(b"content-length", b"4"), (b"content-encoding", b"identity")], 4)
    for header, code in (
        ((b"content-length", b"5"), ErrorCode.REQUEST_TOO_LARGE),
        ((b"content-length", b"9" * 5000), ErrorCode.REQUEST_TOO_LARGE),
        ((b"content-encoding", b"gzip"), ErrorCode.REQUEST_UNSUPPORTED_MEDIA_TYPE),
        ((b"content-encoding", b"identity, br"), ErrorCode.REQUEST_UNSUPPORTED_MEDIA_TYPE),
    ):
        with pytest.raises(RejectedInput) as caught:
            check_head([header], 4)
        assert caught.value.code is code


async def test_many_large_bodies_at_once_are_asked_to_come_again() -> None:
    """The bytes of all requests that are held are bounded, and given back whether a request is read or refused."""
    receiver = Receiver(SystemClock(), limit=10)
    held = await receiver.receive(SCOPE, Sender(b"abc", b"def"), 8, {})
    for refused in (Sender(b"abcde"), Sender(b"ab", b"cde"), Sender(b"abc", leaves=True)):
        with pytest.raises((Unavailable, Disconnected)):
            await receiver.receive(SCOPE, refused, 8, {})
    assert receiver.held == 6
    receiver.release(held)
    assert receiver.held == 0
    assert (await receiver.receive(SCOPE, Sender(b"abcdefgh"), 8, {})).body == b"abcdefgh"
