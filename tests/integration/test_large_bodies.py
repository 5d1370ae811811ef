"""What is too large for a message goes the whole way all the same: stored once, delivered, and gone in the end."""

import io
import itertools
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from gateway.outbox_record import join, split
from holdfast.bus.connect import Bus
from holdfast.bus.lookup import find_dead_letters, find_event
from holdfast.bus.objects import (
    chunks_of,
    chunks_subject,
    describe,
    descriptions,
    load_body,
    put_body,
    reference_for,
    remove,
)
from holdfast.bus.publish import EventPublisher
from holdfast.bus.retention import fill_of, purge_subject, purge_up_to, subjects_of
from holdfast.bus.streams import BODIES, BODIES_STREAM, DEAD_LETTERS, EVENTS
from holdfast.cli.events import write_body
from holdfast.contracts.moves import RedriveInput
from holdfast.domain.events import Envelope
from holdfast.domain.mapping import _json
from holdfast.embedded.sink import Reply, Sink
from holdfast.errors import ErrorCode, PermanentFailure
from holdfast.ids import sha256_hex
from holdfast.temporal.cases import redrive
from tests import servers
from tests.buses import SOON, connected
from tests.conftest import assert_eventually
from tests.gateways import github_headers, serving
from tests.servers import NatsServer, TemporalServer
from tests.spools import emptied, spooling
from tests.workers import event, ready, settings_of, temporal_client, working
from workers.body_janitor import BodyJanitor

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

MIB = 1_048_576
LATER = timedelta(hours=2)
SIGNED = 'verify: {preset: github, secrets: ["file:github.secret"]}'
fresh_ids = map("large-{}".format, itertools.count())
CONFIG = """version: 1
sources:
  github:
    verify: {preset: github, secrets: ["file:github.secret"]}
triggers:
  whole:
    on: github
    when: event.data.action == "opened"
    run: {http: {url: "URL/whole"}}
    retry: {max_attempts: 1}
  part:
    on: github
    run: {http: {url: "URL/part", body: '{"n": event.data.number, "size": event.body.size}'}}
  event:
    on: github
    run: {http: {url: "URL/event", body: event}}
    retry: {max_attempts: 1}
  bus:
    on: github
    when: event.data.number == 7
    run: {nats: {subject: nobody.listens}}
  other:
    on: github
    when: event.data.action == "closed"
    run: {log: {message: event.id}}
"""


def push(size: int, number: int = 7) -> bytes:
    """JSON of a certain size."""
    head = json.dumps({"action": "opened", "number": number, "repository": {"full_name": "acme/shop"}})[:-1]
    return f'{head}, "more": "{"é" * (size // 4)}{"x" * (size // 2)}"}}'.encode()


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    """A bus with empty streams."""
    async with connected(nats_server) as bus:
        yield bus


@pytest.fixture
async def client(nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path) -> Client:
    """A client of a namespace that a worker has made fit."""
    async with working(settings_of(nats_server, temporal_server), tmp_path) as process:
        await ready(process)
    return await temporal_client(temporal_server, nats_server)


def large(event_id: str, body: bytes) -> Envelope:
    """An event whose body lies elsewhere."""
    digest = sha256_hex(body)
    reference = reference_for("orders", event_id, len(body), digest)
    return event(event_id).model_copy(update={"body": "", "body_sha256": digest, "body_ref": reference})


