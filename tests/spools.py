"""A gateway with an outbox for a test, and senders that note what they were told."""

import contextlib
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.conftest import assert_eventually
from tests.gateways import CONFIG, Running, github_headers, json_body, serving
from tests.servers import NatsServer

SPOOL = CONFIG.replace("gateway: {on_unavailable: reject}\n", "")  # the default is the outbox


async def emptied(gateway: Running, within: float = 30.0) -> None:
    """Wait until the bus is back and the outbox is empty."""

    async def is_empty() -> bool:
        body = (await gateway.ops.get("/healthz/ready")).json()
        return bool(body.get("bus") == "ready" and body["outbox"]["events"] == 0)

    await assert_eventually(is_empty, within, "the outbox is brought to the bus")


@contextlib.asynccontextmanager
async def spooling(server: NatsServer, directory: Path, config: str = SPOOL) -> AsyncIterator[Running]:
    """Serve with the bus verified: a gateway with an outbox is ready before that."""
    async with serving(server, directory, config) as gateway:
        await emptied(gateway)
        yield gateway


async def spooled(gateway: Running, delivery: str) -> None:
    """Send one event and have it answered out of the outbox."""
    answer = await gateway.github(json_body(delivery=delivery), delivery)
    assert (answer.status_code, answer.json().get("spooled")) == (202, True), answer.text


@dataclass
class Senders:
    """Senders that each send one event after the other, and note what was answered 202."""

    http: httpx.AsyncClient
    acked: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    async def send(self, name: str) -> None:
        """Send until the gateway is gone."""
        with contextlib.suppress(httpx.TransportError):
            for number in itertools.count():
                body = json_body(worker=name, number=number)
                headers = github_headers(body, f"{name}-{number}")
                answer = await self.http.post("/hooks/github", content=body, headers=headers)
                assert answer.status_code in {202, 503}
                if answer.status_code == 202:
                    self.acked[name].append(number)

    async def more(self, events: int) -> None:
        """Wait until so many more are accepted."""
        floor = sum(map(len, self.acked.values())) + events

        async def enough() -> bool:
            return sum(map(len, self.acked.values())) >= floor

        await assert_eventually(enough, 30, f"{floor} events are accepted")

    async def bus_ready(self) -> bool:
        """Whether the gateway has a bus."""
        with contextlib.suppress(httpx.TransportError):
            return bool((await self.http.get("/healthz/ready")).json().get("bus") == "ready")
        return False
