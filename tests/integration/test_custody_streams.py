"""The custody report, the sweeper's look at the bus and replay know every stream of events, whatever its policy."""

import json
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from activities.custody import CustodyCount
from activities.sweep_bus import BusSweep
from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.lookup import find_event
from holdfast.bus.publish import EventPublisher
from holdfast.bus.retention import backlog_of, fill_of
from holdfast.bus.streams import dispatcher_of, subject_for
from holdfast.bus.topology import ensure_streams
from holdfast.clock import SystemClock
from holdfast.contracts.custody import CustodyInput, CustodyReport, SourceCount
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.moves import RedriveInput
from holdfast.domain.deadletters import Stage
from holdfast.domain.events import Envelope
from holdfast.domain.streams import BusConfig
from holdfast.domain.sweeping import FindingKind
from holdfast.settings.file import load_config
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal.cases import redrive
from holdfast.temporal.starts import start_case
from tests.buses import SOON
from tests.conftest import assert_eventually
from tests.integration.test_custody import fresh, holdfast
from tests.servers import NatsServer, TemporalServer
from tests.workers import event, fresh_bus, ready, settings_of, temporal_client, working

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

OWN = "EVENTS-own"
YAML = """version: 1
sources:
  orders: {{dangerous_unverified: true, stream: own}}
  plain: {{dangerous_unverified: true, stream: own}}
triggers:
  note:
    on: orders
    when: event.data.wanted == true
    run: {{log: {{message: event.id}}}}
  broken:
    on: orders
    when: event.data.broken / 0 == 1
    run: {{log: {{message: event.id}}}}
bus:
  streams:
    own: {{preset: {preset}, max_bytes: {size}}}
"""


def bus_config(preset: str, size: str = "2MiB") -> BusConfig:
    """The bus with a stream of its own."""
    return BusConfig.model_validate({"streams": {"own": {"preset": preset, "max_bytes": size}}})


async def publish(bus: Bus, *events: Envelope) -> None:
    """Put events into the stream of their own, as the gateway does."""
    for one in events:
        await EventPublisher(bus, lambda _: OWN).publish_event(one, timeout=SOON)


async def settled(bus: Bus) -> bool:
    """Whether the dispatcher has nothing before it."""
    left = await backlog_of(bus, dispatcher_of(OWN))
    return left.pending == left.ack_pending == 0


def counted_by(bus: Bus, directory: Path) -> CustodyCount:
    """The count, with the test's own connection."""
    return CustodyCount(bus, load_config(directory / "holdfast.yaml"), Metrics(), SystemClock())


@pytest.mark.parametrize("preset", ["tasks", "transactions"])
async def test_events_that_their_stream_deleted_are_accounted_by_what_they_left(
    nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path, preset: str
) -> None:
    """Delivered, dead-lettered and unmatched events are received events too, though none lies there any more."""
    settings, began = settings_of(nats_server, temporal_server), datetime.now(UTC)
    client = await temporal_client(temporal_server, nats_server)
    async with fresh_bus(settings) as bus:
        await ensure_streams(bus, bus_config(preset))
        async with working(settings, tmp_path, YAML.format(preset=preset, size="2MiB")) as process:
            await ready(process)
            await publish(bus, *(event(fresh("wanted")) for _ in range(5)))
            await publish(bus, *(event(fresh("broken"), '{"broken": 1}') for _ in range(2)))
            await publish(bus, *(event(fresh("no"), source="plain") for _ in range(3)))
            await bus.jetstream.publish(subject_for("orders", "x", OWN), b"no event at all")
            await assert_eventually(lambda: settled(bus))
            assert (await fill_of(bus, OWN)).messages == 0
            found: list[CustodyReport] = []

            async def whole() -> bool:
                found.append(await counted_by(bus, tmp_path).count(client, CustodyInput(since=began)))
                return found[-1].total.delivered == 5

            await assert_eventually(whole)
            said = await holdfast(settings, tmp_path, "replay", "--source", "orders", "--since", "1h", "--dry-run")
        report = found[-1]
        sources = {one.source: one for one in report.sources}
        assert sources["plain"] == SourceCount(source="plain", received=3, unmatched=3)
        assert sources["orders"].received == 7 + sources["orders"].repeated
        assert report.total.dead_lettered == 3  # a stray has no source, whatever its subject said
        assert (report.total.received, report.adds_up) == (11, True)
        line = next(one for one in report.streams if one.stream == OWN)
        assert (line.removed, line.unnamed, line.evicted) == (11, 0, 0)
        assert f"{OWN} deletes an event as soon as it is settled" in said.output.replace("\n", " ")


