"""Schedules handled with the `temporal` command alone, and what a tick does with its `when` and `stop_when`."""

import asyncio
import functools
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import ScheduleOverlapPolicy

from activities.schedule_watch import ScheduleWatcher
from holdfast.bus.streams import DEAD_LETTERS, EVENTS
from holdfast.clock import SystemClock
from holdfast.contracts import names
from holdfast.contracts.schedule_watch import WatchState
from holdfast.domain.schedules import ScheduleConfig
from holdfast.embedded.servers import binary
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal import schedule_calls
from holdfast.temporal.schedule_views import view_schedule, view_schedules
from holdfast.temporal.schedules import apply
from tests import buses, durable
from tests.conftest import assert_eventually
from tests.durable import Stack
from tests.servers import NatsServer, TemporalServer

pytestmark = pytest.mark.integration


@pytest.fixture
async def stack(tmp_path: Path, nats_server: NatsServer, temporal_server: TemporalServer) -> AsyncIterator[Stack]:
    """A worker on the real servers; afterwards no schedules are left, and no tick that the next test would run."""
    client = await durable.connect(temporal_server.plan.address)
    async with (
        buses.connected(nats_server) as bus,
        durable.stack(client, bus, durable.config(tmp_path), {}) as running,
    ):
        yield running
        async for listed in await client.list_schedules():
            await client.get_schedule_handle(listed.id).delete()

        async def all_ran() -> bool:
            query = f"WorkflowType = '{names.SCHEDULED_EVENT}' AND ExecutionStatus = 'Running'"
            return (await client.count_workflows(query)).count == 0

        await assert_eventually(all_ran)


async def temporal(server: TemporalServer, *words: str) -> str:
    """Run `temporal schedule …` as a person does."""
    command = [binary("temporal"), "schedule", *words, "--address", server.plan.address]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def events(stack: Stack, *sources: str) -> list[dict[str, Any]]:
    """What is on the bus of these sources, in order: a run that an earlier test began may publish into this one."""
    info = await stack.bus.jetstream.stream_info(EVENTS)
    found = []
    for sequence in range(max(info.state.first_seq, 1), info.state.last_seq + 1):
        message = await stack.bus.jetstream.get_msg(EVENTS, sequence)
        found.append(json.loads(message.data or b""))
    return [one for one in found if one["source"] in sources]


async def until_events(stack: Stack, number: int, *sources: str) -> list[dict[str, Any]]:
    """Wait for as many events."""

    async def there() -> bool:
        return len(await events(stack, *sources)) >= number

    await assert_eventually(there, why=f"{number} events")
    return await events(stack, *sources)


@pytest.mark.parametrize("name", ["by-hand", "Team A: nightly / it's ünïcode"])
async def test_every_verb_of_the_temporal_command(stack: Stack, temporal_server: TemporalServer, name: str) -> None:
    """create, trigger, backfill, toggle, update and delete: the ticks are events, under the schedule's own name."""
    made = ("--schedule-id", name)
    action = ("--type", names.SCHEDULED_EVENT, "--task-queue", names.TASK_QUEUE, "--workflow-id", f"tick/{name}")
    await temporal(temporal_server, "create", *made, *action, "--cron", "0 3 * * *", "--catchup-window", "1h")
    await temporal(temporal_server, "trigger", *made)
    (first,) = await until_events(stack, 1, name)
    assert (first["source"], first["type"], first["body"]) == (name, "schedule.ticked", "null")
    days = ("--start-time", "2026-01-01T00:00:00Z", "--end-time", "2026-01-03T00:00:00Z")
    await temporal(temporal_server, "backfill", *made, *days, "--overlap-policy", "AllowAll")
    found = await until_events(stack, 3, name)
    assert {one["id"] for one in found[1:]} == {"20260101T030000Z", "20260102T030000Z"}
    await temporal(temporal_server, "toggle", *made, "--pause", "--reason", "maintenance")
    view = await view_schedule(stack.client, name)
    assert (view.paused, view.note, view.owned) == (True, "maintenance", False)
    await temporal(temporal_server, "toggle", *made, "--unpause", "--reason", "done")
    given = json.dumps({"schedule": "renamed", "type": "sync", "data": {"full": True}})
    await temporal(temporal_server, "update", *made, *action, "--interval", "1h", "--input", given)
    await temporal(temporal_server, "trigger", *made)
    last = (await until_events(stack, 1, "renamed"))[-1]
    assert (last["source"], last["type"], last["body"]) == ("renamed", "sync", '{"full":true}')

    async def is_listed() -> bool:
        return any(view.name == name for view in await view_schedules(stack.client))

    await assert_eventually(is_listed)
    await temporal(temporal_server, "delete", *made)
    assert await schedule_calls.describe(stack.client, name) is None


async def ran(stack: Stack, schedule: str, number: int) -> bool:
    """Whether that many runs of a schedule have completed."""
    query = f"TemporalScheduledById = '{schedule}' AND ExecutionStatus = 'Completed'"
    return (await stack.client.count_workflows(query)).count == number


