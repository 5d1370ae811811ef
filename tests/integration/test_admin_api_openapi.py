"""The admin API against its own description: Schemathesis asks what it describes, and worse."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.domain.access import Scope
from tests.apis import TOKENS, Api, serving
from tests.servers import NatsServer, TemporalServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

EXAMPLES = 12  # of each operation and phase
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.fixture
async def api(nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[Api]:
    """A worker with its API."""
    async with serving(nats_server, temporal_server, tmp_path) as found:
        yield found


async def test_schemathesis_finds_no_server_error(api: Api, tmp_path: Path) -> None:
    """Whatever is sent to what is described: no 5xx, and no answer that the description does not know."""
    await api.dead_letters("described", 3)
    url = f"http://127.0.0.1:{api.process.api_port}"
    command = [str(Path(sys.executable).with_name("st")), "run", f"{url}/openapi.json", "--url", url]
    command += ["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--mode", "all", "--no-color"]
    command += ["--max-examples", str(EXAMPLES), "--generation-deterministic", "--max-failures", "5"]
    # a description may be too narrow to be hit at will; that is a wish for better data, and no finding
    command += ["--suppress-health-check", "filter_too_much"]
    command += ["--request-timeout", "20", "--header", f"Authorization: Bearer {TOKENS[Scope.ADMIN]}"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    child = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        said, _ = await asyncio.wait_for(child.communicate(), 280)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode == 0, said.decode()[-6_000:]
