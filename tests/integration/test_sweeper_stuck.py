"""What is alive and does not move is named; past its deadline it is given up, once, with its event kept."""

import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import RawValue
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.sweep_bus import BusSweep
from activities.sweep_running import RunningSweep
from holdfast.bus.publish import EventPublisher
from holdfast.bus.streams import DISPATCHER, ESCALATOR
from holdfast.bus.topology import ensure_consumer
from holdfast.clock import SystemClock
from holdfast.contracts import names
from holdfast.contracts.sweeping import Finding
from holdfast.domain.actions import WorkflowAction
from holdfast.domain.sweeping import Answer, FindingKind
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal.starts import start_delivery
from tests import buses, durable
from tests.conftest import assert_eventually
from tests.durable import Stack, delivery
from tests.servers import NatsServer, TemporalServer, temporal

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

DAY = timedelta(days=1)
NOW = timedelta(0)


@pytest.fixture
async def stack(nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[Stack]:
    """A worker, a scripted target and empty streams on the session's servers."""
    client = await durable.connect(temporal_server.plan.address)
    async with buses.connected(nats_server) as bus:
        for plan in (DISPATCHER, ESCALATOR):
            await ensure_consumer(bus, plan)
        async with durable.stack(client, bus, durable.config(tmp_path), {}) as running:
            yield running


def fresh(name: str) -> str:
    """An id that no other test has used."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def running(stack: Stack, deadline: timedelta) -> RunningSweep:
    """The part that looks at what runs."""
    return RunningSweep(stack.client, stack.bus, stack.metrics, SystemClock(), deadline)


async def seen(sweep: RunningSweep, wanted: Callable[[Finding], bool]) -> Finding:
    """Look until visibility shows what is wanted."""
    found: list[Finding] = []

    async def there() -> bool:
        found.extend([one async for one in sweep.findings() if wanted(one)])
        return bool(found)

    await assert_eventually(there, 150, "the sweeper finds it")
    return found[0]


async def test_a_run_whose_worker_is_gone_is_an_alert_then_a_dead_letter(stack: Stack) -> None:
    """It is alive, so it is only named, with its task queue; past the deadline it ends, and its delivery says so."""
    queue = fresh("nobody")
    action = WorkflowAction(workflow="Theirs", task_queue=queue, start_within=DAY)
    given = delivery(action, event_id=fresh("gone"))
    started = await start_delivery(stack.client, given)
    alert = await seen(running(stack, DAY), lambda one: queue in one.detail)
    assert (alert.kind, alert.answer) == (FindingKind.WORKER_GONE, Answer.ALERT)
    assert "no worker polls" in alert.detail
    assert await stack.dead_letters() == []
    ended = await seen(running(stack, NOW), lambda one: queue in one.detail and one.answer is Answer.TERMINATED)
    assert ended.kind == FindingKind.OVERDUE
    assert (await durable.failure(stack.client.get_workflow_handle(started.workflow_id))).type == "dead_lettered"
    (record,) = await stack.dead_letters()
    assert record.id == started.workflow_id


@workflow.defn(name=names.EVENT_DELIVERY)
class Broken:
    """A delivery after a bad deployment: every workflow task fails."""

    @workflow.run
    async def run(self, raw: RawValue) -> Any:  # noqa: ARG002 - a delivery takes one
        """Fail the task, not the run."""
        raise Exception("not as it was recorded")  # noqa: TRY002 - what is no failure type is retried for ever


async def test_a_delivery_whose_workflow_tasks_keep_failing(nats_server: NatsServer, tmp_path: Path) -> None:
    """It is named while it may still go on; past the deadline its dead letter is stored, and then it is terminated."""
    # the server marks such a run after five failures in a row, which takes it two minutes; two will do here
    flags = ("--dynamic-config-value", "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=2")
    with temporal(tmp_path, *flags) as server:
        await _given_up(await durable.connect(server.plan.address), nats_server)


async def _given_up(client: Client, nats_server: NatsServer) -> None:
    runner = UnsandboxedWorkflowRunner()
    worker = Worker(client, task_queue=names.TASK_QUEUE, workflows=[Broken], workflow_runner=runner)
    async with buses.connected(nats_server) as bus, worker:
        stack = Stack(client, bus, None, Metrics())  # type: ignore[arg-type] # no target is called
        action = WorkflowAction(workflow="Theirs", task_queue="theirs")
        started = await start_delivery(client, delivery(action, event_id=fresh("failing")))
        alert = await seen(running(stack, DAY), lambda one: one.workflow_id == started.workflow_id)
        assert (alert.kind, alert.answer) == (FindingKind.TASKS_FAIL, Answer.ALERT)
        assert "WorkflowTaskFailed" in alert.detail
        assert await stack.dead_letters() == []
        ended = await seen(running(stack, NOW), lambda one: one.workflow_id == started.workflow_id)
        assert (ended.kind, ended.answer) == (FindingKind.OVERDUE, Answer.DEAD_LETTERED)
        (record,) = await stack.dead_letters()
        assert (record.id, record.code) == (started.workflow_id, "delivery.overdue")
        described = await client.get_workflow_handle(started.workflow_id).describe()
        assert described.status == WorkflowExecutionStatus.TERMINATED


async def test_an_event_that_waits_too_long_on_the_bus_is_named(stack: Stack) -> None:
    """The oldest unsettled event is named with its source, id and place; past the deadline as overdue."""
    await EventPublisher(stack.bus).publish_event(durable.event("waits"), timeout=buses.SOON)

    async def found(deadline: timedelta) -> Finding:
        sweep = BusSweep(stack.client, stack.bus, SystemClock(), NOW, deadline)
        (one,) = [one async for one in sweep.findings(datetime.now(UTC)) if one is not None]
        return one

    stranded = await found(DAY)
    assert (stranded.kind, stranded.answer) == (FindingKind.STRANDED, Answer.ALERT)
    assert (stranded.source, stranded.event_id, stranded.sequence) == ("shop", "waits", 1)
    assert (await found(NOW)).kind == FindingKind.OVERDUE


async def test_a_consumer_that_is_gone_is_named(stack: Stack) -> None:
    """Nothing would be handed out, and no error would say so."""
    await stack.bus.jetstream.delete_consumer(DISPATCHER.stream, DISPATCHER.name)
    sweep = BusSweep(stack.client, stack.bus, SystemClock(), DAY, DAY)
    (one,) = [one async for one in sweep.findings(datetime.now(UTC)) if one is not None]
    assert one.kind == FindingKind.CONSUMER
    assert DISPATCHER.name in one.detail
