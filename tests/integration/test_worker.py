import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, RemoveSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.lookup import find_dead_letters, find_event, find_unmatched
from holdfast.bus.publish import EventPublisher
from holdfast.bus.retention import backlog_of
from holdfast.bus.streams import DEAD_LETTERS, DISPATCHER, EVENTS, subject_for
from holdfast.bus.topology import ensure_streams
from holdfast.contracts import names
from holdfast.contracts.moves import AcknowledgeInput, DiscardInput
from holdfast.domain.deadletters import CaseState, Stage
from holdfast.domain.streams import BusConfig
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.temporal.case_list import CaseFilter, count_open, list_cases
from holdfast.temporal.cases import acknowledge, discard, show_case
from tests import servers
from tests.buses import SOON
from tests.conftest import assert_eventually
from tests.workers import event, fresh_bus, ready, settings_of, temporal_client, working
from workers.replayer import replayer
from workers.worker import WorkerProcess

pytestmark = pytest.mark.integration


class AtWork(NamedTuple):
    """What most tests here need."""

    process: WorkerProcess
    bus: Bus
    client: Client


@pytest.fixture
async def at_work(
    nats_server: servers.NatsServer, temporal_server: servers.TemporalServer, tmp_path: Path
) -> AsyncIterator[AtWork]:
    """A worker that is ready, on empty streams."""
    settings = settings_of(nats_server, temporal_server)
    async with fresh_bus(settings) as bus, working(settings, tmp_path) as process:
        await ready(process)
        yield AtWork(process, bus, await temporal_client(temporal_server, nats_server))


def fresh(name: str) -> str:
    """An event id that no other test has used: Temporal remembers them."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


async def settled(bus: Bus) -> bool:
    """Whether the dispatcher has nothing before it."""
    backlog = await backlog_of(bus, DISPATCHER)
    return backlog.pending == backlog.ack_pending == 0


async def exists(client: Client, workflow_id: str) -> bool:
    """Whether a workflow of that id exists."""
    try:
        await client.get_workflow_handle(workflow_id).describe()
    except RPCError:
        return False
    return True


async def test_an_event_becomes_one_workflow_even_when_it_comes_twice(at_work: AtWork) -> None:
    """The same event stored twice, past the bus's own deduplication, is delivered by one run."""
    _, bus, client = at_work
    one = event(fresh("twice"))
    await EventPublisher(bus).publish_event(one, timeout=SOON)
    for _ in range(3):  # no message id: the bus cannot know that it is the same
        await bus.jetstream.publish(subject_for(one.source, one.id), one.encode())
    delivery = ids.delivery_id("note", one.source, one.id)
    await assert_eventually(lambda: settled(bus))
    result = await client.get_workflow_handle(delivery).result()
    assert result["outcome"] == "delivered"
    runs = [run async for run in client.list_workflows(f"WorkflowId = '{delivery}'")]
    assert len(runs) <= 1  # visibility may lag; two would be wrong at any time
    found = await find_event(bus, one.source, one.id)
    assert found is not None
    assert found.envelope == one


async def test_an_event_that_nobody_wants_is_recorded(at_work: AtWork) -> None:
    """Neither a filter that is false nor a source without triggers makes an event vanish."""
    _, bus, _ = at_work
    unlistened, filtered = event(fresh("plain"), source="plain"), event(fresh("no"), '{"wanted": false}')
    for one in (unlistened, filtered):
        await EventPublisher(bus).publish_event(one, timeout=SOON)
    await assert_eventually(lambda: settled(bus))
    for one in (unlistened, filtered):
        record = await find_unmatched(bus, one.source, one.id)
        assert record is not None
        assert record.event_type == one.type


async def test_an_undecidable_filter_is_a_dead_letter_with_a_case(at_work: AtWork) -> None:
    """A filter that fails on an event drops nothing: the trigger's dead letter has the event, and a case."""
    _, bus, client = at_work
    one = event(fresh("undecidable"), '{"wanted": true, "broken": 1}')
    await EventPublisher(bus).publish_event(one, timeout=SOON)
    case = ids.case_id(ids.delivery_id("broken", one.source, one.id))
    await assert_eventually(lambda: exists(client, case))
    view = await show_case(client, case)
    assert view.record.envelope == one
    assert view.record.stage == Stage.FILTER
    await assert_eventually(lambda: exists(client, ids.delivery_id("note", one.source, one.id)))

    async def listed() -> bool:
        return [c.workflow_id for c in await list_cases(client, CaseFilter(event_id=one.id))] == [case]

    await assert_eventually(listed)


