"""holdfast.yaml changes while webhooks come: all or nothing, and no event is lost."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from holdfast.bus.lookup import find_event
from holdfast.bus.publish import EventPublisher
from holdfast.bus.retention import fill_of
from holdfast.bus.streams import EVENTS
from tests import gateways
from tests.buses import SOON, connected
from tests.conftest import assert_eventually
from tests.gateways import Running, serving
from tests.servers import NatsServer, TemporalServer
from tests.workers import event, fresh_bus, ready, settings_of, temporal_client, working

pytestmark = pytest.mark.integration

FIRST = """version: 1
gateway: {on_unavailable: reject}
sources:
  a: {dangerous_unverified: true, event: {id: event.data.id}}
"""
OWN = "bus: {streams: {own: {preset: tasks, max_bytes: 4MiB}}}\n"
SECOND = FIRST + "  b: {dangerous_unverified: true, stream: own}\n" + OWN
WRONG = FIRST + "  c: {dangerous_unverfied: true}\n"
UNREADABLE = FIRST + '  c: {verify: {preset: github, secrets: ["file:not-there"]}}\n'


def put(file: Path, text: str) -> None:
    """Replace a file in one step, as editors and ConfigMaps do."""
    other = file.with_suffix(".new")
    other.write_text(text)
    other.replace(file)


async def post(running: Running, source: str, event_id: str) -> int:
    """POST one event; return the status."""
    body = json.dumps({"id": event_id})
    headers = {"content-type": "application/json"}
    return (await running.http.post(f"/hooks/{source}", content=body, headers=headers)).status_code


async def config_of(running: Running) -> dict[str, Any]:
    """Return what the gateway says of its configuration."""
    found: dict[str, Any] = (await running.ops.get("/healthz/ready")).json()["config"]
    return found


def states(running: Running, state: str) -> Callable[[], Awaitable[bool]]:
    """Return whether the configuration is `current` or `stale`."""

    async def is_so() -> bool:
        return bool((await config_of(running))["state"] == state)

    return is_so


async def test_a_changed_file_is_taken_whole_while_webhooks_come(nats_server: NatsServer, tmp_path: Path) -> None:
    """A new source and its stream are there, and every event answered 2xx meanwhile is on the bus."""
    async with connected(nats_server) as bus, serving(nats_server, tmp_path, FIRST) as running:
        before, stop = await config_of(running), asyncio.Event()
        statuses: list[int] = []

        async def traffic() -> None:
            while not stop.is_set():
                statuses.append(await post(running, "a", f"e-{len(statuses)}"))

        sending = asyncio.create_task(traffic())
        assert await post(running, "b", "x") == 404
        put(tmp_path / "holdfast.yaml", SECOND)

        async def known() -> bool:
            return await post(running, "b", "x") == 202

        await assert_eventually(known)
        stop.set()
        await sending
        assert set(statuses) == {202}
        assert (await fill_of(bus, EVENTS)).messages == len(statuses)
        assert (await fill_of(bus, "EVENTS-own")).messages == 1
        after = await config_of(running)
        assert after["state"] == "current"
        assert after["hash"] != before["hash"]
        metrics = (await running.ops.get("/metrics")).text
        assert f'holdfast_config_info{{hash="{after["hash"]}"}} 1' in metrics
        assert before["hash"] not in metrics
        document = (await running.http.get("/openapi.json")).text
        assert "/hooks/b" in document


@pytest.mark.parametrize("bad", [WRONG, UNREADABLE, "version: 1\nsources: [", ""])
async def test_a_bad_file_changes_nothing_and_is_said(nats_server: NatsServer, tmp_path: Path, bad: str) -> None:
    """The old configuration stays in force, the gateway stays ready, and says that it is stale until it is mended."""
    async with connected(nats_server), serving(nats_server, tmp_path, FIRST) as running:
        before = await config_of(running)
        put(tmp_path / "holdfast.yaml", bad)
        await assert_eventually(states(running, "stale"))
        assert (await config_of(running))["hash"] == before["hash"]
        assert await post(running, "a", "still") == 202
        assert await post(running, "c", "never") == 404
        metrics = (await running.ops.get("/metrics")).text
        assert "holdfast_config_stale 1" in metrics
        assert 'holdfast_config_reloads_total{outcome="refused"} 1' in metrics
        put(tmp_path / "holdfast.yaml", FIRST + "  c: {dangerous_unverified: true}\n")
        await assert_eventually(states(running, "current"))
        assert await post(running, "c", "now") == 202


async def test_a_stream_that_cannot_be_changed_refuses_the_whole_file(nats_server: NatsServer, tmp_path: Path) -> None:
    """Nothing of a file is taken whose streams cannot be made; what takes a restart is named and the rest taken."""
    async with connected(nats_server), serving(nats_server, tmp_path, SECOND) as running:
        put(tmp_path / "holdfast.yaml", SECOND.replace("tasks", "transactions").replace("b:", "d:"))
        await assert_eventually(states(running, "stale"))
        assert "retention" in (await config_of(running))["reason"]
        assert await post(running, "d", "x") == 404
        put(tmp_path / "holdfast.yaml", SECOND.replace("reject", "spool").replace("b:", "d:"))
        await assert_eventually(states(running, "current"))
        assert (await config_of(running))["needs_restart"] == ["gateway"]
        assert await post(running, "d", "x") == 202


async def test_a_secret_is_read_again_when_asked(nats_server: NatsServer, tmp_path: Path) -> None:
    """SIGHUP reads what `file:` and `env:` refer to, though the file itself is the same."""
    async with connected(nats_server), serving(nats_server, tmp_path) as running:
        (tmp_path / "github.secret").write_text("another")
        headers = gateways.github_headers(b"{}", "d-2", secret="another")
        assert (await running.http.post("/hooks/github", content=b"{}", headers=headers)).status_code == 401
        running.gateway.live.ask()

        async def taken() -> bool:
            return (await running.http.post("/hooks/github", content=b"{}", headers=headers)).status_code == 202

        await assert_eventually(taken)


WORKER = (
    """
