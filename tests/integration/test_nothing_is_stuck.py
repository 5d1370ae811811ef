"""On the real Temporal: whatever is started on our task queue ends, and leaves a dead letter."""

import asyncio
import base64
import gc
import json
import warnings
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.dead_letter import CaseView, DeadLetterRecord
from holdfast.domain.actions import LogAction, NatsAction, SearchAttribute, WorkflowAction
from holdfast.domain.deadletters import Stage
from holdfast.domain.retry import RetryPolicy
from holdfast.embedded.servers import binary
from holdfast.embedded.sink import Reply
from tests import buses, durable
from tests.conftest import assert_eventually
from tests.durable import RECEIVED, Stack, delivery, failure, kinds, raw
from tests.servers import NatsServer, TemporalServer

pytestmark = pytest.mark.integration


@pytest.fixture
async def stack(
    tmp_path: Path, nats_server: NatsServer, temporal_server: TemporalServer
) -> AsyncIterator[durable.Stack]:
    """A worker on the real servers."""
    client = await durable.connect(temporal_server.plan.address)
    async with (
        buses.connected(nats_server) as bus,
        durable.stack(client, bus, durable.config(tmp_path), {}) as running,
    ):
        yield running


GARBAGE: dict[str, list[Any]] = {
    "nothing": [],
    "null": [None],
    "a number": [7],
    "text": ["hello"],
    "an empty object": [{}],
    "a list": [[1, 2]],
    "an unknown encoding": [raw("binary/encrypted", b"\x00\x01")],
    "no encoding": [raw("", b"\xff")],
    "broken JSON": [raw("json/plain", b"{")],
    "bytes": [b"\x00\xff"],
    "two arguments": [{}, {}],
    "two undecodable arguments": [raw("binary/x", b"1"), raw("binary/x", b"2")],
}


@pytest.mark.parametrize("kind", [names.EVENT_DELIVERY, names.DEAD_LETTER, names.SCHEDULED_EVENT, "NoSuchWorkflow"])
@pytest.mark.parametrize("what", list(GARBAGE))
async def test_garbage_ends(stack: Stack, kind: str, what: str) -> None:
    """Every wrong input ends as Failed; with one argument or none also as a dead letter that holds its bytes.

    Two arguments fail on Python's own arity check, before any code of ours: Failed, and no more.
    """
    workflow_id = f"garbage-{kind}-{what}"
    handle = await stack.start(kind, GARBAGE[what], workflow_id)
    with warnings.catch_warnings():
        # the SDK leaves its coroutine behind where a workflow's __init__ cannot be called
        warnings.filterwarnings("ignore", message="coroutine '_WorkflowInstanceImpl", category=RuntimeWarning)
        error = await asyncio.wait_for(failure(handle), 20)
        gc.collect()
    if len(GARBAGE[what]) == 2 and kind != "NoSuchWorkflow":
        return
    assert error.type == "dead_lettered"
    (record,) = await stack.dead_letters()
    assert record.id == ids.foreign_id(workflow_id)
    assert record.stage == Stage.DECODE
    assert record.code == ("workflow.unknown_type" if kind == "NoSuchWorkflow" else "input.invalid")
    if what == "an unknown encoding":
        assert base64.b64decode(record.raw_base64 or "") == b"\x00\x01"


