"""uvicorn as the gateway runs it: quiet, without trust in proxies, with deadlines and bounds that uvicorn lacks."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from gateway.connections import Connections
from gateway.limits import DRAIN, KEEP_ALIVE
from gateway.protocol import GuardedProtocol
from holdfast.errors import ErrorCode, RejectedInput


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


def server_of(app: Any, crowd: Connections) -> Server:
    """Return a server for `app`, whose connections `crowd` bounds; the sockets are given to `serve`."""
    return Server(
        uvicorn.Config(
            app,
            http=functools.partial(GuardedProtocol, crowd=crowd),  # type: ignore[arg-type]
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