HOSTILE: list[tuple[bytes, bytes]] = [
    (b"\x00\xff\xfe no event", b"NATS/1.0\r\n\r\n"),
    (b"", b"NATS/1.0\r\n\r\n"),
    (b"", b"NATS/1.0\r\nStatus: 404\r\n\r\n"),
    (b"a", b"NATS/1.0\r\nStatus: 404\r\nDescription: No Messages\r\n\r\n"),
    (b"b", b"NATS/1.0\r\nStatus: 408\r\n\r\n"),
    (b"", b"NATS/1.0\r\nStatus: 100\r\nDescription: Idle Heartbeat\r\n\r\n"),
    (b"c", b"NATS/1.0\r\nStatus: 503\r\n\r\n"),
    (b"d", b"NATS/1.0\r\nStatus: abc\r\n\r\n"),
    (b"e", b"NATS/1.0 404 No Messages\r\n\r\n"),
    (b"", b"NATS/1.0 100 Idle Heartbeat\r\n\r\n"),
    (b"f", b"NATS/1.0 \xff\xfe\xfd \xff\r\n\r\n"),
    (b"g", b"NATS/1.0\r\nX: \xff\xfe\r\n\r\n"),
    (b"h", b"NATS/1.0\r\nNats-Stream: OTHER\r\nNats-Sequence: 7\r\n\r\n"),
    (b'{"holdfast": 1}', b"NATS/1.0\r\nNats-Consumer-Stalled: events.orders.abc\r\n\r\n"),
    (b"[" * 100_000, b"NATS/1.0\r\n\r\n"),
]


async def store_raw(bus: Bus, subject: bytes, headers: bytes, body: bytes) -> dict[str, object]:
    """Put bytes on the stream as no client library would, and return the acknowledgement."""
    inbox = bus.client.new_inbox()
    subscription = await bus.client.subscribe(inbox)
    line = b"HPUB %s %s %d %d\r\n" % (subject, inbox.encode(), len(headers), len(headers) + len(body))
    await bus.client._send_command(line + headers + body + b"\r\n")
    await bus.client.flush()
    reply = json.loads((await subscription.next_msg(5)).data)
    await subscription.unsubscribe()
    assert isinstance(reply, dict)
    return reply


async def test_hostile_messages_become_dead_letters_and_harm_no_neighbour(at_work: AtWork) -> None:
    """Bytes, headers and subjects that imitate the protocol end as dead letters with every byte; all else flows."""
    process, bus, client = at_work
    before, expected = event(fresh("before")), {}
    await EventPublisher(bus).publish_event(before, timeout=SOON)
    for number, (body, headers) in enumerate(HOSTILE):
        subject = b"events.orders.\xff\xfe" if number == 0 else b"events.orders.abc"
        stored = await store_raw(bus, subject, headers, body)
        expected[ids.stray_id(EVENTS, int(str(stored["seq"])))] = body
    refused = await store_raw(bus, b"events.orders.abc", b"NATS/1.0\r\nNats-Rollup: all\r\n\r\n", b"x")
    assert "error" in refused  # a roll-up would have purged the stream
    after = event(fresh("after"))
    await EventPublisher(bus).publish_event(after, timeout=SOON)
    await assert_eventually(lambda: settled(bus), within=15)
    letters = {letter.record.id: letter.record async for letter in find_dead_letters(bus)}
    assert {stray: base64.b64decode(letters[stray].raw_base64 or "") for stray in expected} == expected
    for one in (before, after):
        await client.get_workflow_handle(ids.delivery_id("note", one.source, one.id)).result()
    for stray in expected:
        await assert_eventually(partial(exists, client, ids.case_id(stray)))
    await ready(process)


async def test_what_is_no_dead_letter_gets_a_case_too(at_work: AtWork) -> None:
    """Bytes put straight into DEAD_LETTERS are not dropped: their case has them."""
    _, bus, client = at_work
    stored = await bus.jetstream.publish("dead-letters.x.abc", b"\xff not a record", headers={"Status": "404"})
    case = ids.case_id(ids.stray_id(DEAD_LETTERS, stored.seq))
    await assert_eventually(lambda: exists(client, case))
    view = await show_case(client, case)
    assert base64.b64decode(view.record.raw_base64 or "") == b"\xff not a record"


