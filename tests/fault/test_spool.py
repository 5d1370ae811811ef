"""`on_unavailable: spool` against a real NATS that is killed, frozen, away: what is answered 2xx reaches the stream."""

import asyncio
import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from gateway.outbox import FILE
from gateway.outbox_file import NewEvent, OutboxFile, Verdict
from holdfast.bus.lookup import find_dead_letters
from holdfast.bus.streams import EVENTS
from holdfast.domain.events import decode_envelope
from holdfast.embedded.servers import free_ports
from tests import servers
from tests.conftest import assert_eventually
from tests.fault.test_gateway_process import process
from tests.gateways import CONFIG, json_body, serving, stored
from tests.servers import NatsServer
from tests.spools import SPOOL, Senders, emptied, spooled, spooling

pytestmark = pytest.mark.fault


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """Start a nats-server that the test may stop."""
    with servers.nats(tmp_path) as server:
        yield server


async def test_an_outage_is_nothing_to_the_sender(own_nats: NatsServer, tmp_path: Path) -> None:
    """NATS killed: 202, spooled, ready; back again: each event is in the stream once, in the order it was accepted."""
    async with spooling(own_nats, tmp_path, SPOOL) as gateway:
        first = await gateway.github(json_body(delivery="before"), "before")
        assert (first.status_code, "spooled" in first.json()) == (202, False)
        own_nats.kill()
        await spooled(gateway, "e-0")
        ready = await gateway.http.get("/healthz/ready")
        assert ready.status_code == 200
        assert ready.json()["bus"].startswith("not connected")
        assert ready.json()["outbox"]["events"] == 1
        for number in range(1, 40):
            await spooled(gateway, f"e-{number}")
        repeat = (await gateway.github(json_body(delivery="e-7"), "e-7")).json()
        assert (repeat["duplicate"], repeat["spooled"]) == (True, True)
        metrics = (await gateway.ops.get("/metrics")).text
        assert 'holdfast_spool_stored_total{source="github"} 40.0' in metrics
        own_nats.start()
        await emptied(gateway)
        order = [envelope.id.partition(".")[0] for envelope, _ in await stored(gateway.gateway)]
        assert order == ["before", *(f"e-{number}" for number in range(40))]
        after = (await gateway.github(json_body(delivery="e-7"), "e-7")).json()
        assert (after["duplicate"], "spooled" in after) == (True, False)
        metrics = (await gateway.ops.get("/metrics")).text
        assert 'holdfast_spool_drained_total{outcome="stored"} 40.0' in metrics
        assert "holdfast_spool_events 0.0" in metrics


async def test_a_frozen_bus_is_bridged_within_the_deadline(own_nats: NatsServer, tmp_path: Path) -> None:
    """NATS frozen: the first waits and is 202 in 2.5 s, those behind it at once; thawed, each is stored once."""
    async with spooling(own_nats, tmp_path, SPOOL) as gateway:
        own_nats.send(signal.SIGSTOP)
        try:
            began = time.monotonic()
            await asyncio.gather(*(spooled(gateway, f"f-{number}") for number in range(5)))
            assert time.monotonic() - began < 2.5
            began = time.monotonic()
            await spooled(gateway, "behind")
            assert time.monotonic() - began < 0.5
        finally:
            own_nats.send(signal.SIGCONT)
        await emptied(gateway)
        ids = [envelope.id.partition(".")[0] for envelope, _ in await stored(gateway.gateway)]
        assert sorted(ids) == ["behind", *(f"f-{number}" for number in range(5))]


async def test_it_starts_without_a_bus_and_accepts(own_nats: NatsServer, tmp_path: Path) -> None:
    """NATS away at the start: ready and accepting at once; the next process brings what this one has left."""
    own_nats.kill()
    async with serving(own_nats, tmp_path, SPOOL) as gateway:
        await spooled(gateway, "early")
    own_nats.start()
    async with serving(own_nats, tmp_path, SPOOL) as gateway:
        await emptied(gateway)
        assert [envelope.id.partition(".")[0] for envelope, _ in await stored(gateway.gateway)] == ["early"]


