"""`holdfast dead-letters redrive --where …` and `holdfast bulk` as people and scripts run them, on real servers."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from holdfast.temporal.namespace import ensure_namespace
from tests import buses, durable
from tests.bulks import open_cases, received
from tests.conftest import assert_eventually
from tests.durable import Stack
from tests.servers import NatsServer, TemporalServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


class Shell:
    """Runs the command against a test's servers."""

    def __init__(self, nats: NatsServer, temporal: TemporalServer, directory: Path) -> None:
        self._env = {
            **os.environ,
            "NATS_URL": nats.plan.url,
            "NATS_USER": nats.plan.user,
            "NATS_PASSWORD": nats.plan.password,
            "TEMPORAL_ADDRESS": temporal.plan.address,
            "HOLDFAST_DATA_DIR": str(directory / "none"),
            "HOLDFAST_OPERATOR": "ana",
        }

    async def run(self, *words: str) -> tuple[int, str, str]:
        """Return exit code, standard output, standard error."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "holdfast.cli.main", *words),
            env=self._env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 90)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def stack(tmp_path: Path, nats_server: NatsServer, temporal_server: TemporalServer) -> AsyncIterator[Stack]:
    """A worker on a real Temporal."""
    client = await Client.connect(temporal_server.plan.address, data_converter=pydantic_data_converter)
    await ensure_namespace(client, timedelta(days=7))
    async with (
        buses.connected(nats_server) as bus,
        durable.stack(client, bus, durable.config(tmp_path), {}) as running,
    ):
        yield running


@pytest.fixture
def shell(nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path) -> Shell:
    """The command line."""
    return Shell(nats_server, temporal_server, tmp_path)


async def test_look_first_then_do_it_and_see_how_it_went(stack: Stack, shell: Shell) -> None:
    """--dry-run counts and touches nothing; --yes redrives each once and ends with the page; asked again, nothing."""
    await open_cases(stack.client, stack.sink.url, range(600, 612), source="told")
    which = ("--source", "told", "--where", 'case.event_id != "bulk-600"')
    code, out, err = await shell.run("dead-letters", "redrive", *which, "--dry-run")
    assert (code, out.splitlines()[0].endswith(": 11")) == (0, True), out + err
    assert "11  open, gone, target.refused" in out
    assert "gone/told/bulk-611" in out
    assert not received(stack.sink)
    code, out, err = await shell.run("dead-letters", "redrive", *which)
    assert (code, "--yes" in err, received(stack.sink)) == (1, True, {}), err  # nobody can be asked here
    code, out, err = await shell.run("dead-letters", "redrive", *which, "--yes", "--id", "told-1", "--rate", "100/s")
    assert code == 0, out + err
    assert "told-1: done" in out
    assert "11 counted; 11 done, 0 failed" in out
    assert set(received(stack.sink).values()) == {1}
    code, out, err = await shell.run("dead-letters", "redrive", *which, "--yes", "--id", "told-1", "--json")
    assert (code, json.loads(out)["tally"]["done"], "was started before" in err) == (0, 11, True)
    assert sum(received(stack.sink).values()) == 11


async def test_it_goes_on_by_itself_and_is_steered(stack: Stack, shell: Shell) -> None:
    """--detach leaves at once; bulk shows it, pauses and cancels it; what does not exist is exit code 1."""
    await open_cases(stack.client, stack.sink.url, range(700, 720), source="steer")
    words = ("dead-letters", "acknowledge", "--source", "steer", "--yes", "--detach", "--rate", "1/s", "--id", "slow")
    code, _, err = await shell.run(*words)
    assert (code, "holdfast bulk show slow" in err) == (0, True), err
    assert (await shell.run("bulk", "pause", "slow", "--reason", "lunch"))[0] == 0
    assert await _is(shell, "slow", "paused")
    assert (await shell.run("bulk", "cancel", "slow"))[0] == 0
    assert await _is(shell, "slow", "cancelled")

    async def listed() -> bool:
        found = json.loads((await shell.run("bulk", "list", "--json"))[1])
        return ("slow", "cancelled") in [(one["id"], one["state"]) for one in found]

    await assert_eventually(listed, 40)
    code, _, err = await shell.run("bulk", "show", "none-such")
    assert (code, "not_found" in err) == (1, True), err


async def test_a_short_list_says_how_many_there_are(stack: Stack, shell: Shell) -> None:
    """The page is as long as asked for, says of how many, and goes on without a gap whatever the page."""
    await open_cases(stack.client, stack.sink.url, range(800, 830), source="long")
    code, out, err = await shell.run("dead-letters", "list", "--source", "long", "--limit", "7")
    assert (code, out.count("gone/long/bulk-"), "7 of 30 shown" in err) == (0, 7, True), err
    after = err.split("--after ")[1].split()[0]
    words = ("dead-letters", "list", "--source", "long", "--after", after, "--json")
    code, rest, _ = await shell.run(*words, "--limit", "3")
    ids = [one["id"] for one in json.loads(rest)]
    code, rest, _ = await shell.run(*words)
    assert [one["id"] for one in json.loads(rest)][:3] == ids
    assert len(json.loads(rest)) == 23
    assert not [one["id"] for one in json.loads(rest) if one["id"] in out]


async def _is(shell: Shell, name: str, phase: str) -> bool:
    async def there() -> bool:
        return f"{name}: {phase}" in (await shell.run("bulk", "show", name))[1]

    await assert_eventually(there, 60, f"{name} is {phase}")
    return True