@pytest.mark.parametrize("what", ["consumer", "stream"])
async def test_what_is_deleted_at_run_time_is_made_again(at_work: AtWork, what: str) -> None:
    """The consumer (or the whole stream) is removed under a running worker: it notices, rebuilds, and works on."""
    process, bus, client = at_work
    if what == "consumer":
        await bus.jetstream.delete_consumer(EVENTS, DISPATCHER.name)
    else:
        await bus.jetstream.delete_stream(EVENTS)

    async def rebuilt() -> bool:
        try:
            await bus.jetstream.consumer_info(EVENTS, DISPATCHER.name)
        except Exception:  # noqa: BLE001 - not yet
            return False
        return not process.reasons()

    await assert_eventually(rebuilt, within=30)
    one = event(fresh("later"))
    await EventPublisher(bus).publish_event(one, timeout=SOON)
    await assert_eventually(lambda: exists(client, ids.delivery_id("note", one.source, one.id)))


async def test_the_ops_port_says_what_is(at_work: AtWork) -> None:
    """Live, ready and metrics answer on the worker's own port."""
    process, _, _ = at_work
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.ops_port}", trust_env=False) as http:
        assert (await http.get("/healthz/live")).status_code == 200
        state = (await http.get("/healthz/ready")).json()
        assert (state["status"], state["reasons"], state["config"]["state"]) == ("ready", {}, "current")
        assert "holdfast" in (await http.get("/metrics")).text


async def test_a_worker_starts_without_its_servers_and_heals(tmp_path: Path) -> None:
    """Started while NATS and Temporal are down it says so, and works when they come, events of meanwhile included."""
    with servers.nats(tmp_path) as nats, servers.temporal(tmp_path) as temporal:
        nats.kill()
        temporal.kill()
        async with working(settings_of(nats, temporal), tmp_path) as process:
            await asyncio.wait_for(_not_ready(process, {"bus", "temporal"}), 10)
            nats.start()
            temporal.start()
            await ready(process, within=40)


async def test_temporal_killed_under_load_loses_and_dead_letters_nothing(tmp_path: Path) -> None:
    """While Temporal is gone the circuit opens and events wait on the bus; when it is back each is delivered once."""
    with servers.nats(tmp_path) as nats, servers.temporal(tmp_path) as temporal:
        settings = settings_of(nats, temporal)
        async with fresh_bus(settings) as bus, working(settings, tmp_path) as process:
            await ready(process)
            publisher = EventPublisher(bus)
            events = [event(f"outage-{number}") for number in range(60)]
            for one in events[:20]:
                await publisher.publish_event(one, timeout=SOON)
            temporal.kill()
            for one in events[20:]:
                await publisher.publish_event(one, timeout=SOON)
            await asyncio.wait_for(_not_ready(process, {"temporal"}), 30)
            temporal.start()
            await assert_eventually(lambda: settled(bus), within=60)
            assert [letter async for letter in find_dead_letters(bus)] == []
            client = await temporal_client(temporal, nats)
            for one in events:
                await client.get_workflow_handle(ids.delivery_id("note", one.source, one.id)).result()


async def _not_ready(process: WorkerProcess, parts: set[str]) -> None:
    async def names_them() -> bool:
        return parts <= process.reasons().keys()

    await assert_eventually(names_them, within=30)


async def test_a_missing_search_attribute_dead_letters_nothing(tmp_path: Path) -> None:
    """A namespace that cannot take our starts is the deployment's fault: not ready, events wait, and it heals."""
    with servers.nats(tmp_path) as nats, servers.temporal(tmp_path) as temporal:
        settings = settings_of(nats, temporal)
        client = await temporal_client(temporal, nats)
        await _remove(client, names.SA_TRIGGER)
        await _add(client, names.SA_TRIGGER, IndexedValueType.INDEXED_VALUE_TYPE_INT)
        async with fresh_bus(settings) as bus, working(settings, tmp_path) as process:
            await asyncio.wait_for(_not_ready(process, {"temporal"}), 30)
            await ensure_streams(bus, BusConfig())
            publisher, events = EventPublisher(bus), [event(fresh("attribute")) for _ in range(6)]
            for one in events[:3]:
                await publisher.publish_event(one, timeout=SOON)
            await assert_eventually(lambda: _says(process, names.SA_TRIGGER))
            await _remove(client, names.SA_TRIGGER)  # the worker registers what is missing
            await ready(process, within=40)
            await _remove(client, names.SA_TRIGGER)  # and again while it works
            for one in events[3:]:
                await publisher.publish_event(one, timeout=SOON)
            await assert_eventually(lambda: settled(bus), within=60)
            assert [letter async for letter in find_dead_letters(bus)] == []
            for one in events:
                await client.get_workflow_handle(ids.delivery_id("note", one.source, one.id)).result()


