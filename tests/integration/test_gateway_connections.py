"""The public port's server around an application that only counts: what clients may do to a connection."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from gateway.connections import Connections
from gateway.server import listen, server_of
from holdfast.domain.limits import GatewayLimits
from tests.conftest import assert_eventually

pytestmark = pytest.mark.integration


@dataclass
class Served:
    """A server, how often its application was asked, and why connections ended."""

    port: int = 0
    size: int = 2  # of an answer, bytes
    asked: int = 0
    open: int = 0
    ended: list[str] = field(default_factory=list)

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        """Answer."""
        self.asked += 1
        head = [(b"content-length", b"%d" % self.size)]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"x" * self.size})

    def connections(self, open: int) -> None:  # noqa: A002
        """Note."""
        self.open = open

    def connection_ended(self, reason: str) -> None:
        """Note."""
        self.ended.append(reason)


@contextlib.asynccontextmanager
async def serving(size: int = 2) -> AsyncIterator[Served]:
    """Serve on a free port."""
    served = Served(size=size)
    with listen("127.0.0.1", 0) as sock:
        served.port = sock.getsockname()[1]
        server = server_of(served, Connections(GatewayLimits(), served))
        task = asyncio.create_task(server.serve([sock]))
        await server.until_started()
        try:
            yield served
        finally:
            server.should_exit = True
            await task


ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_an_answer_that_is_never_read_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that leaves its answer unread is cut off, and counted."""
    monkeypatch.setattr("gateway.protocol.WRITE_WITHIN", timedelta(milliseconds=300))
    async with serving(size=50_000_000) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1)
        writer.write(ASK)

        async def cut() -> bool:
            return served.ended == ["slow_reader"] and served.open == 0

        await assert_eventually(cut, 10)
        writer.close()
        assert not reader.at_eof()


async def test_pipelining_is_bounded() -> None:
    """A few requests at once are answered in order; thousands are not kept: the connection ends."""
    async with serving() as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(ASK * 8)
        for _ in range(8):
            await asyncio.wait_for(reader.readuntil(b"xx"), 5)
        with contextlib.suppress(ConnectionError):
            writer.write(ASK * 50_000)
            await writer.drain()
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert served.ended == ["pipelining"]
        assert served.asked < 8 + 20


async def test_a_body_behind_its_answer_holds_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who goes on with a body that nobody reads, slowly, is cut off as one that is slow with its next request."""
    monkeypatch.setattr("gateway.protocol.HEADERS_WITHIN", timedelta(milliseconds=300))
    async with serving() as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\na")
        assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 200 ")
        ended = asyncio.create_task(reader.read())
        async with asyncio.timeout(5):
            while not ended.done():
                writer.write(b"a")
                await asyncio.wait({ended}, timeout=0.05)
        writer.close()
        await asyncio.gather(ended, return_exceptions=True)
        assert served.ended == ["slow_headers"]
