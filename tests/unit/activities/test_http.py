"""The HTTP action against a real server on loopback: what is sent, what each answer means, what is never said."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.cloudevents import encode_value
from activities.http import HttpTarget, judge, new_client, retry_after
from activities.target import Receipt, Shipment
from holdfast.clock import SystemClock
from holdfast.domain.actions import HttpAction
from holdfast.domain.retry import MAX_RETRY_AFTER
from holdfast.errors import ErrorCode, HoldfastError, PermanentFailure, TransientFailure
from holdfast.settings.secrets import Secrets
from tests.durable import event

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[str]:
    """Serve raw HTTP as `answer` writes it."""
    under_way: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way.append(asyncio.get_running_loop().create_task(serve(reader, writer)))

    running = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/x"
    finally:
        running.close()
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def saying(reply: bytes, seen: list[bytes] | None = None) -> Answer:
    """Answer every request with `reply`, and keep what came."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")), 0
        )
        if seen is not None:
            seen.append(head + await reader.readexactly(length))
        writer.write(reply)
        await writer.drain()

    return answer


def shipment(body: bytes = b'{"n": 1}', **more: object) -> Shipment:
    """An event on its way."""
    return Shipment("bill/shop/e 1", event("e-1", body, **more), TRACE, "v=1")


async def send(action: HttpAction, cargo: Shipment | None = None, **env: str) -> Receipt:
    """Make one call."""
    async with new_client() as client:
        return await HttpTarget(client, Secrets(Path(), env), SystemClock()).send(action, cargo or shipment())


async def test_the_event_goes_out_byte_for_byte_as_a_cloudevent() -> None:
    """Raw body, its own content type, the attributes, the identity and the trace."""
    seen: list[bytes] = []
    body = '{"ä":  1.0}\n'.encode()
    async with server(saying(b"HTTP/1.1 204 No Content\r\n\r\n", seen)) as url:
        receipt = await send(HttpAction(url=url), shipment(body, subject='a "b" ü'))
    assert receipt.summary == "HTTP 204"
    head, _, sent = seen[0].partition(b"\r\n\r\n")
    assert sent == body
    lines = head.decode().lower().split("\r\n")
    assert "content-type: application/json" in lines
    assert "ce-id: e-1" in lines
    assert "ce-source: shop" in lines
    assert "ce-subject: a%20%22b%22%20%c3%bc" in lines
    assert "idempotency-key: bill/shop/e%201" in lines
    assert f"traceparent: {TRACE}" in lines
    assert "tracestate: v=1" in lines


async def test_a_mapped_body_replaces_the_event_s_own() -> None:
    """It is JSON, and says so."""
    seen: list[bytes] = []
    async with server(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", seen)) as url:
        await send(HttpAction(url=url, body='{"m":2}'), shipment(b"<x/>", datacontenttype="text/xml"))
    assert seen[0].endswith(b'\r\n\r\n{"m":2}')
    assert b"content-type: application/json" in seen[0].lower()


async def test_a_secret_is_sent_and_never_said() -> None:
    """The header carries it; the error does not, even where the target echoes it."""
    seen: list[bytes] = []
    reply = b"HTTP/1.1 403 No\r\ncontent-length: 25\r\n\r\nbad token: s3cret-token-1"
    async with server(saying(reply, seen)) as url:
        action = HttpAction(url=url, headers={"Authorization": "env:TOKEN", "Content-Length": "9"})
        with pytest.raises(PermanentFailure) as caught:
            await send(action, TOKEN="s3cret-token-1")
    assert b"s3cret-token-1" in seen[0]
    assert "s3cret" not in caught.value.message


async def test_a_missing_secret_is_tried_again() -> None:
    """Setting it mends the delivery, so nothing is given up for it."""
    with pytest.raises(TransientFailure) as caught:
        await send(HttpAction(url="http://127.0.0.1:9/", headers={"X-Key": "env:NOT_THERE"}))
    assert caught.value.code == ErrorCode.TARGET_MISCONFIGURED


async def test_no_listener_is_unreachable() -> None:
    """A refused connection is transient."""
    with pytest.raises(TransientFailure) as caught:
        await send(HttpAction(url="http://127.0.0.1:1/"))
    assert caught.value.code == ErrorCode.TARGET_UNREACHABLE


async def test_an_answer_that_trickles_for_ever_ends_at_the_timeout() -> None:
    """The deadline is around the whole call; a status that came counts, one that did not is a timeout."""

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def trickling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nx")
        await reader.read()

    async with server(silent) as url:
        with pytest.raises(TransientFailure) as caught:
            await send(HttpAction(url=url, timeout=timedelta(milliseconds=200)))
    assert caught.value.code == ErrorCode.TARGET_TIMEOUT
    async with server(trickling) as url:
        assert (await send(HttpAction(url=url, timeout=timedelta(milliseconds=200)))).summary == "HTTP 200"


async def test_a_huge_answer_is_not_read() -> None:
    """64 KiB are enough of any answer."""

    async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"x" * 65_536)
                await writer.drain()

    async with server(flooding) as url:
        assert (await asyncio.wait_for(send(HttpAction(url=url)), 5)).summary == "HTTP 200"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_delivered(status: int) -> None:
    """Every 2xx."""
    assert judge(status, {}, "", now=NOW).result == {"status": status}


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_what_may_pass_is_tried_again(status: int) -> None:
    """Transient, with the wait that was asked for."""
    with pytest.raises(TransientFailure) as caught:
        judge(status, {"retry-after": "7"}, "", now=NOW)
    assert caught.value.retry_after == timedelta(seconds=7)
    assert caught.value.code == ErrorCode.TARGET_RETRY_LATER


@pytest.mark.parametrize("status", [301, 302, 307, 304, 400, 401, 403, 404, 409, 410, 413, 422, 451])
def test_a_refusal_is_for_good(status: int) -> None:
    """Redirects and all other 4xx."""
    with pytest.raises(PermanentFailure) as caught:
        judge(status, {}, "", now=NOW)
    assert caught.value.code == ErrorCode.TARGET_REFUSED


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", timedelta(0)),
        (" 120 ", timedelta(minutes=2)),
        ("99999999999999999999", MAX_RETRY_AFTER),
        ("Fri, 02 Jan 2026 03:05:05 GMT", timedelta(minutes=1)),
        ("Fri, 02 Jan 2026 03:00:00 GMT", timedelta(0)),
        ("Fri, 02 Jan 2999 03:00:00 GMT", MAX_RETRY_AFTER),
        ("-5", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str | None, wait: timedelta | None) -> None:
    """Seconds or a date, never negative, never past the limit."""
    assert retry_after(value, now=NOW) == wait


@given(st.text())
def test_retry_after_never_fails(value: str) -> None:
    """Whatever a target writes."""
    wait = retry_after(value, now=NOW)
    assert wait is None or timedelta(0) <= wait <= MAX_RETRY_AFTER


@given(st.text())
def test_an_encoded_value_is_a_safe_header(value: str) -> None:
    """Nothing from outside ends a header."""
    encoded = encode_value(value)
    assert all("!" <= ch <= "~" for ch in encoded)


@given(st.integers(100, 999), st.text(max_size=500))
def test_every_status_has_a_meaning(status: int, excerpt: str) -> None:
    """A receipt, or one of our errors."""
    with contextlib.suppress(HoldfastError):
        assert isinstance(judge(status, {}, excerpt, now=NOW), Receipt)
