import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests import gateways
from tests.gateways import Running, stored
from tests.servers import NatsServer

pytestmark = pytest.mark.integration


@pytest.fixture
async def gateway(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Running]:
    """Serve on empty streams."""
    async with gateways.fresh(nats_server, tmp_path) as running:
        yield running


async def speak(gateway: Running, sent: bytes) -> bytes:
    """Write raw bytes and read until the gateway closes, or has answered and waits."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.gateway.port)
    writer.write(sent)
    try:
        return await asyncio.wait_for(reader.read(), 3)
    except TimeoutError:
        return b""
    finally:
        writer.close()


def post(headers: str, body: bytes = b"") -> bytes:
    """Return a raw request that asks for the connection's end."""
    return f"POST /hooks/open HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n".encode() + body


async def test_a_slow_body_is_408(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not end in time is answered 408 and the connection is closed."""
    monkeypatch.setattr("gateway.receive.BODY_WITHIN", timedelta(milliseconds=200))
    answer = await speak(gateway, post("Content-Length: 10\r\n", b"drip"))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "request.too_slow"
    assert await stored(gateway.gateway) == []


@pytest.mark.parametrize("begun", [b"", b"POST /hooks/open HTTP/1.1\r\nX-Drip: a"])
async def test_headers_that_do_not_come_end_the_connection(
    gateway: Running, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    """Neither a silent connection nor one that drips headers is held for longer than the bound."""
    monkeypatch.setattr("gateway.protocol.HEADERS_WITHIN", timedelta(milliseconds=200))
    began = time.monotonic()
    assert await speak(gateway, begun) == b""
    assert time.monotonic() - began < 2


async def test_endless_headers_are_refused(gateway: Running) -> None:
    """Headers past the bound are 400, and their sender is cut off."""
    filler = "".join(f"X-{number}: {'x' * 1000}\r\n" for number in range(100))
    answer = await speak(gateway, b"POST /hooks/open HTTP/1.1\r\nHost: x\r\n" + filler.encode())
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "request_",
    [
        post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        post("Content-Length: 4\r\nContent-Length: 5\r\n", b"abcde"),
        post("Transfer-Encoding: xchunked\r\n", b"1\r\na\r\n0\r\n\r\n"),
        post("Content-Length: -1\r\n"),
        post("Content-Length: +4\r\n", b"abcd"),
        post("X-A: b\r\n folded\r\nContent-Length: 1\r\n", b"a"),
        post("Transfer-Encoding: chunked\r\n", b"zz\r\na\r\n0\r\n\r\n"),
        b"POST /hooks/open HTTP/1.1\r\nHost : x\r\nContent-Length: 1\r\n\r\na",
        b"\x00\x01\x02\r\n\r\n",
    ],
)
async def test_ambiguous_requests_are_refused_and_stored_nowhere(gateway: Running, request_: bytes) -> None:
    """What two servers could read differently is 400, and nothing of it becomes an event."""
    answer = await speak(gateway, request_)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert await stored(gateway.gateway) == []


async def test_expect_continue_is_answered_by_the_refusal_alone(gateway: Running) -> None:
    """A sender that asks before it sends too much is told 413, not 100; one that may send is told 100, then 202."""
    refused = await speak(gateway, post("Expect: 100-continue\r\nContent-Length: 5000\r\n"))
    assert refused.startswith(b"HTTP/1.1 413 ")
    welcome = await speak(gateway, post("Expect: 100-continue\r\nContent-Length: 2\r\n", b"ab"))
    assert welcome.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 ")


async def test_the_refusal_of_a_large_body_reaches_its_sender(gateway: Running) -> None:
    """413 is read by a sender that is in the middle of writing two megabytes: no reset destroys it."""
    answer = await speak(gateway, post("Content-Length: 2000000\r\n", b"x" * 2_000_000))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"request.too_large" in answer


async def test_a_sender_that_goes_away_leaves_nothing(gateway: Running) -> None:
    """Half a body and a closed connection: no event, no error, and the next request is served."""
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.gateway.port)
    writer.write(post("Content-Length: 10\r\n", b"half"))
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await gateway.http.post("/hooks/open", content=b"whole")).status_code == 202
    assert [envelope.raw_body for envelope, _ in await stored(gateway.gateway)] == [b"whole"]


async def test_junk_in_every_header_is_never_a_server_error(gateway: Running) -> None:
    """Bytes that are no text, in any header the gateway reads, are at worst a 4xx."""
    junk = b"\xff\x80\xc0'\";\x7f"
    names = ["content-type", "traceparent", "tracestate", "user-agent", "x-request-id", "authorization", "accept"]
    for name in names:
        for path in ("/hooks/open", "/hooks/token", "/hooks/nobody"):
            answer = await gateway.http.post(path, content=b"x", headers=[(name.encode(), junk)])
            assert answer.status_code in {202, 400, 401, 404}, (name, path)