async def test_a_tick_is_one_event_however_often_it_is_backfilled(stack: Stack) -> None:
    """Backfilling twice over the same range gives the same event ids, so nothing is delivered twice."""
    name = f"again-{uuid.uuid4().hex[:6]}"
    await apply(stack.client, {name: ScheduleConfig.model_validate({"cron": "0 3 * * *", "paused": True})})
    start, end = datetime(2026, 2, 1, 3, tzinfo=UTC), datetime(2026, 2, 3, 3, tzinfo=UTC)
    for number in (1, 2):
        times = await schedule_calls.backfill(stack.client, name, start, end, ScheduleOverlapPolicy.ALLOW_ALL)
        assert times == tuple(start + timedelta(days=day) for day in range(3)), "both ends are included"
        await assert_eventually(functools.partial(ran, stack, name, 3 * number))
    assert sorted(one["id"] for one in await events(stack, name)) == [f"2026020{day}T030000Z" for day in (1, 2, 3)]


async def test_when_keeps_a_tick_back_and_says_so(stack: Stack) -> None:
    """A false `when` publishes nothing, and the run's result has the reason; local time is that of the zone."""
    tick = {"schedule": "nightly", "timezone": "Asia/Tokyo", "data_expression": "[tick.date, tick.weekday]"}
    wanted = await stack.start(names.SCHEDULED_EVENT, {**tick, "when": "tick.timezone == 'Asia/Tokyo'"}, "tick/yes")
    assert (await wanted.result())["published"]
    kept = await stack.start(names.SCHEDULED_EVENT, {**tick, "when": "tick.weekday == 'NEVER'"}, "tick/no")
    result = await kept.result()
    assert (result["published"], result["reason"]) == (False, "when is false: tick.weekday == 'NEVER'")
    (event,) = await events(stack, "nightly")
    assert json.loads(event["body"])[1] in {"MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"}


async def trigger(stack: Stack, name: str) -> None:
    """Tick by hand in a second of its own: the second is the tick's identity."""
    now = datetime.now(UTC).replace(microsecond=0)

    async def next_second() -> bool:
        return datetime.now(UTC) >= now + timedelta(seconds=1)

    await assert_eventually(next_second)
    await schedule_calls.trigger(stack.client, name, None)


async def test_stop_when_pauses_after_failures(stack: Stack) -> None:
    """After two failed ticks the third is held back: the schedule is paused, its note and a dead letter say why."""
    name = f"failing-{uuid.uuid4().hex[:6]}"
    config = ScheduleConfig.model_validate(
        {"cron": "0 0 1 1 *", "stop_when": "ticks.failed >= 2", "event": {"data": "tick.nope"}}
    )
    await apply(stack.client, {name: config})
    for number in (1, 2):
        await trigger(stack, name)

        async def failed(number: int = number) -> bool:
            query = f"TemporalScheduledById = '{name}' AND ExecutionStatus = 'Failed'"
            return (await stack.client.count_workflows(query)).count == number

        await assert_eventually(failed)
    await trigger(stack, name)

    async def stopped() -> bool:
        return (await view_schedule(stack.client, name)).paused

    await assert_eventually(stopped)
    view = await view_schedule(stack.client, name)
    assert "stop_when" in view.note
    assert "2 failed" in view.note
    records = await stack.dead_letters()
    assert [one.code for one in records] == ["mapping.failed", "mapping.failed", "schedule.stopped"]
    await schedule_calls.resume(stack.client, name, "mended")
    await trigger(stack, name)

    async def a_third_failed() -> bool:
        return len(await stack.dead_letters()) == 4

    await assert_eventually(a_third_failed)
    assert not (await view_schedule(stack.client, name)).paused, "the count begins anew after a stop"


async def test_pauses_and_changes_are_nobodys_miss(stack: Stack, client_watch: "Watch") -> None:
    """A schedule that is paused, resumed and changed while it should tick names nothing as missed."""
    name = f"touched-{uuid.uuid4().hex[:6]}"
    await client_watch.look()
    every = {"every": "1s", "catch_up": "10s", "overlap": "allow_all"}
    await apply(stack.client, {name: ScheduleConfig.model_validate(every)})
    await until_events(stack, 2, name)
    await schedule_calls.pause(stack.client, name, "a test")
    paused_at = datetime.now(UTC)
    await client_watch.until(paused_at + timedelta(seconds=4))
    await schedule_calls.resume(stack.client, name, "a test")
    await apply(stack.client, {name: ScheduleConfig.model_validate({**every, "every": "2s"})})
    seen = len(await events(stack, name))
    await until_events(stack, seen + 2, name)
    await schedule_calls.pause(stack.client, name, "a test")
    await client_watch.until(datetime.now(UTC) + timedelta(seconds=7))
    await client_watch.look()
    await client_watch.look()
    assert (await stack.bus.jetstream.stream_info(DEAD_LETTERS)).state.messages == 0
    assert client_watch.state.schedules[name].until > paused_at


class Watch:
    """The watch, driven by the test."""

    def __init__(self, stack: Stack) -> None:
        self._watcher = ScheduleWatcher(stack.bus, Metrics(), SystemClock())
        self._client = stack.client
        self.state = WatchState()

    async def look(self) -> None:
        """Look once."""
        self.state = await self._watcher.watch(self._client, self.state)

    async def until(self, moment: datetime) -> None:
        """Wait until a moment has passed."""

        async def passed() -> bool:
            return datetime.now(UTC) >= moment

        await assert_eventually(passed)


@pytest.fixture
def client_watch(stack: Stack) -> Watch:
    """A watch of its own."""
    return Watch(stack)
