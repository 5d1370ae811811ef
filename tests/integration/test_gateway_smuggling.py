"""Requests that two servers could read differently: refused with the connection's end, or read in the one way."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import gateways
from tests.gateways import SECRET, Running, stored
from tests.servers import NatsServer

pytestmark = pytest.mark.integration

HEAD = b"POST /hooks/open HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"POST /hooks/open HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nsmuggled"

REFUSED = {
    "CL.TE": HEAD + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "TE.CL": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n",
    "TE.TE, one obscured": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "TE twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "CL twice, the same": HEAD + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    "CL twice, different": HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "CL as a list": HEAD + b"Content-Length: 4, 4\r\n\r\nabcd",
    "CL empty": HEAD + b"Content-Length:\r\n\r\nabcd",
    "CL negative": HEAD + b"Content-Length: -4\r\n\r\nabcd",
    "CL with a sign": HEAD + b"Content-Length: +4\r\n\r\nabcd",
    "CL in hex": HEAD + b"Content-Length: 0x4\r\n\r\nabcd",
    "CL with a gap": HEAD + b"Content-Length: 4 4\r\n\r\nabcd",
    "CL with an underscore": HEAD + b"Content-Length: 1_0\r\n\r\n0123456789",
    "CL past 64 bits": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nabcd",
    "TE with a space before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "TE with a vertical tab": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE chunked and junk": HEAD + b"Transfer-Encoding: chunked, xyz\r\n\r\n0\r\n\r\n",
    "TE junk and chunked": HEAD + b"Transfer-Encoding: xyz, chunked\r\n\r\n0\r\n\r\n",
    "TE gzip and chunked": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE identity": HEAD + b"Transfer-Encoding: identity\r\n\r\n",
    "TE quoted": HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "TE with a parameter": HEAD + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "TE in HTTP/1.0": b"POST /hooks/open HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE folded": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "obs-fold with a space": HEAD + b"X-A: b\r\n c\r\nContent-Length: 1\r\n\r\na",
    "obs-fold with a tab": HEAD + b"X-A: b\r\n\tc\r\nContent-Length: 1\r\n\r\na",
    "obs-fold at once": b"POST /hooks/open HTTP/1.1\r\n Host: x\r\nContent-Length: 1\r\n\r\na",
    "bare LF everywhere": b"POST /hooks/open HTTP/1.1\nHost: x\nContent-Length: 1\n\na",
    "bare LF in a header": HEAD + b"X-A: b\nContent-Length: 1\r\n\r\na",
    "bare LF at the end": HEAD + b"Content-Length: 1\r\n\na",
    "bare CR in a header": HEAD + b"X-A: b\rContent-Length: 5\r\n\r\n",
    "CR CR LF": HEAD + b"X-A: b\r\r\nContent-Length: 1\r\n\r\na",
    "NUL in a value": HEAD + b"X-A: b\0c\r\nContent-Length: 1\r\n\r\na",
    "NUL in a name": HEAD + b"X\0A: b\r\nContent-Length: 1\r\n\r\na",
    "a control in a value": HEAD + b"X-A: b\x01c\r\nContent-Length: 1\r\n\r\na",
    "a space in a name": HEAD + b"X A: b\r\nContent-Length: 1\r\n\r\na",
    "a space before the colon": HEAD + b"Content-Length : 1\r\n\r\na",
    "no name": HEAD + b": x\r\nContent-Length: 1\r\n\r\na",
    "no colon": HEAD + b"Foo\r\nContent-Length: 1\r\n\r\na",
    "a name beyond ASCII": HEAD + "Contént-Length: 3\r\n".encode() + b"Content-Length: 1\r\n\r\na",
    "no Host": b"POST /hooks/open HTTP/1.1\r\nContent-Length: 1\r\n\r\na",
    "Host twice": HEAD + b"Host: y\r\nContent-Length: 1\r\n\r\na",
    "HTTP/0.9": b"POST /hooks/open\r\n\r\n",
    "HTTP/1.2": b"POST /hooks/open HTTP/1.2\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
    "HTTP/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a method in small letters": b"post /hooks/open HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
    "authority form": b"POST x:80 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
    "CONNECT": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n" + NEXT,
    "a path without a slash": b"POST hooks/open HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
    "a fragment": b"POST /hooks/open#x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
    "raw bytes in the path": b"POST /hooks/\xff\xc3 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
    "NUL in the path": b"POST /hooks/o\0 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
    "64 KiB of path": b"POST /hooks/" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "2,000 headers": HEAD + b"".join(b"A%d: b\r\n" % n for n in range(2_000)) + b"Content-Length: 1\r\n\r\na",
    "a chunk size in 0x": CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"-1\r\na\r\n0\r\n\r\n",
    "a chunk past 64 bits": CHUNKED + b"fffffffffffffffff\r\na\r\n0\r\n\r\n",
    "a chunk size with a space": CHUNKED + b"1 \r\na\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"1\r\nabc0\r\n\r\n",
    "bare LF between chunks": CHUNKED + b"1\na\n0\n\n",
    "bare LF in a chunk extension": CHUNKED + b"1;a\nb\r\na\r\n0\r\n\r\n",
    "CL in a trailer": CHUNKED + b"1\r\na\r\n0\r\nContent-Length: 9\r\n\r\n",
    "TE in a trailer": CHUNKED + b"1\r\na\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
}

HARMLESS = {  # what it is, and the bodies that become events
    "a CL with spaces behind": (HEAD + b"Content-Length: 4  \r\n\r\nabcd", [b"abcd"]),
    "TE behind a tab": (HEAD + b"Transfer-Encoding:\tchunked\r\n\r\n1\r\na\r\n0\r\n\r\n", [b"a"]),
    "a chunk extension": (CHUNKED + b"1;a=b\r\na\r\n0\r\n\r\n", [b"a"]),
    "absolute form": (
        b"POST http://evil.test/hooks/open HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
        [b"a"],
    ),
    "a path with dots": (b"POST /hooks/a/../open HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na", []),
    "an escaped path": (b"POST /hooks/%6fpen HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na", []),
    "two slashes": (b"POST //hooks/open HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na", []),
    "asterisk form": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", []),
    "a body that looks like a request": (HEAD + b"Content-Length: %d\r\n\r\n" % len(NEXT) + NEXT, [NEXT]),
    "a GET with a body": (
        b"GET /hooks/open HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(NEXT) + NEXT,
        [],
    ),
    "more after Connection: close": (HEAD + b"Connection: close\r\nContent-Length: 1\r\n\r\na" + NEXT, [b"a"]),
    "Connection names TE": (
        HEAD + b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        [b"a"],
    ),
    "a CL with an underscore in its name": (HEAD + b"Content_Length: 5\r\nContent-Length: 1\r\n\r\na", [b"a"]),
    "an empty line before": (b"\r\n" + HEAD + b"Content-Length: 1\r\n\r\na", [b"a"]),
    "HTTP/2 offered": (
        HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        b"Content-Length: 1\r\n\r\na" + NEXT,
        [b"a", b"smuggled"],
    ),
    "a websocket offered": (
        HEAD + b"Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        [b"a"],
    ),
    "pipelined": (HEAD + b"Content-Length: 1\r\n\r\na" + NEXT, [b"a", b"smuggled"]),
}


@pytest.fixture
async def gateway(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Running]:
    """Serve on empty streams."""
    async with gateways.fresh(nats_server, tmp_path) as running:
        yield running


async def speak(gateway: Running, sent: bytes, idle: float = 0.6) -> tuple[bytes, bool]:
    """Write raw bytes; return what came back within `idle` seconds of silence, and whether the connection ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.gateway.port)
    got = b""
    try:
        writer.write(sent)
        while True:
            more = await asyncio.wait_for(reader.read(65_536), idle)
            if not more:
                return got, True
            got += more
    except ConnectionError:
        return got, True
    except TimeoutError:
        return got, False
    finally:
        writer.close()


