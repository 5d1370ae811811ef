"""A small HTTP target on loopback for the demo, the kill tests and the benchmarks: it records what it is sent.

Each path answers as scripted, then 200. With a log file every call is on disk before it is answered, so the log is a
witness that survives the death of everything else.
"""

import asyncio
import json
import os
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import httptools

from holdfast.clock import rfc3339
from holdfast.ids import sha256_hex


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came in."""

    at: str  # RFC 3339
    method: str
    path: str
    key: str  # Idempotency-Key
    event_id: str  # ce-id, still percent-encoded
    traceparent: str
    body_sha256: str
    status: int  # what was answered


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer, and after how long."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0  # seconds
    body: bytes = b""


@dataclass
class Sink:
    """The target. `script[path]` holds the replies to give first; `standing[path]` the one to give after them."""

    log: Path | None = None
    calls: list[Call] = field(default_factory=list)
    script: dict[str, deque[Reply]] = field(default_factory=dict)
    standing: dict[str, Reply] = field(default_factory=dict)
    on_call: Callable[[Call], None] | None = None
    _server: asyncio.Server | None = None
    _log_fd: int | None = None

    async def start(self, port: int = 0) -> None:
        """Listen on loopback; port 0 takes a free one."""
        if self.log is not None:
            self._log_fd = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), "127.0.0.1", port)

    async def stop(self) -> None:
        """Close the listener and the log."""
        if self._server is not None:
            self._server.close()
        if self._log_fd is not None:
            os.close(self._log_fd)
            self._log_fd = None

    @property
    def url(self) -> str:
        """Base address."""
        if self._server is None:
            raise RuntimeError("the sink is not started")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def at(self, path: str) -> list[Call]:
        """Return the calls to one path, in order."""
        return [call for call in self.calls if call.path == path]

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """Record a request and choose the reply."""
        scripted = self.script.get(path)
        reply = scripted.popleft() if scripted else self.standing.get(path, Reply())
        call = Call(
            rfc3339(datetime.now(UTC)),
            method,
            path,
            headers.get("idempotency-key", ""),
            headers.get("ce-id", ""),
            headers.get("traceparent", ""),
            sha256_hex(body),
            reply.status,
        )
        if self._log_fd is not None:
            os.write(self._log_fd, json.dumps(asdict(call)).encode() + b"\n")
            os.fsync(self._log_fd)
        self.calls.append(call)
        if self.on_call is not None:
            self.on_call(call)
        return reply


class _Connection(asyncio.Protocol):
    """One keep-alive connection."""

    _transport: asyncio.WriteTransport

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._parser = httptools.HttpRequestParser(self)
        self._reset()

    def _reset(self) -> None:
        self._path, self._headers, self._body = "", {}, bytearray()  # type: tuple[str, dict[str, str], bytearray]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode("latin-1")
        reply = self._sink.answer(method, self._path, self._headers, bytes(self._body))
        self._reset()
        if reply.delay:
            asyncio.get_running_loop().call_later(reply.delay, self._write, reply)
        else:
            self._write(reply)

    def _write(self, reply: Reply) -> None:
        extra = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
        head = f"HTTP/1.1 {reply.status} Scripted\r\n{extra}content-length: {len(reply.body)}\r\n\r\n"
        if not self._transport.is_closing():
            self._transport.write(head.encode("latin-1") + reply.body)
