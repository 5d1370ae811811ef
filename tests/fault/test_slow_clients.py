"""Hundreds of slow clients beside normal traffic: they end, it goes on."""

import asyncio
import json
import sys
from pathlib import Path

import httpx
import pytest

from bench import load
from bench.stack import resident
from gateway.limits import BODY_WITHIN, HEADERS_WITHIN, LINGER
from holdfast.embedded.servers import free_ports
from tests.fault.test_gateway_process import process, until_ready
from tests.gateways import SECRET
from tests.servers import NatsServer

pytestmark = pytest.mark.fault

HEADERS, BODIES = 500, 200
SECONDS = 18.0  # of dripping: every deadline of 10 s passes, and the second wave is under way
RATE = 50  # normal requests a second
LATE = 4.0  # s beyond its deadline that a slow client may live, on a machine with two busy cores


async def test_slow_clients_end_and_normal_traffic_goes_on(nats_server: NatsServer, tmp_path: Path) -> None:
    """500 connections drip headers and 200 bodies: the rest is answered 202 with p99 under 1 s, in bounded memory."""
    ports = free_ports(2)
    with process(nats_server, tmp_path, ports) as gateway:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports[1]}", trust_env=False) as ops:
            await until_ready(ops)
            warm = load.signed_requests("/hooks/github", 50, host="x", secret=SECRET)
            await load.open_loop(ports[0], warm, 8, RATE)
            before = resident(gateway.pid)
            command = [sys.executable, "-m", "bench.slow", str(ports[0]), str(HEADERS), str(BODIES), str(SECONDS)]
            slow = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            requests = load.signed_requests("/hooks/github", int(RATE * (SECONDS - 3)), host="x", secret=SECRET)
            normal = await load.open_loop(ports[0], requests, 16, RATE)
            printed, _ = await asyncio.wait_for(slow.communicate(), 60)
            grown = resident(gateway.pid) - before
            metrics = (await ops.get("/metrics")).text
    fates = json.loads(printed)
    assert normal.statuses == {202: len(requests)}
    assert normal.quantile(0.99) < 1_000, "p99 of the normal traffic, ms"
    assert grown < 64, "MiB"
    assert fates["headers"]["ended"] >= HEADERS
    assert set(fates["headers"]["answers"]) <= {"closed", "reset"}
    assert fates["headers"]["longest"] < HEADERS_WITHIN.total_seconds() + LATE
    assert fates["bodies"]["answers"].get("408", 0) >= BODIES
    assert fates["bodies"]["longest"] < (BODY_WITHIN + LINGER).total_seconds() + LATE
    assert 'holdfast_gateway_connections_ended_total{reason="slow_headers"}' in metrics


async def test_a_stop_waits_for_no_slow_client(nats_server: NatsServer, tmp_path: Path) -> None:
    """Asked to stop with 60 slow clients: what is under way is answered, and the process ends within 10 s."""
    ports = free_ports(2)
    with process(nats_server, tmp_path, ports) as gateway:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports[1]}", trust_env=False) as ops:
            await until_ready(ops)
            command = [sys.executable, "-m", "bench.slow", str(ports[0]), "40", "20", "25"]
            slow = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
            try:
                requests = load.signed_requests("/hooks/github", 100, host="x", secret=SECRET)
                normal = await load.open_loop(ports[0], requests, 8, RATE)
                assert normal.statuses == {202: 100}
                gateway.terminate()
                assert await asyncio.to_thread(gateway.wait, 10) == 0
            finally:
                slow.kill()
                await slow.wait()
    assert "Traceback" not in (tmp_path / "gateway.log").read_text()
