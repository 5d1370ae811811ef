import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from holdfast.embedded.servers import free_ports
from tests.conftest import assert_eventually
from tests.gateways import CONFIG, ORDERS_SECRET, SECRET, github_headers, json_body
from tests.servers import NatsServer

pytestmark = pytest.mark.fault

RUN = """
import asyncio
from gateway.process import run
from holdfast.settings.file import load_config
from holdfast.settings.process import ProcessSettings
settings = ProcessSettings.load()
asyncio.run(run(settings, load_config(settings.config)))
"""


@contextlib.contextmanager
def process(
    server: NatsServer, directory: Path, ports: list[int], config: str = CONFIG
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a gateway as a process of its own."""
    (directory / "github.secret").write_text(SECRET)
    (directory / "orders.secret").write_text(ORDERS_SECRET)
    (directory / "holdfast.yaml").write_text(config)
    environment = {
        "PATH": os.environ["PATH"],
        "HOLDFAST_CONFIG": str(directory / "holdfast.yaml"),
        "HOLDFAST_DATA_DIR": str(directory / "data"),
        "HOLDFAST_GATEWAY_PORT": str(ports[0]),
        "HOLDFAST_GATEWAY_OPS_PORT": str(ports[1]),
        "NATS_URL": server.plan.url,
        "NATS_USER": server.plan.user,
        "NATS_PASSWORD": server.plan.password,
        "NATS_MONITOR_URL": server.plan.monitor_url,
    }
    with (directory / "gateway.log").open("ab") as log:
        child = subprocess.Popen([sys.executable, "-c", RUN], env=environment, stdout=log, stderr=log)
    try:
        yield child
    finally:
        child.kill()
        child.wait(10)


async def until_ready(client: httpx.AsyncClient) -> None:
    """Wait until the process is ready."""

    async def ready() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return (await client.get("/healthz/ready")).status_code == 200
        return False

    await assert_eventually(ready, why="the process becomes ready")


async def test_asked_to_stop_it_finishes_what_is_under_way(nats_server: NatsServer, tmp_path: Path) -> None:
    """SIGTERM under load: every request is answered 2xx, 503 or never taken; the end comes in 10 s with code 0."""
    ports = free_ports(2)
    outcomes: list[int] = []
    with process(nats_server, tmp_path, ports) as child:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False, timeout=10) as client:
            await until_ready(client)

            async def send(worker: int) -> None:
                with contextlib.suppress(httpx.TransportError):
                    for number in range(10_000):
                        body = json_body(worker=worker, number=number, run=str(tmp_path))
                        headers = github_headers(body, f"{worker}-{number}")
                        answer = await client.post("/hooks/github", content=body, headers=headers)
                        outcomes.append(answer.status_code)

            senders = [asyncio.create_task(send(worker)) for worker in range(8)]

            async def under_way() -> bool:
                return len(outcomes) > 100

            await assert_eventually(under_way)
            child.send_signal(signal.SIGTERM)
            began = time.monotonic()
            code = await asyncio.to_thread(child.wait, 15)
            assert time.monotonic() - began < 10
            await asyncio.gather(*senders)
    assert code == 0, (tmp_path / "gateway.log").read_text()
    assert set(outcomes) <= {202, 503}
    assert "Traceback" not in (tmp_path / "gateway.log").read_text()


async def test_a_request_under_way_is_answered_before_the_end(nats_server: NatsServer, tmp_path: Path) -> None:
    """A sender that is still writing when SIGTERM comes, and ends its body in time, gets its 202."""
    ports = free_ports(2)
    with process(nats_server, tmp_path, ports) as child:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False, timeout=10) as client:
            await until_ready(client)
        reader, writer = await asyncio.open_connection("127.0.0.1", ports[0])
        writer.write(b"POST /hooks/open HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
        await writer.drain()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports[1]}", trust_env=False, timeout=10) as ops:
            child.send_signal(signal.SIGTERM)

            async def draining() -> bool:
                return (await ops.get("/healthz/ready")).status_code == 503

            await assert_eventually(draining, why="readiness says that it drains")
        writer.write(b"cd")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
        writer.close()
        assert head == b"HTTP/1.1 202 Accepted\r\n"
        assert await asyncio.to_thread(child.wait, 10) == 0
