"""`Prefer: wait=N` against the real servers: 200 with the outcome where it comes in time, else 202."""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.bus.streams import EVENTS
from holdfast.bus.topology import ensure_streams
from holdfast.domain.streams import BusConfig
from holdfast.embedded.sink import Reply
from tests import servers
from tests.asking import Asking, asking
from tests.conftest import assert_eventually
from tests.servers import NatsServer, TemporalServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture
async def path(nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[Asking]:
    """A gateway, and a worker that runs only where the test starts one."""
    async with asking(nats_server, temporal_server, tmp_path) as found:
        yield found


def new_id() -> str:
    """An id that no earlier test has left in Temporal."""
    return f"w-{uuid.uuid4()}"


async def test_a_delivery_that_ends_in_time_is_answered_with_its_result(path: Asking) -> None:
    """200, the trigger, the attempts, the target's status and answer, and which wait was obeyed."""
    path.sink.standing["/first"] = Reply(200, body=b'{"done": true}')
    event_id = new_id()
    async with path.worker():
        response = await path.send(event_id, "respond-async, wait=20", to="one")
    assert response.status_code == 200, response.text
    assert response.headers["preference-applied"] == "wait=20"
    assert response.headers["location"] == f"/events/shop/{event_id}"
    answer = response.json()
    assert answer["status"] == "delivered"
    assert answer["duplicate"] is False
    (delivery,) = answer["deliveries"]
    assert delivery == {
        "id": f"first/shop/{event_id}",
        "trigger": "first",
        "status": "delivered",
        "attempts": 1,
        "result": {"status": 200, "body": '{"done": true}'},
    }


async def test_a_dead_letter_in_time_is_a_200_that_says_so(path: Asking) -> None:
    """The event was accepted, so the sender must not repeat it; code and dead letter tell, the target's address not."""
    path.sink.standing["/first"] = Reply(404)
    event_id = new_id()
    async with path.worker():
        response = await path.send(event_id, "wait=20", to="one")
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["status"] == "dead_lettered"
    (delivery,) = answer["deliveries"]
    assert (delivery["code"], delivery["dead_letter"]) == ("target.refused", f"first/shop/{event_id}")
    assert path.sink.url not in response.text


async def test_two_triggers_are_both_waited_for(path: Asking) -> None:
    """One succeeds, one is given up: both are in the one answer."""
    path.sink.standing["/first"] = Reply(200)
    path.sink.standing["/second"] = Reply(410)
    async with path.worker():
        response = await path.send(new_id(), "wait=20", to="both")
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["status"] == "partly_delivered"
    assert {each["trigger"]: each["status"] for each in answer["deliveries"]} == {
        "first": "delivered",
        "second": "dead_lettered",
    }


async def test_an_event_that_nobody_wants_is_known_at_once(path: Asking) -> None:
    """No trigger: 200, unmatched, no deliveries."""
    async with path.worker():
        response = await path.send(new_id(), "wait=20", to="nobody")
    assert (response.status_code, response.json()["status"]) == (200, "unmatched")
    assert response.json()["deliveries"] == []


async def test_an_event_that_cannot_be_decided_is_a_dead_letter_at_once(path: Asking) -> None:
    """What the dispatcher itself gives up is told too."""
    async with path.worker():
        response = await path.send(new_id(), "wait=20", to="nobody", broken=1)
    assert (response.status_code, response.json()["status"]) == (200, "dead_lettered")
    assert response.json()["deliveries"][0]["code"] == "filter.failed"


async def test_a_slow_delivery_is_202_and_found_later(path: Asking) -> None:
    """When time runs out the answer is the one of every event, and its Location says how it ended."""
    path.sink.script["/first"] = deque([Reply(503, (("Retry-After", "3"),)), Reply(200)])
    event_id = new_id()
    async with path.worker():
        response = await path.send(event_id, "wait=1", to="one")
        assert response.status_code == 202, response.text
        assert response.headers["preference-applied"] == "wait=1"
        assert response.json() == {"id": event_id, "status": "accepted", "duplicate": False}

        async def delivered() -> bool:
            return bool((await path.status(event_id))["verdict"] == "delivered")

        await assert_eventually(delivered, 30, "the slow delivery is delivered")


async def test_without_a_worker_the_answer_comes_in_time(path: Asking) -> None:
    """Nobody tells anything: 202 after N seconds, and not after 30."""
    began = time.monotonic()
    response = await path.send(new_id(), "wait=2", to="one")
    assert response.status_code == 202
    assert 1.9 < time.monotonic() - began < 6


async def test_the_bus_dies_while_somebody_waits(temporal_server: TemporalServer, tmp_path: Path) -> None:
    """The event was stored before it was waited for, so the sender is still told 202, in time."""
    with servers.nats(tmp_path) as nats:
        async with asking(nats, temporal_server, tmp_path) as path:
            waiting = asyncio.create_task(path.send(new_id(), "wait=4", to="one"))

            async def waits() -> bool:
                return bool(path.running.gateway._waiting.count == 1)

            await assert_eventually(waits, why="the request waits")
            stored = await path.running.gateway.bus.jetstream.stream_info(EVENTS)
            nats.kill()
            async with asyncio.timeout(10):
                response = await waiting
            assert (response.status_code, stored.state.messages) == (202, 1)
            assert response.headers["location"]


async def test_whoever_does_not_wait_is_answered_at_once(path: Asking) -> None:
    """No Prefer, one that cannot be read, wait=0, and a source that does not allow it: 202 without the header."""
    path.sink.standing["/first"] = Reply(200)
    for prefer, source in ((None, "shop"), ("wait=soon", "shop"), ("wait=0", "shop"), ("wait=20", "brief")):
        response = await path.send(new_id(), prefer, source, to="one")
        assert response.status_code == 202
        assert "preference-applied" not in response.headers


async def test_a_repeated_event_is_answered_with_what_is_known(path: Asking) -> None:
    """The first was not waited for, so no news come; the workers are asked."""
    path.sink.standing["/first"] = Reply(200)
    event_id, unwanted = new_id(), new_id()
    async with path.worker():
        assert (await path.send(event_id, to="one")).status_code == 202
        assert (await path.send(unwanted, to="nobody")).status_code == 202
        again = await path.send(event_id, "wait=20", to="one")
        nobody = await path.send(unwanted, "wait=20", to="nobody")
    assert again.status_code == 200, again.text
    assert (again.json()["duplicate"], again.json()["status"]) == (True, "delivered")
    assert (nobody.status_code, nobody.json()["status"]) == (200, "unmatched")


async def test_a_repeat_that_the_bus_does_not_know_any_more_is_looked_up(path: Asking) -> None:
    """Past the bus's own window the message is new, its delivery is not: no news come, and still 200."""
    path.sink.standing["/first"] = Reply(200)
    event_id = new_id()
    async with path.worker():
        assert (await path.send(event_id, "wait=20", to="one")).status_code == 200
        await path.running.gateway.bus.jetstream.purge_stream(EVENTS)
        await path.running.gateway.bus.jetstream.delete_stream(EVENTS)
        await ensure_streams(path.running.gateway.bus, BusConfig())

        async def consumed_again() -> bool:
            again = await path.send(event_id, "wait=5", to="one")
            return bool(again.status_code == 200 and again.json()["status"] == "delivered")

        await assert_eventually(consumed_again, 40, "the repeat is answered with what is known")
    assert len(path.sink.at("/first")) == 1


async def test_a_stopping_gateway_keeps_nobody(path: Asking) -> None:
    """Who waits is answered 202 when the gateway is asked to stop: the event is stored all the same."""
    waiting = asyncio.create_task(path.send(new_id(), "wait=30", to="one"))
    gateway = path.running.gateway

    async def waits() -> bool:
        return bool(gateway._waiting.count == 1)

    await assert_eventually(waits, why="the request waits")
    gateway._waiting.drain()
    async with asyncio.timeout(5):
        response = await waiting
    assert response.status_code == 202
    assert "preference-applied" not in response.headers
    assert gateway._waiting.count == 0


async def test_a_sender_that_leaves_frees_its_place(path: Asking) -> None:
    """A closed connection does not wait to the end."""
    waiting = asyncio.create_task(path.send(new_id(), "wait=30", to="one"))
    gateway = path.running.gateway

    async def count(wanted: int) -> bool:
        return bool(gateway._waiting.count == wanted)

    await assert_eventually(lambda: count(1), why="the request waits")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await assert_eventually(lambda: count(0), 5, "its place is free")


async def test_too_many_that_wait_are_answered_at_once(path: Asking) -> None:
    """Above the bound an event is accepted as without the header."""
    path.running.gateway._waiting._most = 0
    response = await path.send(new_id(), "wait=20", to="one")
    assert response.status_code == 202
    assert "preference-applied" not in response.headers


async def test_a_source_says_its_own_answer(path: Asking) -> None:
    """Status, headers and body of the source; Location stays ours; an outcome comes before the body."""
    path.sink.standing["/first"] = Reply(200)
    event = {"to": "one"}
    response = await path.send(new_id(), source="fixed", **event)
    assert (response.status_code, response.text) == (201, "<p>ok</p>")
    assert response.headers["x-served-by"] == "holdfast"
    assert response.headers["content-type"] == "text/html"
    assert response.headers["location"].startswith("/events/fixed/")
    async with path.worker():
        waited = await path.send(new_id(), "wait=20", source="fixed", **event)
    assert (waited.status_code, waited.json()["status"]) == (200, "delivered")
    assert (waited.headers["x-served-by"], waited.headers["content-type"]) == ("holdfast", "application/json")