version: 1
sources:
  orders: {dangerous_unverified: true, stream: STREAM}
triggers:
  TRIGGER:
    on: orders
    run: {log: {message: event.id}}
"""
    + OWN
)


async def outcome(client: Client, workflow_id: str) -> str:
    """Wait until a delivery exists, and for how it ends."""

    async def exists() -> bool:
        try:
            await client.get_workflow_handle(workflow_id).describe()
        except RPCError:
            return False
        return True

    await assert_eventually(exists)
    return str((await client.get_workflow_handle(workflow_id).result())["outcome"])


async def test_a_worker_takes_new_triggers_and_streams(
    nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    """What comes after the change is delivered by the new trigger, from the new stream, without a restart."""
    settings = settings_of(nats_server, temporal_server)
    client = await temporal_client(temporal_server, nats_server)
    old = WORKER.replace("STREAM", "events").replace("TRIGGER", "one").replace(OWN, "")
    async with fresh_bus(settings) as bus, working(settings, tmp_path, old) as process:
        await ready(process)
        first = event(f"first-{tmp_path.name}")
        await EventPublisher(bus).publish_event(first, timeout=SOON)
        assert await outcome(client, f"one/orders/{first.id}") == "delivered"
        put(tmp_path / "holdfast.yaml", WORKER.replace("STREAM", "own").replace("TRIGGER", "two"))

        async def taken() -> bool:
            return "two" in process.live.config.triggers

        await assert_eventually(taken)
        second = event(f"second-{tmp_path.name}")
        await EventPublisher(bus, lambda _: "EVENTS-own").publish_event(second, timeout=SOON)

        async def gone() -> bool:
            return (await fill_of(bus, "EVENTS-own")).messages == 0

        await assert_eventually(gone)
        assert await outcome(client, f"two/orders/{second.id}") == "delivered"
        assert await find_event(bus, "orders", first.id) is not None
