"""The worker's own port: `/healthz/live`, `/healthz/ready` with every reason why not, `/metrics`."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.live import LiveConfig
from holdfast.telemetry.metrics import Metrics

KEEP_ALIVE = 5  # s
BACKLOG = 64


class OpsServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the process it runs in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def ops_server(reasons: Callable[[], dict[str, str]], config: LiveConfig, metrics: Metrics) -> OpsServer:
    """Return the server; `reasons` says by component why the worker is not ready, and is empty when it is."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_: Request) -> Response:
        why = reasons()
        state = {"status": "not ready" if why else "ready", "reasons": why, "config": config.facts()}
        return JSONResponse(state, 503 if why else 200)

    async def numbers(_: Request) -> Response:
        body, kind = await asyncio.to_thread(metrics.exposition)
        return Response(body, headers={"content-type": kind})

    app = Starlette(routes=[Route("/healthz/live", live), Route("/healthz/ready", ready), Route("/metrics", numbers)])
    return OpsServer(
        uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=1,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """Bind; port 0 takes a free one. Raises RejectedInput `config.invalid` where the address cannot be had."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        reason = error.strerror or type(error).__name__
        raise RejectedInput(ErrorCode.CONFIG_INVALID, f"cannot listen on {host}:{port}: {reason}") from error
    sock.setblocking(False)
    return sock
