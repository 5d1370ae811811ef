"""Each policy under overload, through a real gateway: what is answered, what is kept, what is counted."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from holdfast.bus.connect import Bus
from holdfast.bus.consume import Consumer, Message
from holdfast.bus.lookup import find_event, last_of
from holdfast.bus.publish import EventPublisher
from holdfast.bus.retention import backlog_of, fill_of
from holdfast.bus.streams import EVICTIONS, Evicted, dispatcher_of, evictions_subject
from holdfast.bus.topology import ensure_streams, plan_streams
from holdfast.domain.events import decode_envelope
from holdfast.domain.streams import BusConfig
from holdfast.errors import ErrorCode, Unavailable
from holdfast.telemetry.metrics import Metrics
from tests.buses import SOON, connected, settings_for
from tests.conftest import assert_eventually
from tests.gateways import Running, serving
from tests.servers import NatsServer
from tests.workers import event
from workers.evictions import Evictions

pytestmark = pytest.mark.integration

BODY = "x" * 100_000
POSTS = 30  # of 100 kB each, into 2 MiB
YAML = """version: 1
gateway: {{on_unavailable: reject}}
sources:
  loud: {{dangerous_unverified: true, stream: own, event: {{id: event.data.id}}}}
  calm: {{dangerous_unverified: true, event: {{id: event.data.id}}}}
bus:
  streams:
    own: {{preset: {preset}, max_bytes: 2MiB}}
"""
STREAM = "EVENTS-own"


async def post(running: Running, number: int, source: str = "loud") -> int:
    """POST one event; return the status."""
    body = json.dumps({"id": f"e-{number}", "pad": BODY})
    headers = {"content-type": "application/json"}
    return (await running.http.post(f"/hooks/{source}", content=body, headers=headers)).status_code


def config(preset: str) -> BusConfig:
    """Return the bus with one stream of its own, of 2 MiB."""
    return BusConfig.model_validate({"streams": {"own": {"preset": preset, "max_bytes": "2MiB"}}})


async def take(server: NatsServer, watch: Evictions | None = None) -> list[str]:
    """Acknowledge everything as a dispatcher does, on a connection of its own; return the ids in their order."""
    got: list[str] = []

    async def handle(message: Message) -> None:
        got.append(decode_envelope(message.data).id)
        await message.ack()

    async def at_once() -> None:
        return

    bus = Bus.from_settings(settings_for(server), "taker")  # its end takes back a pull that is out
    await bus.start()
    await bus.connected(SOON)
    consumer = Consumer(bus, dispatcher_of(STREAM), handle=handle, slots=lambda: 8, watch=watch)
    task = asyncio.create_task(consumer.run(at_once, at_once))

    async def nothing_left() -> bool:
        left = await backlog_of(bus, dispatcher_of(STREAM))
        return not consumer.in_flight and left.pending == left.ack_pending == 0

    await assert_eventually(nothing_left)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await bus.close()
    return got


@pytest.mark.parametrize("preset", ["default", "transactions", "tasks"])
async def test_a_full_stream_refuses_and_keeps_every_event_it_answered_2xx(
    nats_server: NatsServer, tmp_path: Path, preset: str
) -> None:
    """Full is 503 for its own sources only; every 202 is there, in order; space comes back by settling alone."""
    async with connected(nats_server) as bus, serving(nats_server, tmp_path, YAML.format(preset=preset)) as running:
        statuses = [await post(running, number) for number in range(POSTS)]
        assert set(statuses) == {202, 503}
        accepted = [f"e-{number}" for number, status in enumerate(statuses) if status == 202]
        assert await post(running, 0, "calm") == 202  # another stream has its own space
        assert (await fill_of(bus, STREAM)).messages == len(accepted)
        assert await Evictions(bus, STREAM, Metrics()).look() == 0
        assert sorted(await take(nats_server)) == sorted(accepted)
        after = await fill_of(bus, STREAM)
        if preset == "default":
            assert after.messages == len(accepted)  # an archive until the janitor comes
        else:
            assert after.messages == 0
            assert await post(running, POSTS) == 202


async def test_telemetry_takes_everything_and_counts_what_it_evicts(nats_server: NatsServer, tmp_path: Path) -> None:
    """Nothing is refused; what no worker saw is counted and named once, also by a worker that was down meanwhile."""
    metrics = Metrics()
    async with (
        connected(nats_server) as bus,
        serving(nats_server, tmp_path, YAML.format(preset="telemetry")) as running,
    ):
        statuses = Counter([await post(running, number) for number in range(POSTS)])
        assert statuses == {202: POSTS}
        kept = (await fill_of(bus, STREAM)).messages
        assert 0 < kept < POSTS
        watch = Evictions(bus, STREAM, metrics)
        assert await watch.look() == POSTS - kept
        assert await Evictions(bus, STREAM, metrics).look() == 0  # a second worker, or this one after a restart
        got = await take(nats_server, watch)
        assert got == [f"e-{number}" for number in range(POSTS - kept, POSTS)]
        assert await watch.look() == 0
        last = await last_of(bus, EVICTIONS, evictions_subject(STREAM))
        assert last is not None
        record = Evicted.model_validate_json(last.data)
        assert (record.first, record.last, record.count) == (1, POSTS - kept, POSTS - kept)
        assert f'holdfast_bus_evicted_total{{stream="{STREAM}"}} {POSTS - kept}' in metrics.exposition()[0].decode()


async def test_evictions_between_two_looks_are_seen_at_the_pull(nats_server: NatsServer) -> None:
    """A jump between two messages is counted exactly, though the server's own state has forgotten it."""
    async with connected(nats_server, config("telemetry")) as bus:
        publisher = EventPublisher(bus, lambda _: STREAM)
        watch = Evictions(bus, STREAM, Metrics())
        await publisher.publish_event(event("before"), timeout=SOON)
        assert await take(nats_server, watch) == ["before"]
        for number in range(POSTS):
            await publisher.publish_event(event(f"e-{number}", BODY), timeout=SOON)
        got = await take(nats_server, watch)
        assert await watch.look() == POSTS - len(got) > 0


