import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.bus.connect import Bus
from holdfast.bus.consume import Consumer, Message
from holdfast.bus.lookup import settled_up_to
from holdfast.bus.publish import EventPublisher
from holdfast.bus.retention import fill_of
from holdfast.bus.streams import DISPATCHER, EVENTS
from holdfast.bus.topology import ensure_consumer
from holdfast.domain.streams import BusConfig
from tests import servers
from tests.buses import SOON, connected
from tests.conftest import assert_eventually
from tests.workers import event
from workers.janitor import Janitor

pytestmark = pytest.mark.integration

SMALL = BusConfig.model_validate({"streams": {"events": {"max_bytes": 16_777_216, "archive_for": "1h"}}})
LATER = timedelta(hours=2)


@pytest.fixture
async def bus(nats_server: servers.NatsServer) -> AsyncIterator[Bus]:
    """A bus whose EVENTS is small, with the dispatcher's consumer."""
    async with connected(nats_server, SMALL) as bus:
        await ensure_consumer(bus, DISPATCHER)
        yield bus


async def settle(bus: Bus, up_to: int) -> None:
    """Acknowledge the messages up to a sequence, and keep the rest."""

    async def handle(message: Message) -> None:
        if message.sequence <= up_to:
            await message.ack()

    async def nothing() -> None:
        return

    consumer = Consumer(bus, DISPATCHER, handle=handle, slots=lambda: 32)
    task = asyncio.create_task(consumer.run(nothing, nothing))

    async def done() -> bool:
        return await settled_up_to(bus) == up_to

    await assert_eventually(done)
    await consumer.finish(SOON)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_old_and_settled_goes_and_what_is_not_settled_stays(bus: Bus) -> None:
    """However old they are, events past the dispatcher's ack floor keep their place."""
    publisher = EventPublisher(bus)
    for number in range(10):
        await publisher.publish_event(event(f"e-{number}"), timeout=SOON)
    janitor = Janitor(bus, lambda: SMALL.streams.events)
    assert await janitor.sweep(datetime.now(UTC) + LATER) == 1
    assert (await fill_of(bus, EVENTS)).messages == 10
    await settle(bus, up_to=6)
    assert await janitor.sweep(datetime.now(UTC)) == 1  # settled, but inside archive_for
    assert await janitor.sweep(datetime.now(UTC) + LATER) == 7
    fill = await fill_of(bus, EVENTS)
    assert (fill.first, fill.messages) == (7, 4)


async def test_a_stream_that_fills_up_gives_its_settled_events_early(bus: Bus) -> None:
    """Over 80 % full, settled events go before their time until it is 60 % full; unsettled ones never."""
    publisher = EventPublisher(bus)
    for number in range(14):
        await publisher.publish_event(event(f"e-{number}", "x" * 1_000_000), timeout=SOON)
    janitor = Janitor(bus, lambda: SMALL.streams.events)
    assert await janitor.sweep(datetime.now(UTC)) == 1
    await settle(bus, up_to=14)
    await janitor.sweep(datetime.now(UTC))
    fill = await fill_of(bus, EVENTS)
    assert 0.5 < fill.bytes / fill.max_bytes < 0.7
    assert fill.last == 14
