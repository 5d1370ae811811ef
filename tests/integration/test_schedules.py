import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.api.schedule.v1 import Schedule as RawSchedule
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleSpec
from temporalio.service import RPCError

from holdfast.domain.schedules import ScheduleConfig
from holdfast.settings.process import ProcessSettings
from holdfast.temporal import schedule_calls
from holdfast.temporal.connect import connect
from holdfast.temporal.schedules import Change, PlanEntry, apply, plan
from tests import servers
from tests.conftest import assert_eventually

pytestmark = pytest.mark.integration


@pytest.fixture
async def client(temporal_server: servers.TemporalServer, name: str) -> AsyncIterator[Client]:
    """A client whose namespace has no schedules, and none of this test's afterwards.

    The list lags: it is waited for, and this test's schedule is deleted by its name, listed or not.
    """
    client = await connect(ProcessSettings(temporal_address=temporal_server.plan.address))

    async def none_is_listed() -> bool:
        listed = [one.id async for one in await client.list_schedules()]
        for other in listed:
            with contextlib.suppress(RPCError):  # listed still, and deleted already
                await client.get_schedule_handle(other).delete()
        return not listed

    await assert_eventually(none_is_listed)
    yield client
    with contextlib.suppress(RPCError):  # a test may have deleted it
        await client.get_schedule_handle(name).delete()
    await assert_eventually(none_is_listed)


@pytest.fixture
def name() -> str:
    """A schedule's name that no other test uses."""
    return f"nightly-{uuid.uuid4().hex[:8]}"


def config(**fields: object) -> ScheduleConfig:
    """A schedule as the file has it."""
    return ScheduleConfig.model_validate({"cron": "0 3 * * *", "timezone": "Europe/Berlin", **fields})


def changes(entries: tuple[PlanEntry, ...]) -> dict[str, Change]:
    """What is done, by name."""
    return {entry.name: entry.change for entry in entries}


async def test_applying_creates_then_keeps_then_updates(client: Client, name: str) -> None:
    """The first apply creates, the second finds nothing to do, a changed file updates, and each says the next run."""
    assert changes(await plan(client, {name: config()})) == {name: Change.CREATE}
    (created,) = await apply(client, {name: config()})
    assert created.change == Change.CREATE
    assert created.next_runs[0] > datetime.now(UTC)
    assert changes(await plan(client, {name: config()})) == {name: Change.KEEP}
    changed = config(cron=["30 4 * * 1-5", "@hourly"], jitter="30s", catch_up="2h", overlap="buffer_one")
    assert changes(await plan(client, {name: changed})) == {name: Change.UPDATE}
    await apply(client, {name: changed})
    assert changes(await plan(client, {name: changed})) == {name: Change.KEEP}
    described = await client.get_schedule_handle(name).describe()
    assert described.schedule.policy.catchup_window == timedelta(hours=2)
    assert described.schedule.spec.jitter == timedelta(seconds=30)


async def test_a_pause_made_by_hand_stays(client: Client, name: str) -> None:
    """Neither an apply that changes nothing nor one that changes the cron takes a person's pause away."""
    await apply(client, {name: config()})
    await client.get_schedule_handle(name).pause(note="on holiday")
    (kept,) = await apply(client, {name: config()})
    assert kept.paused
    (updated,) = await apply(client, {name: config(cron="5 5 * * *")})
    assert updated.change == Change.UPDATE
    assert updated.paused
    assert (await client.get_schedule_handle(name).describe()).schedule.state.note == "on holiday"


async def test_a_schedule_of_others_is_never_touched(client: Client, name: str) -> None:
    """One of the same name that Holdfast did not make is left as it is, and the plan says so."""
    action = ScheduleActionStartWorkflow("Theirs", id="theirs", task_queue="theirs")
    await client.create_schedule(name, Schedule(action, ScheduleSpec(cron_expressions=["0 0 1 1 *"])))
    before = (await client.get_schedule_handle(name).describe()).info.created_at
    (foreign,) = await apply(client, {name: config()}, prune=True)
    assert foreign.change == Change.FOREIGN
    described = await client.get_schedule_handle(name).describe()
    assert isinstance(described.schedule.action, ScheduleActionStartWorkflow)
    assert described.schedule.action.workflow == "Theirs"
    assert described.info.created_at == before
    assert described.info.last_updated_at is None


