import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.schedule_watch import ScheduleWatcher
from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.streams import DEAD_LETTERS, EVENTS
from holdfast.clock import SystemClock
from holdfast.contracts import names
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.moves import RedriveInput
from holdfast.contracts.schedule_watch import WatchState
from holdfast.contracts.scheduled import nominal_time
from holdfast.domain.deadletters import CaseState
from holdfast.domain.schedules import ScheduleConfig
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal import cases
from holdfast.temporal.connect import connect
from holdfast.temporal.schedules import apply
from tests import servers, workers
from tests.conftest import assert_eventually

pytestmark = pytest.mark.fault

EVERY = timedelta(seconds=4)
YAML = """
version: 1
triggers:
  note: {on: beat, run: {log: {message: event.id}}}
schedules:
  beat: {every: 4s, catch_up: 10s, overlap: allow_all}
"""


@dataclass
class Scene:
    """A worker on its own Temporal and the session's NATS; the watch is driven by the test."""

    temporal: servers.TemporalServer
    client: Client
    bus: Bus
    state: WatchState = field(default_factory=WatchState)

    async def look(self) -> None:
        """Look once, as the activity does."""
        self.state = await ScheduleWatcher(self.bus, Metrics(), SystemClock()).watch(self.client, self.state)

    async def events(self) -> list[str]:
        """The ids of the events on the bus, in order."""
        info = await self.bus.jetstream.stream_info(EVENTS)
        found = []
        for sequence in range(max(info.state.first_seq, 1), info.state.last_seq + 1):
            message = await self.bus.jetstream.get_msg(EVENTS, sequence)
            found.append(json.loads(message.data or b"")["id"])
        return found

    async def missed(self) -> list[DeadLetterRecord]:
        """The dead letters, in order."""
        info = await self.bus.jetstream.stream_info(DEAD_LETTERS)
        found = []
        for sequence in range(max(info.state.first_seq, 1), info.state.last_seq + 1):
            message = await self.bus.jetstream.get_msg(DEAD_LETTERS, sequence)
            found.append(DeadLetterRecord.model_validate_json(message.data or b""))
        return found

    async def until(self, moment: datetime) -> None:
        """Wait until a moment has passed."""

        async def passed() -> bool:
            return datetime.now(UTC) >= moment

        await assert_eventually(passed, within=60)


@pytest.fixture
async def scene(nats_server: servers.NatsServer, tmp_path: Path) -> AsyncIterator[Scene]:
    """A worker with a schedule that ticks every four seconds and makes up for ten."""
    with servers.temporal(tmp_path) as temporal:
        settings = workers.settings_of(nats_server, temporal)
        async with workers.fresh_bus(settings) as bus, workers.working(settings, tmp_path, YAML) as process:
            await workers.ready(process)
            yield Scene(temporal, await connect(settings), bus)