async def test_what_has_two_readings_is_refused(gateway: Running) -> None:
    """400 as a problem, the connection ended, nothing stored: also what comes behind it on the same connection."""
    answers = await asyncio.gather(*(speak(gateway, sent + NEXT) for sent in REFUSED.values()))
    for name, (answer, ended) in zip(REFUSED, answers, strict=True):
        assert answer.startswith(b"HTTP/1.1 400 "), name
        assert answer.count(b"HTTP/1.1 ") == 1, name
        assert ended, name
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "request.malformed", name
    assert await stored(gateway.gateway) == []
    metrics = (await gateway.ops.get("/metrics")).text
    assert f'holdfast_gateway_connections_ended_total{{reason="malformed"}} {float(len(REFUSED))}' in metrics


@pytest.mark.parametrize("name", HARMLESS)
async def test_what_has_one_reading_is_read_so(gateway: Running, name: str) -> None:
    """Each request becomes the event it is, byte for byte, and none is made of the inside of another."""
    sent, bodies = HARMLESS[name]
    answer, _ = await speak(gateway, sent)
    assert answer.startswith(b"HTTP/1.1 ")
    assert answer.count(b"HTTP/1.1 202 ") == len(bodies)
    assert [envelope.raw_body for envelope, _ in await stored(gateway.gateway)] == bodies


async def test_an_offered_upgrade_costs_no_body(gateway: Running) -> None:
    """A client that offers HTTP/2 with its first request, as Java's does, has its whole signed event stored."""
    head = (
        f"POST /hooks/token HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n"
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 5\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.gateway.port)
    for piece in (head[:60], head[60:], "he", "llo"):
        writer.write(piece.encode())
        await writer.drain()
        await asyncio.wait({asyncio.create_task(reader.read(0))}, timeout=0.05)
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 202 ")
    writer.close()
    assert [envelope.raw_body for envelope, _ in await stored(gateway.gateway)] == [b"hello"]


async def test_a_trailer_is_no_header(gateway: Running) -> None:
    """What stands behind the body passed nobody who filters headers before us: it proves nothing."""
    sent = (
        b"POST /hooks/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
        b"Authorization: Bearer " + SECRET.encode() + b"\r\n\r\n"
    )
    answer, _ = await speak(gateway, sent)
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_junk_behind_a_request_gets_no_answer_of_its_own(gateway: Running) -> None:
    """Two answers to one request would shift every later one: the connection just ends."""
    answer, ended = await speak(gateway, HEAD + b"Content-Length: 1\r\n\r\na" + b"\0\0\0")
    assert ended
    assert b" 400 " not in answer
