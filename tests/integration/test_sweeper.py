"""What fell through is found: runs ended from outside, by the `temporal` command, on real servers."""

import asyncio
import subprocess
import uuid
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from holdfast import ids
from holdfast.bus.publish import EventPublisher, publish_dead_letter
from holdfast.bus.streams import DISPATCHER, ESCALATOR
from holdfast.bus.topology import ensure_consumer
from holdfast.contracts import names
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.moves import RedriveInput
from holdfast.contracts.scheduled import ScheduledInput, tick_event_id
from holdfast.contracts.sweeping import Finding, SweepInput, SweepResult
from holdfast.domain.deadletters import Stage
from holdfast.domain.sweeping import Answer, FindingKind
from holdfast.embedded.servers import binary
from holdfast.embedded.sink import Reply
from holdfast.temporal.cases import redrive, show_case
from holdfast.temporal.starts import start_case, start_delivery
from tests import buses, durable
from tests.conftest import assert_eventually
from tests.durable import QUICK, Stack, delivery
from tests.servers import NatsServer, TemporalServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
async def stack(nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[Stack]:
    """A worker, a scripted target and empty streams on the session's servers."""
    client = await durable.connect(temporal_server.plan.address)
    async with buses.connected(nats_server) as bus:
        for plan in (DISPATCHER, ESCALATOR):
            await ensure_consumer(bus, plan)
        async with durable.stack(client, bus, durable.config(tmp_path), {}) as running:
            yield running


@pytest.fixture
def began() -> datetime:
    """When the test began: what earlier tests left behind is not looked at."""
    return datetime.now(UTC)


def fresh(name: str) -> str:
    """An event id that no other test has used."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


async def temporal(server: TemporalServer, *words: str) -> str:
    """Run the `temporal` command, as an operator would."""
    command = [binary("temporal"), *words, "--address", server.plan.address]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def sweep(stack: Stack, since: datetime) -> list[Finding]:
    """Run one sweep as the schedule does, and return what it named of this test."""
    handle = await stack.start(names.SWEEP, SweepInput(since=since), fresh("sweep"))
    result = SweepResult.model_validate(await handle.result())
    return list(result.findings)


async def found(stack: Stack, since: datetime, workflow_id: str) -> Finding:
    """Sweep until visibility shows it, and return what was found about one workflow."""
    seen: list[Finding] = []

    async def there() -> bool:
        seen.extend(one for one in await sweep(stack, since) if one.workflow_id == workflow_id)
        return bool(seen)

    await assert_eventually(there, 60, f"the sweeper finds {workflow_id}")
    return seen[0]


async def hanging(stack: Stack, event_id: str) -> str:
    """Start a delivery whose target never answers well, and return its workflow id when it waits."""
    stack.sink.script["/"] = deque([Reply(503)] * 50)
    given = delivery(stack.post(), event_id=event_id)
    started = await start_delivery(stack.client, given)
    await durable.until_state(stack.client.get_workflow_handle(started.workflow_id), "timer_started")
    return started.workflow_id


async def test_a_terminated_delivery_becomes_one_dead_letter(
    stack: Stack, temporal_server: TemporalServer, began: datetime
) -> None:
    """The record has the event, the action and who terminated it why; sweeping again adds nothing."""
    workflow_id = await hanging(stack, fresh("terminated"))
    await temporal(temporal_server, "workflow", "terminate", "-w", workflow_id, "--reason", "a slip of the hand")
    finding = await found(stack, began, workflow_id)
    assert (finding.kind, finding.answer) == (FindingKind.TERMINATED, Answer.DEAD_LETTERED)
    (record,) = await stack.dead_letters()
    assert (record.id, record.stage, record.code) == (workflow_id, Stage.SWEEP, "run.terminated")
    assert "a slip of the hand" in record.message
    assert [(one.number, one.code) for one in record.attempts] == [(1, "target.failed")]
    assert record.attempt_count == 1
    assert record.envelope is not None
    assert record.envelope.raw_body == b'{"n": 1}'
    assert record.spec is not None
    assert record.run_id == finding.run_id
    assert [one for one in await sweep(stack, began) if one.workflow_id == workflow_id] == []
    assert len(await stack.dead_letters()) == 1


async def test_a_reset_delivery_is_no_dead_letter(
    stack: Stack, temporal_server: TemporalServer, began: datetime
) -> None:
    """The old run is terminated by the reset; the new one delivers, and that is what counts."""
    workflow_id = await hanging(stack, fresh("reset"))
    stack.sink.script["/"] = deque()
    words = ("workflow", "reset", "-w", workflow_id, "--type", "FirstWorkflowTask", "--reason", "again")
    await temporal(temporal_server, *words)
    await stack.client.get_workflow_handle(workflow_id).result()
    finding = await found(stack, began, workflow_id)
    assert (finding.kind, finding.answer) == (FindingKind.RESET, Answer.NONE)
    assert "ended well" in finding.detail
    assert await stack.dead_letters() == []


async def test_a_delivery_that_timed_out_becomes_a_dead_letter_with_its_attempts(stack: Stack, began: datetime) -> None:
    """Started by hand with a timeout, it ends without a word; what had failed until then is in the record."""
    workflow_id, retry = fresh("timeout"), QUICK.model_copy(update={"initial": timedelta(minutes=1)})
    stack.sink.script["/"] = deque([Reply(503)] * 50)
    given = delivery(stack.post(), event_id=workflow_id, retry=retry)
    await stack.start(names.EVENT_DELIVERY, given, workflow_id, run_timeout=timedelta(seconds=4))
    finding = await found(stack, began, workflow_id)
    assert (finding.kind, finding.answer) == (FindingKind.TIMED_OUT, Answer.DEAD_LETTERED)
    (record,) = await stack.dead_letters()
    assert (record.stage, record.code) == (Stage.SWEEP, "run.timed_out")
    assert [(one.number, one.code) for one in record.attempts] == [(1, "target.failed")]
    assert record.attempt_count == 1


async def test_a_delivery_cancelled_by_hand_writes_its_own_dead_letter(
    stack: Stack, temporal_server: TemporalServer, began: datetime
) -> None:
    """Cancelling is heard by the delivery itself: one record of its own, and nothing for the sweeper."""
    workflow_id = await hanging(stack, fresh("cancelled"))
    await temporal(temporal_server, "workflow", "cancel", "-w", workflow_id)
    with pytest.raises(WorkflowFailureError):
        await stack.client.get_workflow_handle(workflow_id).result()
    (record,) = await stack.dead_letters()
    assert (record.stage, record.code) == (Stage.DELIVERY, "delivery.cancelled")
    assert [one for one in await sweep(stack, began) if one.workflow_id == workflow_id] == []
    assert len(await stack.dead_letters()) == 1


async def test_a_failed_delivery_that_is_reset_and_delivers_resolves_its_case(
    stack: Stack, temporal_server: TemporalServer, began: datetime
) -> None:
    """The case would wait for ever for something that has happened: the sweeper resolves it, with a note, once."""
    given = delivery(stack.post(), event_id=fresh("after-all"))
    stack.sink.script["/"] = deque([Reply(404)])
    started = await start_delivery(stack.client, given)
    await durable.failure(stack.client.get_workflow_handle(started.workflow_id))
    (record,) = await stack.dead_letters()
    await start_case(stack.client, record)
    case = ids.case_id(record.id)
    assert [one for one in await sweep(stack, began) if one.workflow_id == case] == []
    words = ("workflow", "reset", "-w", started.workflow_id, "--type", "FirstWorkflowTask", "--reason", "mended")
    await temporal(temporal_server, *words)
    await stack.client.get_workflow_handle(started.workflow_id).result()
    finding = await found(stack, began, case)
    assert (finding.kind, finding.answer) == (FindingKind.CASE_OVERTAKEN, Answer.CASE_RESOLVED)
    await stack.client.get_workflow_handle(case).result()
    view = await show_case(stack.client, record.id)
    assert view.state == "resolved"
    assert "its delivery was reset after it had failed" in view.history[-1].note
    assert len(await stack.dead_letters()) == 1


async def test_a_terminated_redrive_is_recorded_and_its_case_hears_of_it(
    stack: Stack, temporal_server: TemporalServer, began: datetime
) -> None:
    """The case that awaits it opens again by itself; the record names that case."""
    base = delivery(stack.post(), event_id=fresh("again"))
    record = _record(base)
    await start_case(stack.client, record)
    stack.sink.script["/"] = deque([Reply(503)] * 50)
    view = await redrive(stack.client, record.id, RedriveInput(by="ana", config="recorded"))
    (child,) = view.redrives
    await durable.until_state(stack.client.get_workflow_handle(child), "timer_started")
    await temporal(temporal_server, "workflow", "terminate", "-w", child, "--reason", "no")
    finding = await found(stack, began, child)
    assert finding.answer == Answer.DEAD_LETTERED
    (written,) = await stack.dead_letters()
    assert written.id == child
    assert written.redrive is not None
    assert written.redrive.case == ids.case_id(record.id)
    assert (await show_case(stack.client, record.id)).state == "open"


async def test_a_case_that_was_terminated_while_open_is_started_again(
    stack: Stack, temporal_server: TemporalServer, began: datetime
) -> None:
    """It has its record again, under its own id; a closed one would be left."""
    record = _record(delivery(stack.post(), event_id=fresh("case")))
    await start_case(stack.client, record)
    await temporal(temporal_server, "workflow", "terminate", "-w", ids.case_id(record.id))
    finding = await found(stack, began, ids.case_id(record.id))
    assert finding.answer == Answer.CASE_STARTED
    view = await show_case(stack.client, record.id)
    assert (view.state, view.record.id) == ("open", record.id)
    assert [one for one in await sweep(stack, began) if one.workflow_id == ids.case_id(record.id)] == []


async def test_a_delivery_started_by_hand_with_two_arguments_is_a_dead_letter(stack: Stack, began: datetime) -> None:
    """It fails before its code can say so; the sweeper keeps the bytes of both."""
    workflow_id = fresh("by-hand")
    handle = await stack.start(names.EVENT_DELIVERY, ["one", "two"], workflow_id)
    await durable.failure(handle)
    finding = await found(stack, began, workflow_id)
    assert (finding.kind, finding.answer) == (FindingKind.FAILED, Answer.DEAD_LETTERED)
    (record,) = await stack.dead_letters()
    assert record.id == ids.foreign_id(workflow_id)
    assert "2 arguments" in record.message


@pytest.mark.parametrize("published", [False, True])
async def test_a_terminated_tick_is_a_dead_letter_only_where_its_event_is_not_on_the_bus(
    stack: Stack, began: datetime, published: bool
) -> None:
    """The record has the tick, which a redrive publishes under the time at which it was due."""
    workflow_id = fresh("tick")
    given, later = ScheduledInput(schedule="nightly"), timedelta(hours=1)
    handle = await stack.start(names.SCHEDULED_EVENT, given, workflow_id, start_delay=later)
    due = tick_event_id((await handle.describe()).start_time)
    if published:
        await EventPublisher(stack.bus).publish_event(durable.event(due, source="nightly"), timeout=buses.SOON)
    await handle.terminate("not now")
    if published:
        assert [one for one in await sweep(stack, began) if one.workflow_id == workflow_id] == []
        assert await stack.dead_letters() == []
        return
    assert (await found(stack, began, workflow_id)).answer == Answer.DEAD_LETTERED
    (record,) = await stack.dead_letters()
    assert (record.stage, record.source, record.event_id, record.tick) == (Stage.SWEEP, "nightly", due, given)


async def test_a_record_without_a_case_gets_one(stack: Stack, began: datetime) -> None:
    """Somebody acknowledged the record without starting its case: the sweeper starts it, once."""
    record = _record(delivery(stack.post(), event_id=fresh("no-case")))
    await publish_dead_letter(stack.bus, record, timeout=buses.SOON)
    (message,) = await (await stack.bus.jetstream.pull_subscribe_bind(ESCALATOR.name, ESCALATOR.stream)).fetch(1)
    await message.ack_sync()
    finding = await found(stack, began, ids.case_id(record.id))
    assert (finding.kind, finding.answer) == (FindingKind.CASE_MISSING, Answer.CASE_STARTED)
    assert (await show_case(stack.client, record.id)).state == "open"


def _record(given: Any) -> DeadLetterRecord:
    event = given.envelope
    return DeadLetterRecord(
        id=ids.delivery_id(given.spec.trigger, event.source, event.id),
        stage=Stage.DELIVERY,
        code="target.refused",
        message="HTTP 404",
        at=datetime.now(UTC),
        source=event.source,
        event_id=event.id,
        event_type=event.type,
        trigger=given.spec.trigger,
        envelope=event,
        spec=given.spec,
    )
