import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from nats.aio.client import Client

from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.publish import EventPublisher, publish_dead_letter
from holdfast.bus.streams import EVENTS, MAX_MESSAGE
from holdfast.bus.topology import ensure_streams, verify_fsync
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.domain.deadletters import Stage
from holdfast.domain.events import Envelope
from holdfast.domain.streams import BusConfig
from holdfast.errors import ErrorCode, RejectedInput, Unavailable
from tests import servers
from tests.buses import SOON, connected, settings_for
from tests.conftest import assert_eventually

pytestmark = pytest.mark.integration


@pytest.fixture
async def bus(nats_server: servers.NatsServer) -> AsyncIterator[Bus]:
    """A connected bus with empty streams."""
    async with connected(nats_server) as bus:
        yield bus


def envelope(event_id: str = "e-1", body: str = "{}") -> Envelope:
    """One event of the source `orders`."""
    now = datetime.now(UTC)
    return Envelope(
        id=event_id,
        source="orders",
        type="order.created",
        time=now,
        received_at=now,
        body=body,
        body_sha256=ids.sha256_hex(body.encode()),
    )


async def test_a_stored_event_is_a_duplicate_the_second_time(bus: Bus) -> None:
    """The same identity is stored once, and the repeat is told the first one's place."""
    publisher = EventPublisher(bus)
    first = await publisher.publish_event(envelope(), timeout=SOON)
    again = await publisher.publish_event(envelope(), timeout=SOON)
    assert (first.stream, first.duplicate) == (EVENTS, False)
    assert again.duplicate
    assert again.sequence == first.sequence


async def test_the_size_limit_counts_headers_and_keeps_the_connection(bus: Bus) -> None:
    """One byte too many is refused before it is sent, the largest that fits is stored, the client stays."""
    publisher = EventPublisher(bus)
    client = bus.client
    overhead = len(envelope().encode()) - 2
    header = len("NATS/1.0\r\n\r\n") + len("Nats-Msg-Id: \r\n") + 32 + len(f"Nats-Expected-Stream: {EVENTS}\r\n")
    fits = MAX_MESSAGE - header - overhead
    stored = await publisher.publish_event(envelope("e-1", "x" * fits), timeout=SOON)
    assert stored.sequence == 1
    with pytest.raises(RejectedInput) as refused:
        await publisher.publish_event(envelope("e-2", "x" * (fits + 1)), timeout=SOON)
    assert refused.value.code == ErrorCode.REQUEST_TOO_LARGE
    assert bus.client is client


async def test_a_full_stream_is_unavailable_and_not_evicting(nats_server: servers.NatsServer) -> None:
    """When EVENTS is full the publisher hears `bus.full`, and nothing that was stored is lost."""
    base = BusConfig.model_validate({"streams": {"events": {"max_bytes": 16_777_216}}})
    async with connected(nats_server, base) as bus:
        publisher, stored = EventPublisher(bus), 0
        with pytest.raises(Unavailable) as full:  # noqa: PT012 - which of the hundred fails is the server's to say
            for number in range(100):
                await publisher.publish_event(envelope(f"e-{number}", "x" * 1_000_000), timeout=SOON)
                stored += 1
        assert full.value.code == ErrorCode.BUS_FULL
        assert (await bus.jetstream.stream_info(EVENTS)).state.messages == stored > 0


async def test_a_frozen_server_times_out_and_leaks_nothing(tmp_path: Path) -> None:
    """A silent server is an unknown outcome within the timeout, and the request is forgotten."""
    with servers.nats(tmp_path) as server:
        async with connected(server) as bus:
            publisher = EventPublisher(bus)
            await publisher.publish_event(envelope("before"), timeout=SOON)
            server.send(signal.SIGSTOP)
            with pytest.raises(Unavailable) as silent:
                await publisher.publish_event(envelope("lost?"), timeout=timedelta(milliseconds=300))
            assert silent.value.code == ErrorCode.BUS_TIMEOUT
            assert publisher._publisher._requests.in_flight == 0
            server.send(signal.SIGCONT)
            again = await publisher.publish_event(envelope("lost?"), timeout=SOON)
            assert again.duplicate  # it had arrived after all