async def test_a_message_that_nothing_names_is_only_counted(
    nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    """Acknowledged by a stranger and deleted by its stream: nobody can name it, and the report says so."""
    settings, began = settings_of(nats_server, temporal_server), datetime.now(UTC)
    client = await temporal_client(temporal_server, nats_server)
    (tmp_path / "holdfast.yaml").write_text(YAML.format(preset="tasks", size="2MiB"))
    async with fresh_bus(settings) as bus:
        await ensure_streams(bus, bus_config("tasks"))
        before = await counted_by(bus, tmp_path).count(client, CustodyInput(since=began))
        assert before.total.received == 0
        await publish(bus, event(fresh("first")), event(fresh("second")), event(fresh("third")))
        taken = await bus.jetstream.pull_subscribe_bind(dispatcher_of(OWN).name, OWN)
        first, second, third = await taken.fetch(3)
        await second.ack_sync()
        report = await counted_by(bus, tmp_path).count(client, CustodyInput(since=began))
        assert report.total == SourceCount(source="", received=3, in_flight=2, unnamed=1)
        assert SourceCount(source=f"~{OWN}", received=1, unnamed=1) in report.sources
        for message in (first, third):
            await message.ack_sync()


async def test_evicted_events_are_in_the_equation_by_sequence(
    nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    """What a full telemetry stream dropped unprocessed is counted as evicted and named by place, not unaccounted."""
    settings, began = settings_of(nats_server, temporal_server), datetime.now(UTC)
    client = await temporal_client(temporal_server, nats_server)
    sent, body = 40, json.dumps({"pad": "x" * 100_000})
    async with fresh_bus(settings) as bus:
        await ensure_streams(bus, bus_config("telemetry"))
        await publish(bus, *(event(fresh("loud"), body, "plain") for _ in range(sent)))
        fill = await fill_of(bus, OWN)
        lost = fill.first - 1
        assert 0 < lost < sent
        async with working(settings, tmp_path, YAML.format(preset="telemetry", size="2MiB")) as process:
            await ready(process)
            await assert_eventually(lambda: settled(bus))
            report = await counted_by(bus, tmp_path).count(client, CustodyInput(since=began))
        assert report.total == SourceCount(source="", received=sent, unmatched=sent - lost, evicted=lost)
        line = next(one for one in report.streams if one.stream == OWN)
        assert [(one.first, one.last, one.count) for one in line.evictions] == [(1, lost, lost)]
        assert report.adds_up


async def test_an_event_lost_in_a_stream_of_its_own_is_named_with_the_command_that_delivers_it(
    nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    """The report names stream and place; the command that it prints delivers the event, and then it adds up."""
    settings, began = settings_of(nats_server, temporal_server), datetime.now(UTC)
    client = await temporal_client(temporal_server, nats_server)
    async with fresh_bus(settings) as bus:
        await ensure_streams(bus, bus_config("default"))
        lost = event(fresh("lost"))
        await publish(bus, lost)
        taken = await bus.jetstream.pull_subscribe_bind(dispatcher_of(OWN).name, OWN)
        await (await taken.fetch(1))[0].ack_sync()
        async with working(settings, tmp_path, YAML.format(preset="default", size="2MiB")) as process:
            await ready(process)
            report = await counted_by(bus, tmp_path).count(client, CustodyInput(since=began))
            (named,) = report.unaccounted
            assert (named.stream, named.sequence, named.event_id) == (OWN, 1, lost.id)
            program, *words = shlex.split(named.remedy)
            assert program == "holdfast"
            done = await holdfast(settings, tmp_path, *words, "--yes", "--json")
            assert json.loads(done.stdout)["tally"]["done"] == 1, done.output
            replayed = ids.replay_id(ids.delivery_id("note", "orders", lost.id), "")
            await client.get_workflow_handle(replayed).result()
            found: list[CustodyReport] = []

            async def whole() -> bool:
                found.append(await counted_by(bus, tmp_path).count(client, CustodyInput(since=began)))
                return found[-1].adds_up

            await assert_eventually(whole)
        assert found[-1].total.delivered == 1


async def test_the_sweeper_looks_at_the_consumer_of_every_stream(
    nats_server: NatsServer, temporal_server: TemporalServer
) -> None:
    """A paused consumer, a waiting event and a missing consumer are named with their stream."""
    settings = settings_of(nats_server, temporal_server)
    client = await temporal_client(temporal_server, nats_server)
    now, day = timedelta(0), timedelta(days=1)
    async with fresh_bus(settings) as bus:
        await ensure_streams(bus, bus_config("default"))

        async def found(stuck_after: timedelta) -> list[tuple[FindingKind, str]]:
            sweep = BusSweep(client, bus, SystemClock(), stuck_after, day)
            those = [one async for one in sweep.findings(datetime.now(UTC)) if one is not None]
            return [(one.kind, one.detail) for one in those if OWN in one.detail]

        assert await found(now) == []
        await publish(bus, event(fresh("waits")))
        ((kind, detail),) = await found(now)
        assert (kind, f"message 1 of {OWN}" in detail) == (FindingKind.STRANDED, True)
        until = (datetime.now(UTC) + day).isoformat()
        asked = json.dumps({"pause_until": until}).encode()
        await bus.jetstream._nc.request(f"$JS.API.CONSUMER.PAUSE.{OWN}.dispatcher", asked)
        ((kind, detail),) = await found(day)
        assert (kind, "is paused until" in detail) == (FindingKind.CONSUMER, True)
        await bus.jetstream.delete_consumer(OWN, "dispatcher")
        ((kind, detail),) = await found(day)
        assert (kind, "a worker makes it again" in detail) == (FindingKind.CONSUMER, True)


async def test_replay_reads_every_stream_that_has_events_of_the_source(
    nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    """A source that moved to a stream of its own is replayed from both, each event once."""
    settings = settings_of(nats_server, temporal_server)
    client = await temporal_client(temporal_server, nats_server)
    yaml = YAML.format(preset="default", size="2MiB")
    async with fresh_bus(settings) as bus:
        await ensure_streams(bus, bus_config("default"))
        async with working(settings, tmp_path, yaml) as process:
            await ready(process)
            old, new = [event(fresh(name), "{}") for name in ("old", "older")], [event(fresh("new"), "{}")]
            for one in old:
                await EventPublisher(bus).publish_event(one, timeout=SOON)
            await publish(bus, *new)

            async def unwanted() -> bool:
                left = [await backlog_of(bus, dispatcher_of(stream)) for stream in (OWN, "EVENTS")]
                return all(one.pending == one.ack_pending == 0 for one in left)

            await assert_eventually(unwanted)
        async with working(
            settings, tmp_path, yaml.replace("event.data.wanted == true", "event.source == 'orders'")
        ) as process:
            await ready(process)
            words = ("replay", "--source", "orders", "--since", "1h", "--trigger", "note", "--yes", "--json")
            done = await holdfast(settings, tmp_path, *words, "--id", fresh("both"))
            progress = json.loads(done.stdout)
            assert (progress["survey"]["count"], progress["tally"]["done"]) == (3, 3), done.output
            assert progress["survey"]["ends"] == {"EVENTS": 2, OWN: 1}
            for one in (*old, *new):
                replayed = ids.replay_id(ids.delivery_id("note", one.source, one.id), "")
                await client.get_workflow_handle(replayed).result()


@pytest.mark.parametrize(("came_from", "goes_to"), [(OWN, OWN), (None, "EVENTS"), ("EVENTS-removed", "EVENTS")])
async def test_a_stray_is_put_back_into_the_stream_that_it_came_from(
    nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path, came_from: str | None, goes_to: str
) -> None:
    """Mended bytes are decoded anew by the dispatcher of their own stream; where that was removed, of EVENTS."""
    settings = settings_of(nats_server, temporal_server)
    client = await temporal_client(temporal_server, nats_server)
    async with fresh_bus(settings) as bus:
        await ensure_streams(bus, bus_config("default"))
        async with working(settings, tmp_path, YAML.format(preset="default", size="2MiB")) as process:
            await ready(process)
            mended, stray = event(fresh("mended")), fresh("stray")
            now = datetime.now(UTC)
            record = DeadLetterRecord(
                id=stray, stage=Stage.DECODE, code="x", message="x", at=now, raw_base64="eA==", stream=came_from
            )
            await start_case(client, record)
            await redrive(client, stray, RedriveInput(by="ana", body=mended.encode().decode()))

            async def stored() -> bool:
                found = await find_event(bus, "orders", mended.id)
                return found is not None and found.stream == goes_to

            await assert_eventually(stored)