async def test_every_action_has_what_it_needs_of_a_large_body(
    nats_server: NatsServer, temporal_server: TemporalServer, bus: Bus, tmp_path: Path
) -> None:
    """Filters and mappings read it, HTTP gets its bytes, `event` its reference; NATS says why not; a redrive has it."""
    sink = Sink()
    await sink.start()
    sink.standing["/whole"] = Reply(410)
    config = CONFIG.replace("URL", sink.url)
    body = push(5 * MIB)
    try:
        async with serving(nats_server, tmp_path, config) as gateway:
            answer = await gateway.github(body)
            assert answer.status_code == 202, answer.text
            again = await gateway.github(body)
            assert again.json() == {"id": answer.json()["id"], "status": "accepted", "duplicate": True}
            event_id = answer.json()["id"]
        found = await find_event(bus, "github", event_id)
        assert found is not None
        assert found.envelope.type == "push"
        assert found.envelope.subject == "acme/shop"
        assert found.envelope.body == ""
        written = io.BytesIO()
        await write_body(settings_of(nats_server, temporal_server), "github", event_id, written)
        assert written.getvalue() == body
        assert [known.size async for known in descriptions(bus)] == [len(body)]
        (tmp_path / "worker").mkdir()
        settings = settings_of(nats_server, temporal_server)
        async with working(settings, tmp_path / "worker", config) as process:
            await ready(process)

            async def settled() -> bool:
                letters = [letter.record.code async for letter in find_dead_letters(bus)]
                return len(letters) == 2 and len(sink.at("/part")) == 1 and len(sink.at("/event")) == 1

            await assert_eventually(settled, 30)
            letters = {letter.record.trigger: letter.record async for letter in find_dead_letters(bus)}
            assert letters["bus"].code == ErrorCode.REQUEST_TOO_LARGE
            assert "in one message" in letters["bus"].message
            assert letters["whole"].code == ErrorCode.TARGET_REFUSED
            part = json.dumps({"n": 7, "size": len(body)}, separators=(",", ":"))
            assert sink.at("/part")[0].body_sha256 == sha256_hex(part.encode())
            assert sink.at("/event")[0].body_sha256 == sha256_hex(_json(found.envelope.view()).encode())
            assert found.envelope.view()["body"]["sha256"] == sha256_hex(body)
            sink.standing["/whole"] = Reply(200)
            client = await temporal_client(temporal_server, nats_server)

            async def redriven() -> bool:
                await redrive(client, letters["whole"].id, RedriveInput(by="test"))
                return True

            await assert_eventually(redriven)

            async def arrived() -> bool:
                return len(sink.at("/whole")) == 2

            await assert_eventually(arrived)
            assert {call.body_sha256 for call in sink.at("/whole")} == {sha256_hex(body)}
    finally:
        await sink.stop()


async def test_a_body_is_stored_once_and_read_by_any_client(bus: Bus) -> None:
    """A repeat renews the description and adds nothing; the layout is that of every object store."""
    body = bytes(range(256)) * 4_100
    envelope = large(next(fresh_ids), body)
    assert envelope.body_ref is not None
    await put_body(bus, envelope, body, timeout=SOON)
    first = await describe(bus, envelope.body_ref.name)
    await put_body(bus, envelope, body, timeout=SOON)
    second = await describe(bus, envelope.body_ref.name)
    assert first is not None
    assert second is not None
    assert (first.nuid, first.sequence < second.sequence) == (second.nuid, True)
    assert len(await subjects_of(bus, BODIES_STREAM, ">")) == 2
    assert await load_body(bus, envelope) == body
    store = await bus.jetstream.object_store(BODIES)
    assert (await store.get(envelope.body_ref.name)).data == body


async def test_a_body_that_is_damaged_or_gone_is_said_to_be(bus: Bus) -> None:
    """The last chunk is never handed out before the hash of all is right."""
    body = bytes(300_000)
    envelope = large(next(fresh_ids), body)
    with pytest.raises(PermanentFailure) as missing:
        await load_body(bus, envelope)
    assert missing.value.code is ErrorCode.BODY_MISSING
    await put_body(bus, envelope, body, timeout=SOON)
    other = envelope.model_copy(update={"body_sha256": sha256_hex(b"another")})
    taken: list[bytes] = []

    async def read() -> None:
        taken.extend([chunk async for chunk in chunks_of(bus, other)])

    with pytest.raises(PermanentFailure) as damaged:
        await read()
    assert damaged.value.code is ErrorCode.BODY_DAMAGED
    assert sum(map(len, taken)) < len(body)
    [known] = [found async for found in descriptions(bus)]
    await purge_subject(bus, BODIES_STREAM, chunks_subject(known.nuid))
    with pytest.raises(PermanentFailure) as empty:
        await load_body(bus, envelope)
    assert empty.value.code is ErrorCode.BODY_MISSING


async def test_a_removal_never_crosses_with_a_repeat(bus: Bus) -> None:
    """What was looked at before the body was stored again is not removed; what was removed is stored anew."""
    body = bytes(200_000)
    envelope = large(next(fresh_ids), body)
    await put_body(bus, envelope, body, timeout=SOON)
    [seen] = [found async for found in descriptions(bus)]
    await put_body(bus, envelope, body, timeout=SOON)
    assert not await remove(bus, seen)
    assert await load_body(bus, envelope) == body
    [seen] = [found async for found in descriptions(bus)]
    assert await remove(bus, seen)
    assert await subjects_of(bus, BODIES_STREAM, ">") == []
    await put_body(bus, envelope, body, timeout=SOON)
    assert await load_body(bus, envelope) == body


