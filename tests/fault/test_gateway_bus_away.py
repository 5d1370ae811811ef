import asyncio
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.conftest import assert_eventually
from tests.gateways import Running, json_body, serving, stored
from tests.servers import NatsServer

pytestmark = pytest.mark.fault


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """Start a nats-server that the test may stop."""
    with servers.nats(tmp_path) as server:
        yield server


async def accepted_again(gateway: Running, delivery: str) -> dict[str, object]:
    """Repeat one delivery until it is accepted, as its sender would; return the receipt."""
    receipt: dict[str, object] = {}

    async def try_once() -> bool:
        answer = await gateway.github(json_body(delivery=delivery), delivery)
        assert answer.status_code in {202, 503}
        receipt.update(answer.json())
        return answer.status_code == 202

    await assert_eventually(try_once, 30, "the gateway accepts again")
    return receipt


async def test_a_frozen_bus_is_503_within_the_deadline_and_nothing_is_lost(
    own_nats: NatsServer, tmp_path: Path
) -> None:
    """While NATS is frozen every answer is 503 with Retry-After in 2.5 s; thawed, the repeats store each event once."""
    async with serving(own_nats, tmp_path) as gateway:
        assert (await gateway.github(json_body(delivery="before"), "before")).status_code == 202
        own_nats.send(signal.SIGSTOP)
        try:
            began = time.monotonic()
            answers = await asyncio.gather(*(gateway.github(json_body(delivery=f"f-{n}"), f"f-{n}") for n in range(5)))
            took = time.monotonic() - began
        finally:
            own_nats.send(signal.SIGCONT)
        assert took < 2.5
        for answer in answers:
            assert (answer.status_code, answer.json()["code"]) == (503, "bus.timeout")
            assert 5 <= int(answer.headers["retry-after"]) <= 30
        for number in range(5):
            await accepted_again(gateway, f"f-{number}")
        ids = [envelope.id for envelope, _ in await stored(gateway.gateway)]
        assert len(ids) == len(set(ids)) == 6


async def test_a_dead_bus_is_503_at_once_and_the_same_data_serves_again(own_nats: NatsServer, tmp_path: Path) -> None:
    """NATS killed: 503 in 100 ms and not ready. Started again on its data: ready by itself, a repeat is a duplicate."""
    async with serving(own_nats, tmp_path) as gateway:
        assert (await gateway.github(json_body(delivery="kept"), "kept")).status_code == 202
        own_nats.kill()

        async def not_ready() -> bool:
            return (await gateway.http.get("/healthz/ready")).status_code == 503

        await assert_eventually(not_ready, 5, "readiness follows the bus")
        began = time.monotonic()
        answer = await gateway.github(json_body(delivery="lost?"), "lost?")
        assert time.monotonic() - began < 0.1
        assert (answer.status_code, answer.json()["code"]) == (503, "bus.unavailable")
        assert (await gateway.http.get("/healthz/live")).status_code == 200
        assert (await gateway.github(json_body(delivery="x"), secret="wrong")).status_code == 401
        own_nats.start()
        await gateway.ready()
        assert (await accepted_again(gateway, "kept"))["duplicate"] is True
        assert (await accepted_again(gateway, "lost?"))["duplicate"] is False


async def test_it_starts_without_a_bus_and_becomes_ready_when_there_is_one(
    own_nats: NatsServer, tmp_path: Path
) -> None:
    """NATS away at the start: the gateway answers 503; once NATS is there it is ready without being told."""
    own_nats.kill()
    async with serving(own_nats, tmp_path, awaited=False) as gateway:
        ready = await gateway.http.get("/healthz/ready")
        assert (ready.status_code, ready.json()["code"]) == (503, "bus.unavailable")
        assert (await gateway.github(json_body(n=1))).status_code == 503
        own_nats.start()
        await gateway.ready()
        assert (await gateway.github(json_body(n=1))).status_code == 202


async def test_a_bus_that_acknowledges_before_the_disk_gets_no_events(tmp_path: Path) -> None:
    """Without sync_interval: always the gateway is not ready, takes nothing, and says what to change."""
    with servers.nats(tmp_path, sync_always=False) as careless:
        async with serving(careless, tmp_path, awaited=False) as gateway:

            async def says_why() -> bool:
                return "sync_interval: always" in (await gateway.ops.get("/healthz/ready")).text

            await assert_eventually(says_why)
            answer = await gateway.github(json_body(n=1))
            assert (answer.status_code, answer.json()["code"]) == (503, "bus.misconfigured")
            assert await stored(gateway.gateway) == []


async def test_a_batch_that_a_frozen_bus_interrupts_is_stored_once_when_it_is_repeated(
    own_nats: NatsServer, tmp_path: Path
) -> None:
    """No part of a batch is answered 2xx while the bus is frozen; the repeat stores every event, each once."""
    config = (
        "version: 1\ngateway: {on_unavailable: reject}\n"
        "sources:\n  ce: {dangerous_unverified: true, event: {cloudevents: required}}\n"
    )
    batch = [{"specversion": "1.0", "id": str(number), "source": "/s", "type": "t"} for number in range(40)]
    headers = {"Content-Type": "application/cloudevents-batch+json"}

    async with serving(own_nats, tmp_path, config) as gateway:

        async def post() -> int:
            answer = await gateway.http.post("/hooks/ce", content=json.dumps(batch).encode(), headers=headers)
            return answer.status_code

        own_nats.send(signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert await post() == 503
            assert time.monotonic() - began < 2.7
        finally:
            own_nats.send(signal.SIGCONT)

        async def accepted() -> bool:
            return await post() == 202

        await assert_eventually(accepted, 30, "the batch is accepted")
        events = [envelope.cloudevent for envelope, _ in await stored(gateway.gateway)]
        assert sorted(int(event.id) for event in events if event is not None) == list(range(40))
