"""The times that we work out are those that Temporal works out, for every form of schedule and around clock changes."""

import uuid
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleState

from holdfast.domain.schedules import ScheduleConfig
from holdfast.settings.process import ProcessSettings
from holdfast.temporal.connect import connect
from holdfast.temporal.specs import from_temporal, to_temporal
from tests import servers

pytestmark = pytest.mark.integration

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/St_Johns")


@pytest.fixture
async def client(temporal_server: servers.TemporalServer) -> Client:
    """A client of the session's Temporal."""
    return await connect(ProcessSettings(temporal_address=temporal_server.plan.address))


async def agree(client: Client, config: ScheduleConfig) -> None:
    """Compare our next ten times with those of the server, and the spec with what the server made of it."""
    name = f"agree-{uuid.uuid4().hex}"
    action = ScheduleActionStartWorkflow("Nothing", id=name, task_queue="nobody")
    spec = to_temporal(config)
    spec.jitter = None
    handle = await client.create_schedule(name, Schedule(action, spec, state=ScheduleState(paused=True)))
    try:
        described = await handle.describe()
    finally:
        await handle.delete()
    theirs = tuple(described.info.next_action_times)
    after = described.info.created_at
    assert tuple(islice(config.occurrences.after(after), 10)) == theirs
    assert tuple(islice(from_temporal(described.schedule.spec).after(after), 10)) == theirs


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    span = st.tuples(value, value).map(lambda two: f"{min(two)}-{max(two)}")
    step = st.integers(1, high).map(str)
    part = st.one_of(
        st.just("*"), value.map(str), span, step.map(lambda s: f"*/{s}"), st.tuples(span, step).map("/".join)
    )
    return st.lists(part, min_size=1, max_size=3).map(",".join)


CRONS = st.tuples(_field(0, 59), _field(0, 23), _field(1, 31), _field(1, 12), _field(0, 7)).map(" ".join)
FUTURE = st.datetimes(datetime(2026, 12, 1), datetime(2031, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)


@st.composite
def schedules(draw: st.DrawFn) -> dict[str, Any]:
    """A schedule as somebody might write it."""
    written: dict[str, Any] = {"timezone": draw(st.sampled_from(ZONES)), "start_at": draw(FUTURE)}
    written["cron"] = draw(st.lists(CRONS, max_size=2))
    if draw(st.booleans()) or not written["cron"]:
        every = draw(st.integers(1, 200_000))
        written |= {"every": f"{every}s", "offset": f"{draw(st.integers(0, every - 1))}s"}
    if draw(st.booleans()):
        written["exclude"] = [{"day_of_week": draw(_field(0, 6)), "hour": draw(_field(0, 23))}]
    if draw(st.booleans()):
        written["end_at"] = written["start_at"] + timedelta(hours=draw(st.integers(1, 10_000)))
    return written


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schedules())
async def test_our_times_are_temporals(client: Client, written: dict[str, Any]) -> None:
    """Any cron, interval, zone, start, end and exclusion: the next ten times are the same."""
    try:
        config = ScheduleConfig.model_validate(written)
    except ValidationError as error:
        if "exclude: takes every time away" not in str(error):
            raise
        reject()
    await agree(client, config)


@pytest.mark.parametrize(
    ("zone", "start", "cron"),
    [
        ("Europe/Berlin", "2027-10-30T23:10:00Z", "0,30 * * * *"),
        ("Europe/Berlin", "2027-10-31T00:10:00Z", "*/10 * * * *"),
        ("Europe/Berlin", "2027-03-28T00:10:00Z", "*/20 * * * *"),
        ("America/New_York", "2027-11-07T04:10:00Z", "0,30 * * * *"),
        ("Australia/Lord_Howe", "2027-04-03T13:50:00Z", "*/15 * * * *"),
        ("Australia/Lord_Howe", "2027-10-02T14:50:00Z", "*/15 * * * *"),
        *(
            ("Europe/Berlin", day, cron)
            for day in ("2027-03-27", "2027-10-30")
            for cron in ("30 2 * * *", "*/20 * * * *")
        ),
        *(
            ("America/New_York", day, cron)
            for day in ("2027-03-13", "2027-11-06")
            for cron in ("30 1,2 * * *", "0 * * * *")
        ),
        *(
            ("Australia/Lord_Howe", day, cron)
            for day in ("2027-10-02", "2027-04-03")
            for cron in ("15 2 * * *", "45 1 * * *", "*/10 1,2 * * *")
        ),
    ],
)
async def test_clock_changes_are_temporals(client: Client, zone: str, start: str, cron: str) -> None:
    """In the nights when the clocks change the server skips and doubles exactly what we say."""
    written = {"cron": cron, "timezone": zone, "start_at": start if "T" in start else f"{start}T12:00:00Z"}
    await agree(client, ScheduleConfig.model_validate(written))