async def test_a_body_lives_as_long_as_anything_needs_it(
    nats_server: NatsServer, temporal_server: TemporalServer, bus: Bus, client: Client, tmp_path: Path
) -> None:
    """In EVENTS, in an open case, in DEAD_LETTERS: kept, whatever its age; needed by nobody: gone, after a while."""
    body = push(300_000)
    envelope = large(next(fresh_ids), body)
    assert envelope.body_ref is not None
    name, janitor = envelope.body_ref.name, BodyJanitor(bus, client)
    await put_body(bus, envelope, body, timeout=SOON)
    assert await janitor.sweep(datetime.now(UTC)) == []  # just stored: its event may follow
    await EventPublisher(bus).publish_event(envelope, timeout=SOON)
    for hours in range(2, 6):
        assert await janitor.sweep(datetime.now(UTC) + timedelta(hours=hours)) == []
    yaml = CONFIG.replace(SIGNED, "dangerous_unverified: true").replace("github", "orders")
    yaml = yaml.replace("URL", "http://127.0.0.1:1")
    async with working(settings_of(nats_server, temporal_server), tmp_path, yaml) as process:
        await ready(process)

        async def failed() -> bool:
            letters = [letter.record.trigger async for letter in find_dead_letters(bus)]
            return "whole" in letters

        await assert_eventually(failed, 30)
        await purge_up_to(bus, EVENTS, (await fill_of(bus, EVENTS)).last + 1)
        janitor = BodyJanitor(bus, client)
        for hours in range(2, 6):
            assert await janitor.sweep(datetime.now(UTC) + timedelta(hours=hours)) == []
        letters_end = (await fill_of(bus, DEAD_LETTERS)).last + 1

        async def escalated() -> bool:
            info = await bus.jetstream.consumer_info(DEAD_LETTERS, "escalator")
            return bool(info.ack_floor and info.ack_floor.stream_seq == letters_end - 1)

        await assert_eventually(escalated)
        await purge_up_to(bus, DEAD_LETTERS, letters_end)
        for hours in range(2, 6):  # the cases are open, and retried deliveries too
            assert await janitor.sweep(datetime.now(UTC) + timedelta(hours=hours)) == []
    async for run in client.list_workflows(f"ExecutionStatus = 'Running' AND HoldfastEventId = '{envelope.id}'"):
        await client.get_workflow_handle(run.id, run_id=run.run_id).terminate("end of the test")

    async def nothing_runs() -> bool:
        query = f"ExecutionStatus = 'Running' AND HoldfastEventId = '{envelope.id}'"
        return (await client.count_workflows(query)).count == 0

    await assert_eventually(nothing_runs)
    now = datetime.now(UTC) + LATER
    assert await janitor.sweep(now) == []  # once is not enough
    assert await janitor.sweep(now + timedelta(minutes=11)) == [name]
    assert await subjects_of(bus, BODIES_STREAM, ">") == []


async def test_a_large_body_waits_in_the_outbox_like_any_other(tmp_path: Path) -> None:
    """With the bus away it is spooled; drained, it is in the object store before its event is in the stream."""
    body = push(3 * MIB)
    with servers.nats(tmp_path) as server:
        yaml = CONFIG.replace("URL", "http://127.0.0.1:1") + "gateway: {on_unavailable: spool}\n"
        async with spooling(server, tmp_path, yaml) as gateway:
            server.kill()
            answer = await gateway.http.post("/hooks/github", content=body, headers=github_headers(body, "d-9"))
            assert (answer.status_code, answer.json().get("spooled")) == (202, True), answer.text
            server.start()
            await emptied(gateway)
            found = await find_event(gateway.gateway.bus, "github", answer.json()["id"])
            assert found is not None
            assert await load_body(gateway.gateway.bus, found.envelope) == body
    assert split(join(b"{}", b"\n\n")) == (b"{}", b"\n\n")
    assert split(b"{}") == (b"{}", None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" + b"1," * 2_000_000 + b"1]", 400),
        (b"{" + b'"a":1,' * 50_000 + b'"b":1}', 400),
        (b'["' + b"x" * MIB + b'\\ud800"]', 400),
        (b"[NaN, " + b"1," * MIB + b"1]", 400),
        (b'{"a": ' * 100_000 + b"1" + b"}" * 100_000, 400),
        (b"[1e999" + b",1" * MIB + b"]", 400),
        (b'{"a": "' + b"x" * MIB + b"\xff" + b'"}', 400),
    ],
    ids=["values", "same key", "surrogate", "NaN", "deep", "number", "not UTF-8"],
)
async def test_large_json_is_as_strict_as_small(
    nats_server: NatsServer, bus: Bus, tmp_path: Path, body: bytes, status: int
) -> None:
    """400 and never 500, and nothing is stored."""
    async with serving(nats_server, tmp_path, CONFIG.replace("URL", "http://127.0.0.1:1")) as gateway:
        answer = await gateway.github(body)
        assert answer.status_code == status, answer.text
    assert await subjects_of(bus, BODIES_STREAM, ">") == []
    assert (await fill_of(bus, EVENTS)).messages == 0