async def test_a_killed_server_refuses_at_once_and_comes_back(tmp_path: Path) -> None:
    """Without a server nothing is buffered: refused at once; with one again, stored."""
    with servers.nats(tmp_path) as server:
        async with connected(server) as bus:
            publisher = EventPublisher(bus)
            await publisher.publish_event(envelope("before"), timeout=SOON)
            server.kill()
            await assert_eventually(lambda: _is(not bus.is_connected))
            with pytest.raises(Unavailable) as away:
                async with asyncio.timeout(0.1):
                    await publisher.publish_event(envelope("refused"), timeout=SOON)
            assert away.value.code == ErrorCode.BUS_UNAVAILABLE
            server.start()
            await bus.connected(timedelta(seconds=10))
            assert (await publisher.publish_event(envelope("refused"), timeout=SOON)).duplicate is False


async def test_a_client_closed_for_good_is_rebuilt(bus: Bus) -> None:
    """What nats-py gives up, the bus builds anew within five seconds, and the publisher follows."""
    publisher = EventPublisher(bus)
    await publisher.publish_event(envelope("one"), timeout=SOON)
    old: Client = bus.client
    await old._process_err("'maximum payload violation'")
    await assert_eventually(lambda: _is(bus.is_connected and bus.client is not old), within=5)
    assert (await publisher.publish_event(envelope("two"), timeout=SOON)).sequence == 2


async def test_start_returns_while_nats_is_away(tmp_path: Path) -> None:
    """A process starts without its bus, says that it is not connected, and connects when the bus appears."""
    with servers.nats(tmp_path) as server:
        server.kill()
        bus = Bus.from_settings(settings_for(server), "test")
        await bus.start()
        try:
            with pytest.raises(Unavailable) as away:
                await bus.connected(timedelta(milliseconds=100))
            assert away.value.code == ErrorCode.BUS_UNAVAILABLE
            server.start()
            await bus.connected(timedelta(seconds=10))
        finally:
            await bus.close()


async def test_limits_change_in_place_and_other_drift_is_named(bus: Bus) -> None:
    """A new max_bytes is applied; a stream that evicts what it should keep is refused by name of the field."""
    await ensure_streams(bus, BusConfig.model_validate({"streams": {"events": {"max_bytes": 33_554_432}}}))
    config = (await bus.jetstream.stream_info(EVENTS)).config
    assert config.max_bytes == 33_554_432
    await bus.jetstream.delete_stream(EVENTS)
    await bus.jetstream.add_stream(name=EVENTS, subjects=["events.>"], retention="workqueue", num_replicas=1)
    with pytest.raises(Unavailable) as drift:
        await ensure_streams(bus, BusConfig())
    assert drift.value.code == ErrorCode.BUS_MISCONFIGURED
    assert "retention" in drift.value.message
    assert "subjects" in drift.value.message


async def test_ensuring_twice_changes_nothing(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    """What was created as planned has no drift, so nothing is updated."""
    await ensure_streams(bus, BusConfig())
    assert "bus.stream_updated" not in caplog.messages


async def test_fsync_is_verified_on_the_server(tmp_path: Path, bus: Bus, nats_server: servers.NatsServer) -> None:
    """A server that syncs passes; one that does not is refused, and so is one that cannot be asked."""
    await verify_fsync(bus, settings_for(nats_server), BusConfig())
    with pytest.raises(Unavailable) as unseen:
        await verify_fsync(bus, settings_for(nats_server).model_copy(update={"nats_monitor_url": None}), BusConfig())
    assert "NATS_MONITOR_URL" in unseen.value.message
    with servers.nats(tmp_path, sync_always=False) as lazy:
        with pytest.raises(Unavailable) as unsynced:
            await verify_fsync(bus, settings_for(lazy), BusConfig())
        assert unsynced.value.code == ErrorCode.BUS_MISCONFIGURED
        await verify_fsync(bus, settings_for(lazy), BusConfig(dangerous_unsynced=True))


async def test_a_dead_letter_is_stored_once(bus: Bus) -> None:
    """Publishing the same record twice keeps one."""
    record = DeadLetterRecord(id="t/s/1", stage=Stage.FILTER, code="filter.failed", message="m", at=datetime.now(UTC))
    first = await publish_dead_letter(bus, record, timeout=SOON)
    again = await publish_dead_letter(bus, record, timeout=SOON)
    assert again.duplicate
    assert again.sequence == first.sequence


async def _is(value: bool) -> bool:
    return value
