"""A small HTTP(S) target on loopback that keeps whole requests and answers as it is told, for tests of actions."""

import asyncio
import contextlib
import json
import ssl
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.authorities import Authority


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return dict(parse_qsl(self.body.decode()))


@dataclass
class Answer:
    """What to say."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)

    def write(self) -> bytes:
        """Return it as HTTP; what is no bytes is JSON."""
        raw = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return f"HTTP/1.1 {self.status} X\r\n{lines}content-length: {len(raw)}\r\n\r\n".encode() + raw


@dataclass
class Target:
    """`script[path]` is said first, `standing[path]` after it, 200 where there is neither."""

    port: int = 0
    scheme: str = "http"
    host: str = "127.0.0.1"
    requests: list[Request] = field(default_factory=list)
    script: dict[str, deque[Answer]] = field(default_factory=dict)
    standing: dict[str, Answer] = field(default_factory=dict)

    def url(self, path: str = "/") -> str:
        """An address of it."""
        return f"{self.scheme}://{self.host}:{self.port}{path}"

    def at(self, path: str) -> list[Request]:
        """What came to one path."""
        return [one for one in self.requests if one.path == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append(Request(method, path, headers, body))
                scripted = self.script.get(path)
                answer = scripted.popleft() if scripted else self.standing.get(path, Answer())
                writer.write(answer.write())
                await writer.drain()


@contextlib.asynccontextmanager
async def target(context: ssl.SSLContext | None = None) -> AsyncIterator[Target]:
    """Run one; with TLS it answers to the name localhost."""
    made = Target(scheme="http", host="127.0.0.1") if context is None else Target(scheme="https", host="localhost")
    under_way: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await made.serve(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way.append(asyncio.get_running_loop().create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def server_tls(authority: Authority, clients: Authority | None = None) -> ssl.SSLContext:
    """TLS of a server called localhost; with `clients` it wants a certificate of theirs."""
    cert, key = authority.issue_with_key("localhost", ExtendedKeyUsageOID.SERVER_AUTH)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(cert + key)
        file.flush()
        context.load_cert_chain(file.name)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients.pem.decode())
    return context
