import asyncio
import hashlib
import itertools
import json
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from holdfast.bus.objects import descriptions
from holdfast.bus.retention import subjects_of
from holdfast.bus.streams import BODIES_STREAM
from holdfast.embedded.servers import free_ports
from tests.buses import connected
from tests.conftest import assert_eventually
from tests.fault.test_gateway_process import process, until_ready
from tests.gateways import github_headers
from tests.servers import NatsServer, TemporalServer
from tests.workers import ready, settings_of, temporal_client, working
from workers.body_janitor import BodyJanitor

pytestmark = pytest.mark.fault

MIB = 1_048_576
CAP = 25 * MIB
CONFIG = """version: 1
sources:
  github:
    verify: {preset: github, secrets: ["file:github.secret"]}
triggers:
  forward:
    on: github
    when: event.data.action == "opened"
    run: {http: {url: "http://127.0.0.1:PORT/in", timeout: 10s}}
"""


def push(size: int) -> bytes:
    """A body like GitHub's, of exactly `size` bytes."""
    names = (f"src/module_{number}/a_file_with_some_name.py" for number in itertools.count())
    head = '{"action":"opened","repository":{"full_name":"acme/shop"},"added":["'
    files: list[str] = []
    length = len(head) + 100
    for name in names:
        if length + len(name) + 3 > size:
            break
        files.append(name)
        length += len(name) + 3
    body = (head + '","'.join(files) + '"],"é":"').encode()
    return body + b"x" * (size - len(body) - 2) + b'"}'


def peak(pid: int) -> int:
    """Largest resident set of a process so far, bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1_024


class Target:
    """An HTTP server that keeps the hash and the length of what it is sent."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take requests with a Content-Length."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length"))
        digest, left = hashlib.sha256(), length
        while left:
            chunk = await reader.read(min(left, 65_536))
            if not chunk:
                return
            digest.update(chunk)
            left -= len(chunk)
        self.seen.append((digest.hexdigest(), length))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.fixture
async def target() -> AsyncIterator[tuple[Target, int]]:
    """A target and its port."""
    target = Target()
    async with await asyncio.start_server(target.serve, "127.0.0.1", 0) as server:
        yield target, server.sockets[0].getsockname()[1]


async def test_25_mib_signed_arrive_byte_identical_in_bounded_memory(
    nats_server: NatsServer, temporal_server: TemporalServer, target: tuple[Target, int], tmp_path: Path
) -> None:
    """A gateway of its own process takes 25 MiB with less than 3 times that in memory; the target gets every byte."""
    ports, body = free_ports(2), push(CAP)
    config = CONFIG.replace("PORT", str(target[1]))
    assert len(body) == CAP
    async with connected(nats_server):
        with process(nats_server, tmp_path, ports, config) as child:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False, timeout=30) as http:
                await until_ready(http)
                small = json.dumps({"action": "none"}).encode()
                await http.post("/hooks/github", content=small, headers=github_headers(small, "d-0"))
                before = peak(child.pid)
                answer = await http.post("/hooks/github", content=body, headers=github_headers(body, "d-1"))
                assert answer.status_code == 202, answer.text
                grown = peak(child.pid) - before
                assert grown < 3 * CAP, f"{grown / MIB:.1f} MiB"
                print(f"gateway grew by {grown / MIB:.1f} MiB, {answer.elapsed}")  # noqa: T201
        worker = settings_of(nats_server, temporal_server)
        async with working(worker, tmp_path, config) as running:
            await ready(running)

            async def arrived() -> bool:
                return bool(target[0].seen)

            await assert_eventually(arrived, 30)
    assert target[0].seen == [(hashlib.sha256(body).hexdigest(), CAP)]


async def test_one_byte_more_is_refused_before_it_is_read(nats_server: NatsServer, tmp_path: Path) -> None:
    """By its length at once, and without one as soon as the byte too many has come."""
    ports = free_ports(2)
    async with connected(nats_server):
        with process(nats_server, tmp_path, ports, CONFIG.replace("PORT", "1")) as child:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False, timeout=30) as http:
                await until_ready(http)
            before = peak(child.pid)
            reader, writer = await asyncio.open_connection("127.0.0.1", ports[0])
            writer.write(b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (CAP + 1))
            assert b" 413 " in await asyncio.wait_for(reader.readline(), 5)  # nothing of the body was sent
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", ports[0])
            writer.write(b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(25):
                writer.write(b"%x\r\n" % MIB + b"x" * MIB + b"\r\n")
                await writer.drain()
            writer.write(b"1\r\nx\r\n")  # and no end
            assert b" 413 " in await asyncio.wait_for(reader.readline(), 10)
            writer.close()
            assert peak(child.pid) - before < 3 * CAP


async def test_a_kill_while_the_body_is_stored_leaves_no_half_event(
    nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    """SIGKILL between the first chunk and the event: nothing is in EVENTS, the repeat is whole, what was left goes."""
    ports, body = free_ports(2), push(20 * MIB)
    async with connected(nats_server) as bus:

        async def begun() -> bool:
            return (await bus.jetstream.stream_info(BODIES_STREAM)).state.messages > 0

        with process(nats_server, tmp_path, ports, CONFIG.replace("PORT", "1")) as child:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False, timeout=30) as http:
                await until_ready(http)
                sending = asyncio.create_task(
                    http.post("/hooks/github", content=body, headers=github_headers(body, "d-1"))
                )
                await assert_eventually(begun, 20)
                child.send_signal(signal.SIGKILL)
                with pytest.raises(httpx.TransportError):
                    await sending
        assert (await bus.jetstream.stream_info("EVENTS")).state.messages == 0
        left = set(await subjects_of(bus, BODIES_STREAM, ">"))
        assert left
        with process(nats_server, tmp_path, ports, CONFIG.replace("PORT", "1")):
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False, timeout=30) as http:
                await until_ready(http)
                answer = await http.post("/hooks/github", content=body, headers=github_headers(body, "d-1"))
                assert answer.status_code == 202, answer.text
        client = await temporal_client(temporal_server, nats_server)
        janitor = BodyJanitor(bus, client, sure=timedelta(0))
        assert await janitor.sweep(datetime.now(UTC)) == []
        later = datetime.now(UTC) + timedelta(hours=2)
        assert await janitor.sweep(later) == []
        [kept] = [found async for found in descriptions(bus)]
        assert set(await subjects_of(bus, BODIES_STREAM, "$O.holdfast-bodies.C.>")) == {
            f"$O.holdfast-bodies.C.{kept.nuid}"
        }
        assert kept.size == len(body)
        assert left & set(await subjects_of(bus, BODIES_STREAM, ">")) in (set(), left)
