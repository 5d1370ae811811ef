"""A gateway and a worker on real servers, with a scripted target and an access token, for tests that ask over HTTP."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from temporalio.client import Client

from holdfast.domain.access import hash_of
from holdfast.embedded.sink import Sink
from tests import gateways, workers
from tests.buses import connected
from tests.gateways import Running
from tests.servers import NatsServer, TemporalServer

TOKEN = "hf_" + "r" * 43
BEARER = {"Authorization": f"Bearer {TOKEN}"}
SECRET = "canary-token-secret"

CONFIG = """version: 1
gateway: {{on_unavailable: reject}}
sources:
  shop:
    verify: {{preset: bearer, secrets: ["file:shop.secret"]}}
    event: {{id: event.data.id}}
  brief:
    verify: {{preset: bearer, secrets: ["file:shop.secret"]}}
    wait: 0s
  fixed:
    verify: {{preset: bearer, secrets: ["file:shop.secret"]}}
    respond: {{status: 201, headers: {{X-Served-By: holdfast, Content-Type: text/html}}, body: "<p>ok</p>"}}
triggers:
  first:
    on: [shop, fixed]
    when: event.data.to in ["one", "both"]
    run: {{http: {{url: "{sink}/first", timeout: 5s}}}}
    retry: {{max_attempts: 3, initial: 200ms, max: 200ms, jitter: 0.0}}
  second:
    on: shop
    when: event.data.to == "both"
    run: {{http: {{url: "{sink}/second", timeout: 5s}}}}
    retry: {{max_attempts: 3, initial: 200ms, max: 200ms, jitter: 0.0}}
  patient:
    on: shop
    when: event.data.to == "patient"
    run: {{http: {{url: "{sink}/patient", timeout: 5s}}}}
    retry: {{max_attempts: 9, initial: 1h, max: 1h, jitter: 0.0}}
  climbing:
    on: shop
    when: event.data.to == "climbing"
    run: {{http: {{url: "{sink}/climbing", timeout: 5s}}}}
    retry: {{max_attempts: 9, initial: 1s, factor: 10, max: 1h, jitter: 0.0}}
  broken:
    on: shop
    when: event.data.broken / 0 == 1
    run: {{log: {{message: event.id}}}}
api:
  tokens:
    watcher: {{scope: read, hash: "{hash}"}}
bus:
  streams:
    events: {{max_bytes: 64MiB}}
    dead_letters: {{max_bytes: 64MiB}}
    unmatched: {{max_bytes: 16MiB}}
"""


@dataclass
class Asking:
    """What a test talks to."""

    running: Running
    sink: Sink
    client: Client
    settings: Any
    directory: Path
    yaml: str

    async def send(self, event_id: str, prefer: str | None = None, source: str = "shop", **data: Any) -> httpx.Response:
        """POST one event."""
        headers = {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"}
        if prefer is not None:
            headers["Prefer"] = prefer
        body = json.dumps({"id": event_id, **data}).encode()
        return await self.running.http.post(f"/hooks/{source}", content=body, headers=headers)

    async def ask(self, path: str, **headers: str) -> httpx.Response:
        """GET with the token."""
        return await self.running.http.get(path, headers={**BEARER, **headers})

    async def status(self, event_id: str, source: str = "shop") -> dict[str, Any]:
        """Where an event is."""
        response = await self.ask(f"/events/{source}/{event_id}")
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """Run a worker."""
        directory = self.directory / "worker"
        directory.mkdir(exist_ok=True)
        (directory / "shop.secret").write_text(SECRET)
        async with workers.working(self.settings, directory, self.yaml) as process:
            await workers.ready(process)
            yield


@contextlib.asynccontextmanager
async def asking(nats: NatsServer, temporal: TemporalServer, directory: Path) -> AsyncIterator[Asking]:
    """Serve a gateway on empty streams; a worker runs only while the test runs one."""
    sink = Sink()
    await sink.start()
    (directory / "shop.secret").write_text(SECRET)
    yaml = CONFIG.format(sink=sink.url, hash=hash_of(TOKEN))
    settings = workers.settings_of(nats, temporal)
    client = await workers.temporal_client(temporal, nats)
    try:
        async with connected(nats), gateways.serving(nats, directory, yaml) as running:
            yield Asking(running, sink, client, settings, directory, yaml)
    finally:
        await sink.stop()
