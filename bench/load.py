"""A load generator light enough not to be what is measured: prepared requests over raw keep-alive connections.

Closed loop: `connections` requests are always in flight. Open loop: requests leave at a fixed rate, and latency counts
from when each was due, so that a stall is seen by all who would have come meanwhile.
"""

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from collections import deque
from dataclasses import dataclass, field

SECRET = "bench-secret"


@dataclass
class Outcome:
    """What came back: latencies in seconds of 2xx answers, and a count by status."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Return 2xx answers per second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> float:
        """Return the latency that `share` of the answers stayed within, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1_000 if ordered else float("nan")


def signed_requests(  # noqa: PLR0913 - what a request is made of, nearly all left out
    path: str, count: int, *, host: str, size: int = 1_024, prefix: str = "bench", secret: str = SECRET
) -> list[bytes]:
    """Prepare `count` GitHub-shaped requests with different ids and bodies of `size` bytes, signed with `secret`."""
    requests = []
    for number in range(count):
        start = json.dumps({"ref": f"refs/heads/{prefix}", "number": number, "pad": ""})
        body = start.replace('"pad": ""', '"pad": "' + "x" * max(0, size - len(start)) + '"').encode()
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nuser-agent: bench\r\n"
            f"x-github-delivery: {uuid.uuid4()}\r\nx-github-event: push\r\n"
            f"x-hub-signature-256: sha256={signature}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


class _Connection(asyncio.Protocol):
    """One keep-alive connection with one request in flight."""

    def __init__(self) -> None:
        self._buffer = b""
        self._waiter: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(exc or ConnectionResetError("closed"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            if line[:15].lower() == b"content-length:":
                length = int(line[15:])
        if len(rest) >= length:
            self._buffer = rest[length:]
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(int(head[9:12]))

    async def ask(self, request: bytes) -> int:
        """Send one request and return the status."""
        if self._transport is None:
            raise ConnectionError("not connected")
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiter


async def _connect(port: int) -> _Connection:
    _, protocol = await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", port)
    return protocol


async def closed_loop(port: int, requests: list[bytes], connections: int, seconds: float) -> Outcome:
    """Send as fast as `connections` allow until `seconds` have passed or the requests are used up."""
    queue, outcome = deque(requests), Outcome()
    began = time.perf_counter()

    async def worker() -> None:
        connection = await _connect(port)
        while queue and time.perf_counter() - began < seconds:
            sent = time.perf_counter()
            status = await connection.ask(queue.popleft())
            _count(outcome, status, time.perf_counter() - sent)

    await asyncio.gather(*(worker() for _ in range(connections)))
    outcome.seconds = time.perf_counter() - began
    return outcome


async def open_loop(port: int, requests: list[bytes], connections: int, rate: float) -> Outcome:
    """Send all requests at `rate` per second, whatever the answers do."""
    outcome, idle = Outcome(), asyncio.Queue[_Connection]()
    for connection in await asyncio.gather(*(_connect(port) for _ in range(connections))):
        idle.put_nowait(connection)
    began = time.perf_counter()

    async def one(number: int, request: bytes) -> None:
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        connection = await idle.get()
        status = await connection.ask(request)
        _count(outcome, status, time.perf_counter() - due)
        idle.put_nowait(connection)

    await asyncio.gather(*(one(number, request) for number, request in enumerate(requests)))
    outcome.seconds = time.perf_counter() - began
    return outcome


def _count(outcome: Outcome, status: int, seconds: float) -> None:
    outcome.statuses[status] = outcome.statuses.get(status, 0) + 1
    if 200 <= status < 300:
        outcome.latencies.append(seconds)
