"""A real worker inside the test's own loop, with its configuration written for the test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from temporalio.client import Client

from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.domain.events import Envelope
from holdfast.settings.file import load_config
from holdfast.settings.process import ProcessSettings
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal.connect import connect
from tests.buses import SOON, delete_streams, settings_for
from tests.conftest import assert_eventually
from tests.servers import NatsServer, TemporalServer
from workers.worker import WorkerProcess

YAML = """
version: 1
sources:
  orders: {dangerous_unverified: true}
  plain: {dangerous_unverified: true}
triggers:
  note:
    on: orders
    when: event.data.wanted == true
    run: {log: {message: event.id}}
  broken:
    on: orders
    when: event.data.broken / 0 == 1
    run: {log: {message: event.id}}
  large:
    on: orders
    when: event.data.wanted == "large"
    run: {workflow: Theirs, task_queue: theirs, args: [event, event]}
"""

# a sweep by the clock would find what other tests left on the same servers
SELDOM = "\nsweeper: {every: 1d, custody_every: 6d}\n"


def settings_of(nats: NatsServer, temporal: TemporalServer) -> ProcessSettings:
    """Process settings that point at a test's servers, with free ports for the worker."""
    return settings_for(nats, temporal_address=temporal.plan.address, worker_ops_port=0)


async def temporal_client(temporal: TemporalServer, nats: NatsServer) -> Client:
    """A client as Holdfast makes it."""
    return await connect(settings_of(nats, temporal))


@contextlib.asynccontextmanager
async def working(settings: ProcessSettings, directory: Path, yaml: str = YAML) -> AsyncIterator[WorkerProcess]:
    """Run a worker while the block runs; its streams are those that are there."""
    file = directory / "holdfast.yaml"
    file.write_text(yaml if "sweeper:" in yaml else yaml + SELDOM)
    process, stop = WorkerProcess(settings, load_config(file), Metrics()), asyncio.Event()
    task = asyncio.create_task(process.serve(stop))
    try:
        yield process
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await task


@contextlib.asynccontextmanager
async def fresh_bus(settings: ProcessSettings) -> AsyncIterator[Bus]:
    """Yield a connected bus, the streams of earlier tests removed."""
    bus = Bus.from_settings(settings, "test")
    await bus.start()
    try:
        await bus.connected(SOON)
        await delete_streams(bus)
        yield bus
    finally:
        await bus.close()


async def ready(process: WorkerProcess, within: float = 20) -> None:
    """Wait until the worker says that it is ready."""

    async def is_ready() -> bool:
        return not process.reasons()

    await assert_eventually(is_ready, within, str(process.reasons()))


def event(event_id: str, body: str = '{"wanted": true}', source: str = "orders") -> Envelope:
    """One accepted event."""
    now = datetime.now(UTC)
    return Envelope(
        id=event_id,
        source=source,
        type="order.created",
        time=now,
        received_at=now,
        datacontenttype="application/json",
        body=body,
        body_sha256=ids.sha256_hex(body.encode()),
    )


async def count(client: Client, query: str) -> int:
    """How many workflows match."""
    return (await client.count_workflows(query)).count
