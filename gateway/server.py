"""uvicorn as the gateway runs it: quiet, without trust in proxies, with deadlines and bounds that uvicorn lacks."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.limits import DRAIN, HEADERS_WITHIN, KEEP_ALIVE, MAX_HEADER_BYTES
from holdfast.errors import ErrorCode, RejectedInput


class GuardedProtocol(HttpToolsProtocol):
    """Ends connections whose headers do not come in time, or do not end: uvicorn waits for both without a bound."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Count what comes before the headers end."""
        if self._head_timer is None and self._between_requests():
            self._expect_head()
        if self._head_timer is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_timer is not None and self._head_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response("The headers are too large.")

    def on_headers_complete(self) -> None:
        """Stop waiting."""
        self._forget_head()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer with the connection."""
        self._forget_head()
        super().connection_lost(exc)

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEADERS_WITHIN.total_seconds(), self._too_slow)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to the process it runs in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def until_started(self) -> None:
        """Wait until it accepts connections."""
        while not self.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)


def server_of(app: Any) -> Server:
    """Return a server for `app`; the sockets are given to `serve`."""
    return Server(
        uvicorn.Config(
            app,
            http=GuardedProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(KEEP_ALIVE.total_seconds()),
            timeout_graceful_shutdown=int(DRAIN.total_seconds()),
            backlog=1_024,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """Bind; port 0 takes a free one. Raises RejectedInput `config.invalid` where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        reason = error.strerror or type(error).__name__
        raise RejectedInput(ErrorCode.CONFIG_INVALID, f"cannot listen on {host}:{port}: {reason}") from error
    sock.setblocking(False)
    return sock