async def cli(server: TemporalServer, *args: str) -> tuple[int, str]:
    """Run the `temporal` command as a person does."""
    process = await asyncio.create_subprocess_exec(
        binary("temporal"),
        *args,
        "--address",
        server.plan.address,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, out.decode()


async def test_a_person_moves_a_case_with_the_temporal_command(stack: Stack, temporal_server: TemporalServer) -> None:
    """Updates by `temporal workflow update execute`: garbage is rejected with the reason, JSON is taken."""
    given = delivery(LogAction(message="hi"), trigger="gone")
    letter = DeadLetterRecord(
        id="gone/shop/cli",
        stage=Stage.DELIVERY,
        code="target.refused",
        message="HTTP 404",
        at=RECEIVED,
        source="shop",
        event_id="e-1",
        trigger="gone",
        envelope=given.envelope,
        spec=given.spec,
    )
    case = ids.case_id(letter.id)
    handle = await stack.start(names.DEAD_LETTER, letter, case)
    update = ("workflow", "update", "execute", "--workflow-id", case, "--name")
    code, out = await cli(temporal_server, *update, "discard", "--input", '"please"')
    assert code != 0
    assert "not a DiscardInput" in out
    code, out = await cli(temporal_server, *update, "discard", "--input", '{"by": "ana"}')
    assert code != 0
    assert "reason" in out
    code, out = await cli(temporal_server, *update, "acknowledge")
    assert code == 0, out
    code, out = await cli(temporal_server, "workflow", "query", "--workflow-id", case, "--type", "case")
    assert code == 0, out
    assert "acknowledged" in out
    code, out = await cli(temporal_server, "workflow", "list", "--query", "HoldfastState = 'acknowledged'")
    assert case in out
    code, out = await cli(temporal_server, *update, "redrive", "--input", '{"by": "ana", "reason": "mended"}')
    assert code == 0, out
    assert "gone/shop/cli:r1" in out
    view = CaseView.model_validate(await handle.result())
    assert view.state == "resolved"


async def test_the_command_line_schedule_publishes_an_event(stack: Stack, temporal_server: TemporalServer) -> None:
    """A schedule made by hand ticks as one of ours, with its nominal time as the event's id."""
    tick = {"schedule": "by-hand", "type": "t", "data": {"a": 1}}
    code, out = await cli(
        temporal_server,
        *("schedule", "create", "--schedule-id", "by-hand", "--type", names.SCHEDULED_EVENT),
        *("--task-queue", names.TASK_QUEUE, "--interval", "1h", "--input", json.dumps(tick)),
    )
    assert code == 0, out
    code, out = await cli(temporal_server, "schedule", "trigger", "--schedule-id", "by-hand")
    assert code == 0, out

    async def published() -> bool:
        return (await stack.bus.jetstream.stream_info("EVENTS")).state.messages == 1

    await assert_eventually(published)
    message = await stack.bus.jetstream.get_msg("EVENTS", 1)
    event = json.loads(message.data or b"")
    assert (event["source"], event["type"], event["body"]) == ("by-hand", "t", '{"a":1}')
    assert event["id"].endswith("Z")
    assert len(event["id"]) == len("20261120T030000Z")
    await cli(temporal_server, "schedule", "delete", "--schedule-id", "by-hand")


async def test_a_tick_whose_data_cannot_be_written_is_a_dead_letter(stack: Stack) -> None:
    """An expression that fails ends the tick as a dead letter of stage schedule."""
    tick = {"schedule": "nightly", "type": "report", "data_expression": "tick.nope + 1"}
    handle = await stack.start(names.SCHEDULED_EVENT, tick, "tick/nightly-1")
    await failure(handle)
    (record,) = await stack.dead_letters()
    assert (record.stage, record.code, record.source) == (Stage.SCHEDULE, "mapping.failed", "nightly")


async def test_the_log_of_attempts_survives_the_activitys_retries(stack: Stack) -> None:
    """On the real server every attempt is in the dead letter, and the texts people read say what to do."""
    stack.sink.standing["/"] = Reply(500)
    policy = RetryPolicy(max_attempts=7, initial=timedelta(milliseconds=10), jitter=0.0, max=timedelta(milliseconds=20))
    handle = await stack.start(names.EVENT_DELIVERY, delivery(stack.post(), retry=policy), "bill/shop/log")
    error = await failure(handle)
    assert "target.failed after 7 attempts" in error.message
    (record,) = await stack.dead_letters()
    assert [one.number for one in record.attempts] == [1, 2, 3, 4, 5, 6, 7]
    description = await handle.describe()
    assert description.typed_search_attributes[durable.keyword(names.SA_STATE)] == "dead-lettered"
    assert description.typed_search_attributes[durable.keyword(names.SA_ERROR)] == "target.failed"
    details = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    assert "holdfast dead-letters redrive 'bill/shop/log'" in details.current_details


async def test_a_message_to_nats_is_stored_once(stack: Stack) -> None:
    """The action nats waits for the acknowledgement; attempts are one message."""
    stack_id = "bill/shop/nats"
    await stack.bus.jetstream.add_stream(name="ORDERS", subjects=["orders.>"])
    try:
        result = await stack.deliver(delivery(NatsAction(subject="orders.new")), stack_id)
        assert result["result"]["stream"] == "ORDERS"
        message = await stack.bus.jetstream.get_msg("ORDERS", 1)
        assert message.data == b'{"n": 1}'
        assert (message.headers or {})["ce-id"] == "e-1"
    finally:
        await stack.bus.jetstream.delete_stream("ORDERS")


@workflow.defn(name="Greet", sandboxed=False)
class Greet:
    @workflow.run
    async def run(self, event: dict[str, Any]) -> str:
        """Greet, or refuse."""
        if event.get("fail"):
            raise ApplicationError("the user's code says no", non_retryable=True)
        return f"hello {event['id']}"


@workflow.defn(name="Broken", sandboxed=False)
class Broken:
    @workflow.run
    async def run(self, event: dict[str, Any]) -> str:
        """Fail the workflow task, as code of a user may."""
        del event
        raise KeyError("a bug in the user's code")


async def test_a_supervised_workflow_delivers_its_result(stack: Stack) -> None:
    """The user's workflow runs as a child on its own task queue; its result is the delivery's."""
    action = WorkflowAction(workflow="Greet", task_queue="users", args=({"id": "x"},))
    async with Worker(stack.client, task_queue="users", workflows=[Greet]):
        result = await stack.deliver(delivery(action), "greet/shop/1")
    assert result["result"] == "hello x"


async def test_a_supervised_workflow_that_fails_is_a_dead_letter_with_its_message(stack: Stack) -> None:
    """The child's own words are in the dead letter."""
    action = WorkflowAction(workflow="Greet", task_queue="users", args=({"fail": True},))
    async with Worker(stack.client, task_queue="users", workflows=[Greet]):
        await failure(await stack.start(names.EVENT_DELIVERY, delivery(action), "greet/shop/2"))
    (record,) = await stack.dead_letters()
    assert record.code == "workflow.failed"
    assert "the user's code says no" in record.message


async def test_a_run_has_the_id_and_the_search_attributes_that_were_mapped(stack: Stack) -> None:
    """An id of the user's own runs once; after a failure it is free again, so a redrive can succeed."""
    kinds_of = {"Amount": IndexedValueType.INDEXED_VALUE_TYPE_INT}
    request = AddSearchAttributesRequest(namespace=stack.client.namespace, search_attributes=kinds_of)
    await stack.client.operator_service.add_search_attributes(request)
    amount = SearchAttribute(name="Amount", type="int", value=7)
    action = WorkflowAction(workflow="Greet", task_queue="users", id="order-7", search_attributes=(amount,))
    fails, works = (action.model_copy(update={"args": (given,)}) for given in ({"fail": True}, {"id": "x"}))
    async with Worker(stack.client, task_queue="users", workflows=[Greet]):
        await failure(await stack.start(names.EVENT_DELIVERY, delivery(fails), "greet/own/1"))
        assert (await stack.deliver(delivery(works), "greet/own/1:r1"))["result"] == "hello x"
        await failure(await stack.start(names.EVENT_DELIVERY, delivery(works), "greet/own/2"))
    described = await stack.client.get_workflow_handle("order-7").describe()
    assert described.typed_search_attributes.get(SearchAttributeKey.for_int("Amount")) == 7
    assert [record.code for record in await stack.dead_letters()] == ["workflow.failed", "workflow.failed"]


async def test_a_workflow_that_no_worker_begins_is_dead_lettered_in_time(stack: Stack) -> None:
    """Without a worker the delivery waits for start_within, then the run is terminated."""
    action = WorkflowAction(workflow="Nobody", task_queue="nobody", args=({},), start_within=timedelta(seconds=4))
    handle = await stack.start(names.EVENT_DELIVERY, delivery(action), "greet/shop/3")
    await failure(handle)
    (record,) = await stack.dead_letters()
    assert record.code == "workflow.not_runnable"
    assert "no worker on task queue nobody" in record.message
    child = await stack.client.get_workflow_handle("greet/shop/3/run").describe()
    assert child.status == WorkflowExecutionStatus.TERMINATED


async def test_a_workflow_that_no_worker_can_run_is_dead_lettered(stack: Stack) -> None:
    """A first workflow task that keeps failing is noticed, its reason kept, and the run terminated."""
    action = WorkflowAction(workflow="Broken", task_queue="users", args=({},))
    async with Worker(stack.client, task_queue="users", workflows=[Broken]):
        handle = await stack.start(names.EVENT_DELIVERY, delivery(action), "greet/shop/4")
        await asyncio.wait_for(failure(handle), 90)
    (record,) = await stack.dead_letters()
    assert record.code == "workflow.not_runnable"
    assert "a bug in the user's code" in record.message
    assert (await kinds(handle)).count("activity_task_scheduled") <= 7