async def test_what_was_published_and_not_removed_is_published_again(
    own_nats: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between PubAck and removal all may stop: the next process publishes again, and the bus drops the copies."""
    write = OutboxFile.write

    def without_removal(file: OutboxFile, events: Sequence[NewEvent], gone: Sequence[int]) -> list[Verdict]:
        if gone:
            raise OSError("the process ends here")
        return write(file, events, gone)

    async with spooling(own_nats, tmp_path) as gateway:
        own_nats.kill()
        for number in range(3):
            await spooled(gateway, f"p-{number}")
        monkeypatch.setattr(OutboxFile, "write", without_removal)
        own_nats.start()

        async def published() -> bool:
            return gateway.gateway.bus.is_connected and len(await stored(gateway.gateway)) > 0

        await assert_eventually(published, 30)
    monkeypatch.setattr(OutboxFile, "write", write)
    async with spooling(own_nats, tmp_path) as gateway:
        order = [envelope.id.partition(".")[0] for envelope, _ in await stored(gateway.gateway)]
        assert order == ["p-0", "p-1", "p-2"]
        assert 'holdfast_spool_drained_total{outcome="duplicate"}' in (await gateway.ops.get("/metrics")).text


async def test_a_full_bus_is_bridged(own_nats: NatsServer, tmp_path: Path) -> None:
    """EVENTS full of unsettled events: 202 out of the outbox, which empties itself once there is room, in order."""
    config = SPOOL + "bus: {streams: {events: {max_bytes: 16MiB}}}\n"
    async with spooling(own_nats, tmp_path, config) as gateway:
        answers = [await gateway.http.post("/hooks/large", content=f"{n}".ljust(125_000)) for n in range(140)]
        assert {answer.status_code for answer in answers} == {202}
        kept = [answer.json()["id"] for answer in answers if "spooled" in answer.json()]
        assert 3 < len(kept) < 20
        await gateway.gateway.bus.jetstream.purge_stream(EVENTS)
        await emptied(gateway)
        js = gateway.gateway.bus.jetstream
        state = (await js.stream_info(EVENTS)).state
        messages = [await js.get_msg(EVENTS, seq) for seq in range(state.first_seq, state.last_seq + 1)]
        assert [decode_envelope(message.data or b"").id for message in messages] == kept


async def test_a_gateway_that_rejects_empties_what_was_left(own_nats: NatsServer, tmp_path: Path) -> None:
    """Changed from spool to reject with events in the outbox: they are brought to the bus, none is added."""
    own_nats.kill()
    async with serving(own_nats, tmp_path, SPOOL) as gateway:
        await spooled(gateway, "left")
    async with serving(own_nats, tmp_path, CONFIG, awaited=False) as gateway:
        answer = await gateway.github(json_body(n=1), "n-1")
        assert (answer.status_code, answer.json()["code"]) == (503, "bus.unavailable")
        own_nats.start()
        await emptied(gateway)
        assert [envelope.id.partition(".")[0] for envelope, _ in await stored(gateway.gateway)] == ["left"]


async def test_what_the_bus_can_never_take_is_seen_and_blocks_nothing(own_nats: NatsServer, tmp_path: Path) -> None:
    """A record that the disk has changed becomes a dead letter with its bytes; the event behind it is stored."""
    own_nats.kill()
    async with serving(own_nats, tmp_path, SPOOL) as gateway:
        await spooled(gateway, "first")
    file = OutboxFile.open(tmp_path / "data" / "spool" / FILE, 1_000_000)
    changed = file.oldest(1)[0]
    file.write([NewEvent("github", "changed", changed.record), NewEvent("github", "torn", b"{")], [])
    file.close()
    own_nats.start()
    async with serving(own_nats, tmp_path, SPOOL) as gateway:
        await emptied(gateway)
        assert [envelope.id.partition(".")[0] for envelope, _ in await stored(gateway.gateway)] == ["first"]
        letters = {letter.record.event_id: letter.record async for letter in find_dead_letters(gateway.gateway.bus)}
        assert {name: letter.code for name, letter in letters.items()} == {
            "changed": "envelope.invalid",
            "torn": "envelope.invalid",
        }


async def test_a_bus_that_somebody_must_mend_is_not_hidden(tmp_path: Path) -> None:
    """A bus that acknowledges before it syncs: 503 and not ready, as without an outbox; nothing is kept."""
    with servers.nats(tmp_path, sync_always=False) as careless:
        async with serving(careless, tmp_path, SPOOL, awaited=False) as gateway:

            async def says_why() -> bool:
                return "sync_interval: always" in (await gateway.ops.get("/healthz/ready")).text

            await assert_eventually(says_why)
            answer = await gateway.github(json_body(n=1))
            assert (answer.status_code, answer.json()["code"]) == (503, "bus.misconfigured")


async def test_nothing_answered_is_lost_when_bus_and_gateway_die(own_nats: NatsServer, tmp_path: Path) -> None:
    """NATS killed under load, the gateway killed meanwhile, both started again: every 202 is stored once, in order."""
    ports = free_ports(2)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False, timeout=10) as http:
        senders = Senders(http)
        for run in range(3):
            with process(own_nats, tmp_path, ports, SPOOL) as child:
                await assert_eventually(senders.bus_ready, 30)
                sending = [asyncio.create_task(senders.send(f"{run}.{worker}")) for worker in range(8)]
                await senders.more(200)
                own_nats.kill()
                await senders.more(200)
                if run == 2:  # at last, while the outbox is being emptied
                    await asyncio.to_thread(own_nats.start)
                    await senders.more(50)
                child.kill()
                await asyncio.gather(*sending)
            if run < 2:
                await asyncio.to_thread(own_nats.start)
    assert "Traceback" not in (tmp_path / "gateway.log").read_text()
    found: defaultdict[str, list[int]] = defaultdict(list)
    async with spooling(own_nats, tmp_path) as gateway:
        for envelope, _ in await stored(gateway.gateway):
            name, _, number = envelope.id.rpartition(".")[0].partition("-")
            found[name].append(int(number))
    for name, numbers in senders.acked.items():
        assert set(numbers) <= set(found[name]), "an event that was answered 202 is lost"
        assert len(found[name]) == len(set(found[name])), "an event is stored twice"
        assert found[name] == sorted(found[name]), "events of one sender changed places"