async def test_what_left_the_file_is_deleted_only_when_asked(client: Client, name: str) -> None:
    """An orphan is named, survives a plain apply, and goes with prune."""
    await apply(client, {name: config()})

    async def orphaned() -> bool:  # the list of schedules lags a little
        return changes(await plan(client, {})) == {name: Change.ORPHAN}

    await assert_eventually(orphaned)
    await apply(client, {})
    assert changes(await plan(client, {name: config()})) == {name: Change.KEEP}
    assert changes(await apply(client, {}, prune=True)) == {name: Change.DELETE}
    assert changes(await plan(client, {name: config()})) == {name: Change.CREATE}


async def test_an_interval_and_bounds_arrive(client: Client, name: str) -> None:
    """`every`, `start_at` and `end_at` are Temporal's own, and the next runs keep within them."""
    start = datetime(2030, 1, 1, tzinfo=UTC)
    fields = {"cron": [], "every": "6h", "start_at": start, "end_at": start + timedelta(hours=13), "paused": True}
    (entry,) = await apply(client, {name: config(**fields)})
    assert entry.paused
    assert entry.next_runs == tuple(start + timedelta(hours=6 * n) for n in range(3))


async def test_a_second_apply_writes_nothing(client: Client, name: str) -> None:
    """Applying what is applied leaves the schedule as it was; a change by hand shows as what differs, and is undone."""
    await apply(client, {name: config()})
    (kept,) = await apply(client, {name: config()})
    described = await client.get_schedule_handle(name).describe()
    assert kept.change == Change.KEEP
    assert described.info.last_updated_at is None

    async def by_hand(_: object, schedule: RawSchedule) -> bool:
        done = schedule.policies.catchup_window.seconds == 7_200
        schedule.policies.catchup_window.seconds = 7_200
        return not done

    await schedule_calls.change(client, name, by_hand)
    (differs,) = await plan(client, {name: config()})
    assert [(one.field, one.now, one.wanted) for one in differs.differences] == [("catch_up", "2h", "1h")]
    await apply(client, {name: config()})
    assert changes(await plan(client, {name: config()})) == {name: Change.KEEP}


async def test_applies_at_the_same_time_agree(client: Client, name: str) -> None:
    """Several applies at once all succeed; what comes out is the file, and a pause made meanwhile stays."""
    await asyncio.gather(*(apply(client, {name: config()}) for _ in range(4)))
    changed = config(cron="1 1 * * *")
    pausing = client.get_schedule_handle(name).pause(note="meanwhile")
    await asyncio.gather(pausing, *(apply(client, {name: changed}) for _ in range(4)))
    (entry,) = await plan(client, {name: changed})
    assert (entry.change, entry.paused, entry.note) == (Change.KEEP, True, "meanwhile")


async def test_adopting_makes_it_ours(client: Client, name: str) -> None:
    """A schedule of the same name that others made is taken over only when that is asked for."""
    action = ScheduleActionStartWorkflow("Theirs", id="theirs", task_queue="theirs")
    await client.create_schedule(name, Schedule(action, ScheduleSpec(cron_expressions=["0 0 1 1 *"])))
    assert changes(await apply(client, {name: config()})) == {name: Change.FOREIGN}
    assert changes(await apply(client, {name: config()}, adopt=True)) == {name: Change.ADOPT}
    assert changes(await plan(client, {name: config()})) == {name: Change.KEEP}


async def test_limited_runs_keep_what_is_left(client: Client, name: str) -> None:
    """What is left of `max_runs` survives an update of something else; changing the number counts anew."""
    await apply(client, {name: config(max_runs=5)})

    async def two_left(_: object, schedule: RawSchedule) -> bool:
        done = schedule.state.remaining_actions == 2
        schedule.state.remaining_actions = 2
        return not done

    await schedule_calls.change(client, name, two_left)
    (kept,) = await apply(client, {name: config(max_runs=5)})
    assert kept.change == Change.KEEP
    assert len(kept.next_runs) == 2
    await apply(client, {name: config(max_runs=5, jitter="10s")})
    assert (await client.get_schedule_handle(name).describe()).schedule.state.remaining_actions == 2
    await apply(client, {name: config(max_runs=6, jitter="10s")})
    assert (await client.get_schedule_handle(name).describe()).schedule.state.remaining_actions == 6
