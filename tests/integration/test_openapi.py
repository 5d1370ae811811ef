"""The OpenAPI description against the running gateway: Schemathesis asks what it describes, and worse."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import gateways
from tests.gateways import CONFIG, SECRET, Running
from tests.servers import NatsServer

pytestmark = pytest.mark.integration

EXAMPLES = 25  # of each operation and phase
MORE = """  stripe:
    verify: {preset: stripe, secrets: ["file:github.secret"]}
  zoom:
    verify: {preset: zoom, secrets: ["file:github.secret"]}
  cloud:
    dangerous_unverified: true
    event: {cloudevents: required}
  meta:
    verify: {preset: meta, secrets: ["file:github.secret"]}
    handshake_token: file:github.secret
  limited:
    dangerous_unverified: true
    limits: {rate: 5/m}
"""
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def impatient(config: str) -> str:
    """Return the configuration with sources that hold nobody for long: `Prefer: wait=10` is a documented example."""
    waiting = re.sub(r"(?m)^(    verify: \{.*\})$", r"\1\n    wait: 1s", config)
    return waiting.replace("    path: /hooks/orders/{tenant}\n", "    path: /hooks/orders/{tenant}\n    wait: 1s\n")


@pytest.fixture
async def gateway(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Running]:
    """Serve sources of every kind on empty streams."""
    async with gateways.fresh(nats_server, tmp_path, impatient(CONFIG + MORE)) as running:
        yield running


@pytest.mark.timeout(180)
@pytest.mark.parametrize("port", ["webhooks", "operators"])
async def test_schemathesis_finds_no_server_error(gateway: Running, tmp_path: Path, port: str) -> None:
    """Whatever is sent to what is described: no 5xx, and no answer that the description does not know."""
    number = gateway.gateway.port if port == "webhooks" else gateway.gateway.ops_port
    url = f"http://127.0.0.1:{number}"
    command = [str(Path(sys.executable).with_name("st")), "run", f"{url}/openapi.json", "--url", url]
    command += ["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--mode", "all", "--no-color"]
    command += ["--max-examples", str(EXAMPLES), "--generation-deterministic", "--max-failures", "5"]
    command += ["--request-timeout", "20", "--header", f"Authorization: Bearer {SECRET}"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    child = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        said, _ = await asyncio.wait_for(child.communicate(), 150)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode == 0, said.decode()[-6_000:]
    metrics = (await gateway.ops.get("/metrics")).text
    assert 'status="500"' not in metrics
    if port == "webhooks":  # it did reach the sources, and their limits
        assert 'holdfast_gateway_requests_total{source="open",status="202"}' in metrics
        assert 'holdfast_gateway_requests_total{source="limited",status="429"}' in metrics
        assert 'holdfast_gateway_requests_total{source="github",status="401"}' in metrics


async def test_every_answer_to_too_many_is_described(gateway: Running) -> None:
    """A refusal by the limits is in the description of every source, with its Retry-After."""
    described = json.loads((await gateway.http.get("/openapi.json")).text)
    for path in ("/hooks/github", "/hooks/limited", "/hooks/orders/{tenant}"):
        responses = described["paths"][path]["post"]["responses"]
        assert {"400", "401", "404", "405", "408", "413", "415", "429", "500", "503"} <= responses.keys()
        assert "Retry-After" in responses["429"]["headers"]
        assert "Retry-After" in responses["503"]["headers"]
