"""The custody report adds up after everything that can happen to an event, and names the one that nobody can find."""

import asyncio
import json
import subprocess
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from typer.testing import CliRunner, Result

from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.publish import EventPublisher
from holdfast.bus.retention import backlog_of
from holdfast.bus.streams import DISPATCHER, ESCALATOR, subject_for
from holdfast.bus.topology import ensure_consumer, ensure_streams
from holdfast.cli.main import app
from holdfast.contracts import names
from holdfast.contracts.custody import CustodyInput, CustodyReport, SourceCount
from holdfast.domain.events import Envelope
from holdfast.domain.streams import BusConfig
from holdfast.embedded.servers import binary
from holdfast.settings.process import ProcessSettings
from holdfast.temporal.housekeeping import last_completed, result_of
from tests.buses import SOON
from tests.conftest import assert_eventually
from tests.servers import NatsServer, TemporalServer
from tests.workers import event, fresh_bus, ready, settings_of, temporal_client, working

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def fresh(name: str) -> str:
    """An event id that no other test has used: Temporal remembers them."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


async def publish(bus: Bus, *events: Envelope) -> None:
    """Put events on the bus as the gateway does."""
    for one in events:
        await EventPublisher(bus).publish_event(one, timeout=SOON)


async def lose(bus: Bus, one: Envelope) -> None:
    """Publish an event and acknowledge it as a rogue consumer would: nothing was started for it."""
    await publish(bus, one)
    (message,) = await (await bus.jetstream.pull_subscribe_bind(DISPATCHER.name, DISPATCHER.stream)).fetch(1)
    await message.ack_sync()


async def settled(bus: Bus) -> bool:
    """Whether dispatcher and escalator have nothing before them."""
    backlogs = [await backlog_of(bus, plan) for plan in (DISPATCHER, ESCALATOR)]
    return all(backlog.pending == backlog.ack_pending == 0 for backlog in backlogs)


async def report(client: Client, since: datetime) -> CustodyReport:
    """Have the worker make a report."""
    handle = await client.start_workflow(
        names.CUSTODY, CustodyInput(since=since), id=fresh("custody"), task_queue=names.TASK_QUEUE
    )
    return CustodyReport.model_validate(await handle.result())


async def temporal(server: TemporalServer, *words: str) -> str:
    """Run the `temporal` command, as an operator would."""
    command = [binary("temporal"), *words, "--address", server.plan.address]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def holdfast(settings: ProcessSettings, directory: Path, *words: str) -> Result:
    """Run a command as a person would, against the test's servers."""
    password = settings.nats_password.get_secret_value() if settings.nats_password else ""
    env = {
        "NATS_URL": settings.nats_url,
        "NATS_USER": settings.nats_user,
        "NATS_PASSWORD": password,
        "TEMPORAL_ADDRESS": settings.temporal_address,
        "HOLDFAST_CONFIG": str(directory / "holdfast.yaml"),
    }
    return await asyncio.to_thread(CliRunner().invoke, app, list(words), env=env)


async def test_it_adds_up_and_names_what_does_not(
    nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    """Delivered, repeated, dead-lettered and unmatched events are each in one column; the lost one is named."""
    settings, began = settings_of(nats_server, temporal_server), datetime.now(UTC) - timedelta(seconds=1)
    client = await temporal_client(temporal_server, nats_server)
    async with fresh_bus(settings) as bus:
        await ensure_streams(bus, BusConfig())
        await ensure_consumer(bus, DISPATCHER)
        lost = event(fresh("lost"))
        await lose(bus, lost)
        async with working(settings, tmp_path) as process:
            await ready(process)
            wanted = [event(fresh("wanted")) for _ in range(5)]
            await publish(bus, *wanted)
            await bus.jetstream.publish(subject_for("orders", wanted[0].id), wanted[0].encode())  # the bus cannot know
            await publish(bus, *(event(fresh("broken"), '{"broken": 1}') for _ in range(2)))
            await publish(bus, *(event(fresh("no"), source="plain") for _ in range(3)))
            await bus.jetstream.publish("events.orders.abc", b"no event at all")
            await assert_eventually(lambda: settled(bus))
            for one in wanted:
                await client.get_workflow_handle(ids.delivery_id("note", one.source, one.id)).result()
            counted = await report(client, began)
            said = await holdfast(settings, tmp_path, "custody", "--since", began.isoformat(), "--json")
            swept = await holdfast(settings, tmp_path, "sweep", "--since", began.isoformat(), "--json")
    assert said.exit_code == 1
    assert json.loads(said.stdout)["unaccounted"][0]["event_id"] == lost.id
    assert swept.exit_code == 0, swept.output
    assert json.loads(swept.stdout)["examined"] > 0
    assert counted.sources == (
        SourceCount(source="orders", received=9, repeated=1, delivered=5, dead_lettered=3, unaccounted=1),
        SourceCount(source="plain", received=3, unmatched=3),
    )
    (named,) = counted.unaccounted
    assert (named.source, named.event_id, named.sequence) == ("orders", lost.id, 1)
    assert not counted.adds_up


async def test_the_schedules_are_there_and_reports_go_on_where_the_last_one_ended(
    nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    """The worker makes both; triggered by the `temporal` command, the second report counts only what came since."""
    settings = settings_of(nats_server, temporal_server)
    client = await temporal_client(temporal_server, nats_server)

    async def reported(after: CustodyReport | None) -> CustodyReport:
        await temporal(temporal_server, "schedule", "trigger", "-s", names.CUSTODY_SCHEDULE)
        found: list[CustodyReport] = []

        async def there() -> bool:
            last = await last_completed(client, names.CUSTODY, scheduled=names.CUSTODY_SCHEDULE)
            if last is None:
                return False
            found.append(await result_of(client, last.workflow_id, CustodyReport, SOON, run_id=last.run_id))
            return after is None or found[-1].until > after.until

        await assert_eventually(there)
        return found[-1]

    async with fresh_bus(settings) as bus, working(settings, tmp_path) as process:
        await ready(process)

        async def made() -> bool:
            listed = json.loads(await temporal(temporal_server, "schedule", "list", "--output", "json"))
            return {names.SWEEP_SCHEDULE, names.CUSTODY_SCHEDULE} <= {one["scheduleId"] for one in listed}

        await assert_eventually(made)
        await publish(bus, event(fresh("first")))
        await assert_eventually(lambda: settled(bus))
        first = await reported(None)
        assert first.adds_up
        await publish(bus, event(fresh("second")), event(fresh("third")))
        await assert_eventually(lambda: settled(bus))
        second = await reported(first)
        assert second.first_sequence == first.resume_at
        assert second.total.received == 2 + second.total.carried
        assert second.adds_up
