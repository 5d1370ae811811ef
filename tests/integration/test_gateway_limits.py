"""What one source, one address and all together may have of the gateway, over HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests import gateways
from tests.conftest import assert_eventually
from tests.gateways import CONFIG, Running, json_body
from tests.servers import NatsServer

pytestmark = pytest.mark.integration


def limited(limits: str, more: str = "") -> str:
    """Return the configuration with limits of the source github."""
    verify = '    verify: {preset: github, secrets: ["file:github.secret"]}\n'
    return CONFIG.replace(verify, f"{verify}    limits: {limits}\n", 1) + more


@contextlib.asynccontextmanager
async def dripping(gateway: Running, count: int) -> AsyncIterator[None]:
    """Open `count` connections whose bodies never come."""
    writers = []
    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.gateway.port)
        writer.write(b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\n{")
        await writer.drain()
        writers.append(writer)
    try:
        yield
    finally:
        for writer in writers:
            writer.close()


def bounded(limits: str) -> str:
    """Return the configuration with bounds of the whole gateway."""
    return CONFIG.replace("on_unavailable: reject", f"on_unavailable: reject, limits: {limits}")


async def test_over_its_rate_a_source_is_429_and_can_come_again(nats_server: NatsServer, tmp_path: Path) -> None:
    """Burst taken, then 429 with a Retry-After that holds; the answer is a problem, and it is counted."""
    async with gateways.fresh(nats_server, tmp_path, limited("{rate: 30/m, burst: 3}")) as gateway:
        answers = [await gateway.github(json_body(n=n), f"r-{n}") for n in range(6)]
        assert [answer.status_code for answer in answers] == [202] * 3 + [429] * 3
        refused = answers[-1]
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["code"] == "source.rate_limited"
        assert 1 <= int(refused.headers["retry-after"]) <= 2
        assert (await gateway.http.post("/hooks/open", content=b"x")).status_code == 202, "another source"

        async def taken() -> bool:
            return (await gateway.github(json_body(n=9), "r-9")).status_code == 202

        await assert_eventually(taken, 10)
        metrics = (await gateway.ops.get("/metrics")).text
        assert 'holdfast_gateway_events_rejected_total{code="source.rate_limited",source="github"}' in metrics
        assert 'holdfast_gateway_requests_total{source="github",status="429"}' in metrics


async def test_who_has_no_secret_uses_nothing_up(nats_server: NatsServer, tmp_path: Path) -> None:
    """A hundred wrong signatures are 401, and the source's whole budget is still there."""
    async with gateways.fresh(nats_server, tmp_path, limited("{rate: 5/h}")) as gateway:
        for number in range(100):
            assert (await gateway.github(json_body(n=number), secret="wrong")).status_code == 401
        answers = [(await gateway.github(json_body(n=n), f"r-{n}")).status_code for n in range(6)]
        assert answers == [202] * 5 + [429]


async def test_over_its_rate_the_body_is_not_waited_for(nats_server: NatsServer, tmp_path: Path) -> None:
    """With the budget used up a request is refused by its head alone."""
    async with gateways.fresh(nats_server, tmp_path, limited("{rate: 1/h}")) as gateway:
        assert (await gateway.github(json_body(n=1))).status_code == 202
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.gateway.port)
        writer.write(b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n")
        assert (await asyncio.wait_for(reader.readline(), 2)).startswith(b"HTTP/1.1 429 ")
        writer.close()


async def test_over_its_concurrency_a_source_is_429(nats_server: NatsServer, tmp_path: Path) -> None:
    """One at work, the next refused; a body that drips holds no place."""
    async with gateways.fresh(nats_server, tmp_path, limited("{concurrency: 1}")) as gateway, dripping(gateway, 5):
        answers = await asyncio.gather(*(gateway.github(json_body(n=n), f"c-{n}") for n in range(12)))
        assert {answer.status_code for answer in answers} == {202, 429}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json()["code"] == "source.too_concurrent"
        assert 1 <= int(refused.headers["retry-after"]) <= 5
        assert (await gateway.github(json_body(n=99), "c-99")).status_code == 202


async def test_over_the_processes_bound_all_are_503(nats_server: NatsServer, tmp_path: Path) -> None:
    """What is too much for the gateway is its own trouble: 503 with Retry-After, and gone when the rest is done."""
    limits = "{requests: 2}"
    async with gateways.fresh(nats_server, tmp_path, bounded(limits)) as gateway:
        answers = await asyncio.gather(*(gateway.github(json_body(n=n), f"b-{n}") for n in range(20)))
        assert {answer.status_code for answer in answers} == {202, 503}
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert refused.json()["code"] == "gateway.busy"
        assert (await gateway.github(json_body(n=99), "b-99")).status_code == 202


async def test_slow_clients_make_room(nats_server: NatsServer, tmp_path: Path) -> None:
    """With every connection taken by slow clients a new one is served at once, and the slowest is cut off."""
    limits = "{connections: 24}"
    async with gateways.fresh(nats_server, tmp_path, bounded(limits)) as gateway, dripping(gateway, 60):
        for number in range(5):
            url = f"http://127.0.0.1:{gateway.gateway.port}/hooks/open"
            async with httpx.AsyncClient(trust_env=False, timeout=5) as fresh:
                assert (await fresh.post(url, content=f"n-{number}")).status_code == 202
        metrics = (await gateway.ops.get("/metrics")).text
        assert 'holdfast_gateway_connections_ended_total{reason="crowded_out"}' in metrics
        assert float(metrics.partition("\nholdfast_gateway_connections ")[2].split()[0]) <= 24


async def test_one_address_is_bounded_where_configured(nats_server: NatsServer, tmp_path: Path) -> None:
    """The connections past the bound are closed at once, those within it live."""
    limits = "{connections_per_address: 3}"
    async with gateways.fresh(nats_server, tmp_path, bounded(limits)) as gateway:  # its own client holds one
        lines = [await asyncio.open_connection("127.0.0.1", gateway.gateway.port) for _ in range(5)]
        ends = {asyncio.create_task(reader.read()): number for number, (reader, _) in enumerate(lines)}
        done, open_ = await asyncio.wait(ends, timeout=2)
        assert sorted(ends[task] for task in done) == [2, 3, 4]
        for task in open_:
            task.cancel()
        for _, writer in lines:
            writer.close()
        await asyncio.gather(*done, *open_, return_exceptions=True)