async def test_an_event_too_large_for_temporal_is_a_dead_letter_at_stage_start(at_work: AtWork) -> None:
    """What Temporal can never take is given up at once, with the event, and its neighbours are delivered."""
    _, bus, client = at_work
    # the bus takes it (under 2 MiB); as a workflow input, with two mapped arguments, it is past 2 MiB
    large, small = event(fresh("large"), json.dumps({"wanted": "large", "x": "y" * 1_040_000})), event(fresh("small"))
    for one in (large, small):
        await EventPublisher(bus).publish_event(one, timeout=SOON)
    case = ids.case_id(ids.delivery_id("large", large.source, large.id))
    await assert_eventually(lambda: exists(client, case))
    view = await show_case(client, case)
    assert view.record.stage == Stage.START
    assert view.record.envelope == large
    await client.get_workflow_handle(ids.delivery_id("note", small.source, small.id)).result()


async def test_stopping_drains_in_time_and_loses_nothing(
    nats_server: servers.NatsServer, temporal_server: servers.TemporalServer, tmp_path: Path
) -> None:
    """Stopped in the middle of a burst, the worker ends within twelve seconds; the next one does the rest."""
    settings = settings_of(nats_server, temporal_server)
    client = await temporal_client(temporal_server, nats_server)
    events = [event(fresh("burst")) for _ in range(80)]
    async with fresh_bus(settings) as bus:
        async with working(settings, tmp_path) as process:
            await ready(process)
            publisher = EventPublisher(bus)
            await asyncio.gather(*(publisher.publish_event(one, timeout=SOON) for one in events))
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 12
        async with working(settings, tmp_path):
            await assert_eventually(lambda: settled(bus), within=90)
            for one in events:
                await client.get_workflow_handle(ids.delivery_id("note", one.source, one.id)).result()


async def _says(process: WorkerProcess, word: str) -> bool:
    return word in process.reasons().get("temporal", "")


async def _remove(client: Client, name: str) -> None:
    await client.operator_service.remove_search_attributes(
        RemoveSearchAttributesRequest(namespace=client.namespace, search_attributes=[name])
    )


async def _add(client: Client, name: str, kind: IndexedValueType.ValueType) -> None:
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace=client.namespace, search_attributes={name: kind})
    )


async def test_a_case_is_acknowledged_then_discarded_and_says_what_is_possible(at_work: AtWork) -> None:
    """A person's moves answer with the case, an illegal one says what is possible, and the count follows."""
    _, bus, client = at_work
    one = event(fresh("moved"), '{"wanted": false, "broken": 1}')
    await EventPublisher(bus).publish_event(one, timeout=SOON)
    letter = ids.delivery_id("broken", one.source, one.id)
    await assert_eventually(lambda: exists(client, ids.case_id(letter)))
    seen = await acknowledge(client, letter, AcknowledgeInput(by="ann"))
    assert seen.state == CaseState.ACKNOWLEDGED
    with pytest.raises(RejectedInput) as illegal:
        await acknowledge(client, letter, AcknowledgeInput(by="bob"))
    assert illegal.value.code == ErrorCode.CASE_ILLEGAL_MOVE

    async def listed() -> bool:
        return [c.dead_letter_id for c in await list_cases(client, CaseFilter(event_id=one.id))] == [letter]

    await assert_eventually(listed)
    open_before = await count_open(client)
    assert open_before >= 1
    done = await discard(client, letter, DiscardInput(by="ann", reason="a test"))
    assert done.state == CaseState.DISCARDED

    async def closed() -> bool:
        return await list_cases(client, CaseFilter(event_id=one.id)) == []

    await assert_eventually(closed)
    with pytest.raises(RejectedInput) as absent:
        await show_case(client, "no/such/case")
    assert absent.value.code == ErrorCode.NOT_FOUND


async def test_workflow_code_replays_as_the_worker_ran_it(at_work: AtWork) -> None:
    """The replayer, built from the worker's own options, replays a delivery without a difference."""
    _, bus, client = at_work
    one = event(fresh("replayed"))
    await EventPublisher(bus).publish_event(one, timeout=SOON)
    delivery = ids.delivery_id("note", one.source, one.id)
    await assert_eventually(lambda: exists(client, delivery))
    handle = client.get_workflow_handle(delivery)
    await handle.result()
    await replayer().replay_workflow(await handle.fetch_history())
