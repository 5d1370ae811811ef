"""Counting custody over twenty thousand events against two thousand in the same run: seconds per event and memory.

The deliveries lie on our task queue with nobody to work on them: visibility has them as it has every other.
"""

import asyncio
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from bench.stack import running
from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.publish import EventPublisher
from holdfast.bus.topology import ensure_streams
from holdfast.cli.clients import open_bus
from holdfast.contracts.delivery import DeliveryInput
from holdfast.domain.actions import DeliverySpec, LogAction
from holdfast.domain.events import Envelope
from holdfast.domain.retry import RetryPolicy
from holdfast.domain.streams import BusConfig
from holdfast.domain.triggers import DeadLetterConfig
from holdfast.embedded.stack import EmbeddedStack
from holdfast.settings.runtime import load_settings
from holdfast.temporal.namespace import ensure_namespace
from holdfast.temporal.starts import start_delivery

FEW, MANY = 2_000, 20_000
TOGETHER = 64
SOON = timedelta(seconds=10)
Row = tuple[str, str, str, str]


async def custody() -> list[Row]:
    """Count both numbers of events on one stack."""
    async with running("http://127.0.0.1:9", "nats", "temporal") as stack:
        client = await Client.connect(stack.temporal_address, data_converter=pydantic_data_converter)
        await ensure_namespace(client, timedelta(days=7))
        async with open_bus(load_settings(stack.config, stack.data_dir)) as bus:
            await ensure_streams(bus, BusConfig())
            await _fill(client, bus, 0, FEW)
            few = await asyncio.to_thread(_count, stack, FEW)
            await _fill(client, bus, FEW, MANY)
            many = await asyncio.to_thread(_count, stack, MANY)
    return [
        (
            f"custody over {MANY} events",
            f"{many[0]:.1f} s, {many[1]:.0f} MiB",
            f"{FEW}: {few[0]:.1f} s, {few[1]:.0f} MiB",
            f"{(many[0] / MANY) / (few[0] / FEW):.2f} time per event, {many[1] / few[1]:.2f} memory",
        )
    ]


def _count(stack: EmbeddedStack, expected: int) -> tuple[float, float]:
    """Run the command; return its seconds and its peak memory in MiB."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "holdfast.cli.main", "custody", "--json"],
        env={**os.environ, "HOLDFAST_DATA_DIR": str(stack.data_dir), "HOLDFAST_CONFIG": str(stack.config)},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"custody over {expected} events ended with {process.returncode}: it does not add up")
    return time.monotonic() - began, usage.ru_maxrss / 1024


async def _fill(client: Client, bus: Bus, first: int, last: int) -> None:
    gate, publisher = asyncio.Semaphore(TOGETHER), EventPublisher(bus)

    async def one(number: int) -> None:
        async with gate:
            given = _delivery(number)
            stored = await publisher.publish_event(given.envelope, timeout=SOON)
            placed = given.model_copy(update={"stream": stored.stream, "sequence": stored.sequence})
            await start_delivery(client, placed)

    for start in range(first, last, 1_000):
        await asyncio.gather(*(one(number) for number in range(start, min(start + 1_000, last))))


def _delivery(number: int) -> DeliveryInput:
    now = datetime.now(UTC)
    envelope = Envelope(
        id=f"e-{number}",
        source="github",
        type="bench",
        time=now,
        received_at=now,
        datacontenttype="application/json",
        body="{}",
        body_sha256=ids.sha256_hex(b"{}"),
    )
    spec = DeliverySpec(
        trigger="bench",
        trigger_hash="0" * 16,
        action=LogAction(message="x"),
        retry=RetryPolicy(),
        dead_letter=DeadLetterConfig(),
    )
    return DeliveryInput(envelope=envelope, spec=spec)
