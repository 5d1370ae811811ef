"""`on_unavailable: spool` while the outbox itself is in trouble: 503 in time, never 500, and it mends itself."""

import asyncio
import resource
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.outbox import FILE
from gateway.outbox_file import OutboxFile, Verdict
from holdfast.embedded.servers import free_ports
from holdfast.errors import RejectedInput
from tests import servers
from tests.conftest import assert_eventually
from tests.fault.test_gateway_process import process
from tests.gateways import github_headers, json_body, serving, stored
from tests.servers import NatsServer
from tests.spools import SPOOL, Senders, emptied, spooled, spooling

pytestmark = pytest.mark.fault


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """Start a nats-server that the test may stop."""
    with servers.nats(tmp_path) as server:
        yield server


async def test_a_full_outbox_is_503_and_recovers(own_nats: NatsServer, tmp_path: Path) -> None:
    """Past max_bytes: 503 spool.full and not ready; what lies there is a duplicate; drained, it takes events again."""
    config = SPOOL + "gateway: {spool: {max_bytes: 64KiB}}\n"
    async with spooling(own_nats, tmp_path, config) as gateway:
        own_nats.kill()
        taken = 0
        while (answer := await gateway.github(json_body(n=taken, pad="x" * 4_000), f"n-{taken}")).status_code == 202:
            taken += 1
        assert 8 < taken < 16
        assert (answer.status_code, answer.json()["code"]) == (503, "spool.full")
        assert 5 <= int(answer.headers["retry-after"]) <= 30
        assert (await gateway.http.get("/healthz/ready")).status_code == 503
        assert (await gateway.github(json_body(n=0, pad="x" * 4_000), "n-0")).json()["duplicate"] is True
        own_nats.start()
        await emptied(gateway)
        assert len(await stored(gateway.gateway)) == taken
        own_nats.kill()
        await spooled(gateway, "again")


async def test_a_locked_file_is_503_and_recovers(own_nats: NatsServer, tmp_path: Path) -> None:
    """While somebody else holds the database: 503 within the deadline, never 500; released, 202 again."""
    async with spooling(own_nats, tmp_path, SPOOL) as gateway:
        own_nats.kill()
        await spooled(gateway, "before")
        other = sqlite3.connect(tmp_path / "data" / "spool" / FILE, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        answers = await asyncio.gather(*(gateway.github(json_body(n=n), f"l-{n}") for n in range(20)))
        assert time.monotonic() - began < 2.5
        assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(503, "spool.failed")}
        assert (await gateway.http.get("/healthz/ready")).status_code == 503
        other.execute("ROLLBACK")
        other.close()
        await gateway.ready()
        await spooled(gateway, "l-0")


async def test_a_file_that_is_replaced_is_noticed(own_nats: NatsServer, tmp_path: Path) -> None:
    """Garbage in the file's place: 503, never 500, and never a 202 into a file nobody finds; mended, all is there."""
    file = tmp_path / "data" / "spool" / FILE
    async with spooling(own_nats, tmp_path, SPOOL) as gateway:
        own_nats.kill()
        await spooled(gateway, "before")
        kept = file.with_name("kept")
        file.rename(kept)
        file.write_bytes(b"no database " * 1_000)
        for number in range(3):
            answer = await gateway.github(json_body(n=number), f"g-{number}")
            assert (answer.status_code, answer.json()["code"]) == (503, "spool.failed")
        own_nats.start()

        async def by_the_bus() -> bool:
            return (await gateway.github(json_body(n=4), "g-4")).status_code == 202

        await assert_eventually(by_the_bus, why="the bus takes events whatever the outbox is")
        kept.rename(file)
        await emptied(gateway)
        ids = [envelope.id.partition(".")[0] for envelope, _ in await stored(gateway.gateway)]
        assert {"before", "g-4"} <= set(ids)
        assert len(ids) == len(set(ids))  # g-0 was answered 503 and may be there: its outcome was not known


async def test_a_disk_that_hangs_is_503_within_the_deadline(
    own_nats: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that does not end: 503 spool.failed in 2.5 s, and only the outbox's thread waits; health answers."""
    answering, write = threading.Event(), OutboxFile.write

    def hanging(file: OutboxFile, *args: Any) -> list[Verdict]:
        assert answering.wait(20)
        return write(file, *args)

    async with spooling(own_nats, tmp_path) as gateway:
        monkeypatch.setattr(OutboxFile, "write", hanging)
        own_nats.kill()
        began = time.monotonic()
        waiting = asyncio.create_task(gateway.github(json_body(n=1), "n-1"))
        assert (await gateway.http.get("/healthz/live")).status_code == 200
        answer = await waiting
        assert 2 < time.monotonic() - began < 3
        assert (answer.status_code, answer.json()["code"]) == (503, "spool.failed")
        answering.set()
        await spooled(gateway, "n-1")


async def test_a_disk_without_room_is_503_and_recovers(own_nats: NatsServer, tmp_path: Path) -> None:
    """Writes to the disk fail: 503, never 500; once they succeed again so do webhooks, and what was 202 is stored."""
    ports = free_ports(2)
    unlimited = resource.RLIM_INFINITY
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False, timeout=10) as http:
        senders = Senders(http)
        with process(own_nats, tmp_path, ports, SPOOL) as child:
            await assert_eventually(senders.bus_ready, 30)
            own_nats.kill()
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (100_000, unlimited))
            statuses: list[int] = []
            for number in range(60):
                body = json_body(worker="w", number=number, pad="x" * 4_000)
                answer = await http.post("/hooks/github", content=body, headers=github_headers(body, f"w-{number}"))
                statuses.append(answer.status_code)
                if answer.status_code == 202:
                    senders.acked["w"].append(number)
            assert set(statuses) == {202, 503}
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
            sending = asyncio.create_task(senders.send("after"))
            await senders.more(20)
            child.kill()
            await sending
    assert "Traceback" not in (tmp_path / "gateway.log").read_text()
    own_nats.start()
    async with spooling(own_nats, tmp_path) as gateway:
        found = [envelope.id.rpartition(".")[0] for envelope, _ in await stored(gateway.gateway)]
        told = {f"{name}-{number}" for name, numbers in senders.acked.items() for number in numbers}
        assert told <= set(found)
        assert len(found) == len(set(found))


async def test_a_second_gateway_on_the_same_outbox_is_refused(own_nats: NatsServer, tmp_path: Path) -> None:
    """The directory belongs to one process; a second one does not start, and takes no port."""
    async with serving(own_nats, tmp_path, SPOOL):
        with pytest.raises(RejectedInput, match="in use by another gateway"):
            async with serving(own_nats, tmp_path, SPOOL):
                pass