async def test_one_that_was_handed_back_and_evicted_is_counted(nats_server: NatsServer) -> None:
    """What waits to be delivered again and is evicted before was not processed."""
    async with connected(nats_server, config("telemetry")) as bus:
        watch = Evictions(bus, STREAM, Metrics())
        publisher = EventPublisher(bus, lambda _: STREAM)
        await publisher.publish_event(event("poor"), timeout=SOON)
        watch.handed_back(1)
        for number in range(POSTS):
            await publisher.publish_event(event(f"e-{number}", BODY), timeout=SOON)
        first = (await fill_of(bus, STREAM)).first
        assert await watch.look() >= first - 1


async def test_limits_change_in_place_and_retention_does_not(nats_server: NatsServer) -> None:
    """A smaller limit evicts nothing where that is promised; another retention is refused with the steps."""
    async with connected(nats_server, config("default")) as bus:
        publisher = EventPublisher(bus, lambda _: STREAM)
        for number in range(15):
            await publisher.publish_event(event(f"e-{number}", BODY), timeout=SOON)
        smaller = {"max_bytes": "1MiB", "max_msg_size": "512KiB", "duplicate_window": "1m", "max_msgs": 10}
        await ensure_streams(bus, BusConfig.model_validate({"streams": {"own": smaller}}))
        assert (await fill_of(bus, STREAM)).messages == 15
        with pytest.raises(Unavailable) as full:
            await publisher.publish_event(event("one-more"), timeout=SOON)
        assert full.value.code == ErrorCode.BUS_FULL
        wanted = config("tasks")
        assert [c.stream for c in await plan_streams(bus, wanted) if c.action == "refuse"] == [STREAM]
        with pytest.raises(Unavailable, match=r"retention is limits, planned workqueue.*own-2") as refused:
            await ensure_streams(bus, wanted)
        assert refused.value.code == ErrorCode.BUS_MISCONFIGURED
        assert (await fill_of(bus, STREAM)).messages == 15
        changes = {c.stream: c.action for c in await plan_streams(bus, BusConfig())}
        assert changes[STREAM] == "drain"
        found = await find_event(bus, "orders", "e-3")
        assert found is not None
        assert found.stream == STREAM
