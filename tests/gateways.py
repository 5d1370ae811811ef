"""A whole gateway for a test: real HTTP on a free port, against the test's own NATS."""

import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.confirm import Confirm
from gateway.process import Gateway
from holdfast.bus.streams import EVENTS
from holdfast.clock import Clock
from holdfast.domain.events import Envelope, decode_envelope
from holdfast.settings.file import load_config
from holdfast.telemetry.metrics import Metrics
from tests.buses import connected, settings_for
from tests.conftest import assert_eventually
from tests.servers import NatsServer

SECRET = "canary-3f9d1c-github"
ORDERS_SECRET = "canary-77aa10-orders"

CONFIG = """version: 1
gateway: {on_unavailable: reject}
sources:
  github:
    verify: {preset: github, secrets: ["file:github.secret"]}
  orders:
    path: /hooks/orders/{tenant}
    verify:
      preset: hmac
      header: X-Signature
      signed: "{timestamp}.{body}"
      timestamp: {header: X-Timestamp}
      secrets: ["file:orders.secret"]
    event:
      id: event.headers["x-delivery-id"]
      type: '"order." + event.data.action'
      subject: event.data.order_id
    respond: {status: 200, body: "ok"}
  open:
    dangerous_unverified: true
    max_body: 1000
  large:
    dangerous_unverified: true
    max_body: 1MiB
  token:
    verify: {preset: bearer, secrets: ["file:github.secret"]}
"""


@dataclass(frozen=True)
class Running:
    """A gateway that serves, and how to reach it."""

    gateway: Gateway
    http: httpx.AsyncClient
    ops: httpx.AsyncClient

    async def ready(self, within: float = 20.0) -> None:
        """Wait until it says so itself; with an outbox that is before its bus is."""

        async def says_so() -> bool:
            return (await self.http.get("/healthz/ready")).status_code == 200

        await assert_eventually(says_so, within, "the gateway becomes ready")

    async def on_the_bus(self) -> None:
        """Wait until events go to the bus, and not to an outbox."""

        async def says_so() -> bool:
            return bool((await self.ops.get("/healthz/ready")).json().get("bus", "ready") == "ready")

        await assert_eventually(says_so, 20.0, "the gateway's bus becomes ready")

    async def github(self, body: bytes, delivery: str = "d-1", **more: Any) -> httpx.Response:
        """POST a body as GitHub does; `more`: `event`, `secret`, `headers`."""
        headers = github_headers(body, delivery, more.get("event", "push"), more.get("secret", SECRET))
        return await self.http.post("/hooks/github", content=body, headers={**headers, **more.get("headers", {})})


def github_headers(body: bytes, delivery: str, event: str = "push", secret: str = SECRET) -> dict[str, str]:
    """Headers of a delivery by GitHub."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": f"sha256={digest}",
    }


@contextlib.asynccontextmanager
async def serving(  # noqa: PLR0913 - what a gateway is made of, nearly all left out
    server: NatsServer,
    directory: Path,
    config: str = CONFIG,
    *,
    awaited: bool = True,
    clock: Clock | None = None,
    confirm: Confirm | None = None,
) -> AsyncIterator[Running]:
    """Serve; `awaited`: until it is ready."""
    (directory / "github.secret").write_text(SECRET)
    (directory / "orders.secret").write_text(ORDERS_SECRET)
    file = directory / "holdfast.yaml"
    file.write_text(config)
    settings = settings_for(server, gateway_port=0, gateway_ops_port=0, data_dir=directory / "data")
    gateway = Gateway(settings, load_config(file), Metrics(), clock, confirm)
    async with gateway.running(), contextlib.AsyncExitStack() as stack:
        http, ops = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)
            )
            for port in (gateway.port, gateway.ops_port)
        ]
        running = Running(gateway, http, ops)
        if awaited:
            await running.ready()
        yield running


@contextlib.asynccontextmanager
async def fresh(
    server: NatsServer,
    directory: Path,
    config: str = CONFIG,
    clock: Clock | None = None,
    confirm: Confirm | None = None,
) -> AsyncIterator[Running]:
    """Serve on empty streams."""
    async with connected(server), serving(server, directory, config, clock=clock, confirm=confirm) as running:
        await running.on_the_bus()
        yield running


async def stored(gateway: Gateway) -> list[tuple[Envelope, Mapping[str, str]]]:
    """Every event on the bus with its NATS headers, in order."""
    js = gateway.bus.jetstream
    last = (await js.stream_info(EVENTS)).state.last_seq
    messages = [await js.get_msg(EVENTS, seq) for seq in range(1, last + 1)]
    return [(decode_envelope(message.data or b""), message.headers or {}) for message in messages]


def json_body(**fields: object) -> bytes:
    """Return a small JSON body."""
    return json.dumps(fields).encode()
