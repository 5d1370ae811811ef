"""A worker with its admin API on real servers, and a token of each scope, for tests that ask it over HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from temporalio.client import Client

from holdfast.bus.connect import Bus
from holdfast.bus.publish import EventPublisher
from holdfast.domain.access import Scope, hash_of
from holdfast.settings.process import ProcessSettings
from holdfast.temporal.case_list import CaseFilter, count_cases
from tests import workers
from tests.conftest import assert_eventually
from tests.servers import NatsServer, TemporalServer
from workers.worker import WorkerProcess

TOKENS = {scope: "hf_" + str(scope)[0] * 43 for scope in Scope}
SOON = timedelta(seconds=5)

API = "api:\n  tokens:\n" + "".join(
    f'    {scope}-token: {{scope: {scope}, hash: "{hash_of(token)}"}}\n' for scope, token in TOKENS.items()
)
SCHEDULES = 'schedules:\n  nightly: {cron: ["0 3 * * *"], timezone: Europe/Berlin, event: {type: report.requested}}\n'


def bearer(scope: Scope) -> dict[str, str]:
    """Headers of a request with the token of that scope."""
    return {"Authorization": f"Bearer {TOKENS[scope]}"}


@dataclass
class Api:
    """What a test talks to."""

    http: httpx.AsyncClient
    client: Client
    bus: Bus
    settings: ProcessSettings
    process: WorkerProcess

    async def get(self, path: str, scope: Scope = Scope.ADMIN, **params: Any) -> httpx.Response:
        """GET with a token."""
        return await self.http.get(path, headers=bearer(scope), params=params)

    async def post(
        self, path: str, given: Any = None, scope: Scope = Scope.OPERATE, key: str | None = None
    ) -> httpx.Response:
        """POST JSON with a token, and with an Idempotency-Key."""
        headers = {**bearer(scope), **({} if key is None else {"Idempotency-Key": key})}
        return await self.http.post(path, json=given or {}, headers=headers)

    async def dead_letters(self, prefix: str, number: int) -> list[str]:
        """Make events that become dead letters at once; return the ids of the dead letters, when all have cases."""
        publisher = EventPublisher(self.bus)
        names = [f"{prefix}-{at:04}" for at in range(number)]
        sent = (workers.event(name, '{"wanted": false, "broken": 1}') for name in names)
        await asyncio.gather(*(publisher.publish_event(one, timeout=SOON) for one in sent))

        async def all_there() -> bool:
            counts = await asyncio.gather(*(self._has(name) for name in (names[0], names[-1])))
            return all(counts) and await count_cases(self.client, CaseFilter(source="orders")) >= number

        await assert_eventually(all_there, 60)
        return [f"broken/orders/{name}" for name in names]

    async def _has(self, event_id: str) -> bool:
        return await count_cases(self.client, CaseFilter(event_id=event_id)) == 1


def case_path(dead_letter: str, verb: str = "", *, encoded: bool = True) -> str:
    """Path of a dead letter, its id percent-encoded or as it is."""
    there = quote(dead_letter, safe="") if encoded else dead_letter
    return f"/v1/dead-letters/{there}" + (f"/{verb}" if verb else "")


@contextlib.asynccontextmanager
async def serving(nats: NatsServer, temporal: TemporalServer, directory: Path, more: str = "") -> AsyncIterator[Api]:
    """Run a worker on empty streams, with more lines of configuration."""
    settings = workers.settings_of(nats, temporal)
    client = await workers.temporal_client(temporal, nats)
    async with workers.fresh_bus(settings) as bus:
        yaml = workers.YAML + SCHEDULES + API + more
        async with workers.working(settings, directory, yaml) as process:
            await workers.ready(process)
            url = f"http://127.0.0.1:{process.api_port}"
            async with httpx.AsyncClient(base_url=url, timeout=60) as http:
                yield Api(http, client, bus, settings, process)