async def test_after_an_outage_each_tick_ran_once_or_is_named(scene: Scene) -> None:
    """Temporal away across ticks: those within the catch-up window are delivered once, each other one is named once.

    And redriving one that is named delivers it.
    """
    await scene.look()  # the watch is there before the schedule, as it is where a worker runs
    config = ScheduleConfig.model_validate({"every": "4s", "catch_up": "10s", "overlap": "allow_all"})
    await apply(scene.client, {"beat": config})
    created = (await scene.client.get_schedule_handle("beat").describe()).info.created_at
    await assert_eventually(lambda: _some(scene), within=30)
    scene.temporal.kill()
    down = datetime.now(UTC)
    await scene.until(down + timedelta(seconds=24))
    scene.temporal.start()
    up = datetime.now(UTC)

    async def caught_up() -> bool:
        return bool(nominal_time((await scene.events())[-1]) > up)

    await assert_eventually(caught_up, within=60)
    await scene.until(datetime.now(UTC) + timedelta(seconds=12))
    await scene.look()
    await scene.look()
    events, missed = await scene.events(), await scene.missed()
    watched = scene.state.schedules["beat"].until
    due = [f"{at:%Y%m%dT%H%M%SZ}" for at in config.occurrences.between(created, watched, 1_000)]
    ran = [event for event in events if nominal_time(event) <= watched]
    assert sorted([*ran, *(one.event_id for one in missed)]) == due, "each tick once: delivered or named"
    assert {one.code for one in missed} == {"schedule.missed"}
    assert len(missed) >= 3
    oldest = min(nominal_time(event) for event in events if nominal_time(event) > down)
    assert all(nominal_time(one.event_id) < oldest for one in missed), "what the window promises is the newest part"
    first_seen = (await scene.client.get_schedule_handle("beat").describe()).info
    assert len(missed) == first_seen.num_actions_missed_catchup_window, "Temporal counts the same"
    opened = f"WorkflowType = '{names.DEAD_LETTER}' AND HoldfastError = 'schedule.missed'"

    async def each_has_a_case() -> bool:
        return await workers.count(scene.client, opened) == len(missed)

    await assert_eventually(each_has_a_case, within=40)
    delivered = f"WorkflowType = '{names.EVENT_DELIVERY}' AND ExecutionStatus = 'Completed'"

    async def each_is_delivered() -> bool:
        return await workers.count(scene.client, delivered) >= len(ran)

    await assert_eventually(each_is_delivered, within=40)
    await scene.look()
    assert len(await scene.missed()) == len(missed), "and named only once"
    await redriven(scene, missed[0])


async def redriven(scene: Scene, missed: DeadLetterRecord) -> None:
    """Redrive a missed tick: the event of that very tick is published once and delivered, and the case is resolved."""
    assert missed.event_id not in await scene.events()
    await cases.redrive(scene.client, missed.id, RedriveInput(by="ana", reason="the outage is over"))

    async def resolved() -> bool:
        return (await cases.show_case(scene.client, missed.id)).state is CaseState.RESOLVED

    await assert_eventually(resolved, within=40)
    assert (await scene.events()).count(missed.event_id) == 1
    delivery = ids.delivery_id("note", "beat", missed.event_id)

    async def delivered() -> bool:
        query = f"WorkflowId = '{delivery}' AND ExecutionStatus = 'Completed'"
        return await workers.count(scene.client, query) == 1

    await assert_eventually(delivered, within=40)


async def test_ticks_given_up_while_the_bus_is_away_are_named(tmp_path: Path) -> None:
    """With overlap skip one tick waits for the bus; those skipped meanwhile become dead letters, each once."""
    with servers.nats(tmp_path) as nats, servers.temporal(tmp_path) as temporal:
        settings = workers.settings_of(nats, temporal)
        async with workers.fresh_bus(settings) as bus, workers.working(settings, tmp_path, YAML) as process:
            await workers.ready(process)
            scene = Scene(temporal, await connect(settings), bus)
            await scene.look()
            config = ScheduleConfig.model_validate({"every": "4s", "catch_up": "1h", "overlap": "skip"})
            await apply(scene.client, {"beat": config})
            handle = scene.client.get_schedule_handle("beat")
            created = (await handle.describe()).info.created_at
            await assert_eventually(lambda: _some(scene), within=30)
            nats.kill()

            async def skipped() -> bool:
                return (await handle.describe()).info.num_actions_skipped_overlap >= 2

            await assert_eventually(skipped, within=60)
            nats.start()
            await bus.connected(timedelta(seconds=30))
            back = datetime.now(UTC)

            async def ticks_again() -> bool:
                return nominal_time((await scene.events())[-1]) > back

            await assert_eventually(ticks_again, within=90)
            await scene.until(datetime.now(UTC) + timedelta(seconds=12))
            await scene.look()
            await scene.look()
            missed, watched = await scene.missed(), scene.state.schedules["beat"].until
            ran = [event for event in await scene.events() if nominal_time(event) <= watched]
            due = [f"{at:%Y%m%dT%H%M%SZ}" for at in config.occurrences.between(created, watched, 1_000)]
            assert sorted([*ran, *(one.event_id for one in missed)]) == due
            assert {one.code for one in missed} == {"schedule.skipped"}


async def _some(scene: Scene) -> bool:
    return len(await scene.events()) >= 2
