"""The outbox's writing thread: one commit for all who wait, private files, and failures that are told and mended."""

import asyncio
import sqlite3
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.outbox import FILE, Outbox
from gateway.outbox_file import FORMAT, NewEvent, OutboxFile, Verdict
from gateway.outbox_writer import Job, OutboxState, Put, Writer
from holdfast.errors import ErrorCode, RejectedInput, Unavailable
from tests.conftest import assert_eventually

MANY = 1_000_000


def event(number: int, size: int = 10) -> NewEvent:
    """An event of a size."""
    return NewEvent("s", str(number), b"x" * size)


async def test_all_who_wait_share_one_commit(tmp_path: Path) -> None:
    """100 events that wait together are one commit, and each gets its own verdict."""
    commits: list[int] = []
    loop = asyncio.get_running_loop()

    def settled(outcomes: Sequence[tuple[Job, Any]], _: OutboxState) -> None:
        commits.append(len(outcomes))
        for job, outcome in outcomes:
            loop.call_soon_threadsafe(job.result.set_result, outcome)

    writer = Writer(tmp_path / FILE, MANY, settled)
    results = [loop.create_future() for _ in range(100)]
    for number, result in enumerate(results):
        writer.submit(Put(event(number % 99), result))
    writer.start()
    verdicts = await asyncio.gather(*results)
    writer.stop()
    await asyncio.to_thread(writer.join, 5)
    assert commits == [100]
    assert verdicts == [Verdict.STORED] * 99 + [Verdict.DUPLICATE]


async def test_what_nobody_waits_for_is_not_written(tmp_path: Path) -> None:
    """An event whose sender was answered meanwhile is left out, so that a slow disk does not work for nobody."""
    writer = Writer(tmp_path / FILE, MANY, lambda *_: None)
    abandoned: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    abandoned.cancel()
    writer.submit(Put(event(1), abandoned))
    writer.stop()
    writer.start()
    await asyncio.to_thread(writer.join, 5)
    assert not (tmp_path / FILE).exists()


async def test_its_files_are_for_the_owner_only(tmp_path: Path) -> None:
    """The directory is 0700 and every file 0600, whatever the umask: events are in them."""
    outbox = Outbox(tmp_path / "spool", MANY)
    await outbox.start()
    await outbox.put(event(1))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "spool").iterdir()}
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
    assert modes == {FILE: 0o600, f"{FILE}-wal": 0o600, f"{FILE}-shm": 0o600, "lock": 0o600}
    await outbox.close()


async def test_totals_survive_and_space_comes_back(tmp_path: Path) -> None:
    """Opened again it knows what it holds; emptied, it gives the disk's space back."""
    outbox = Outbox(tmp_path, MANY)
    await outbox.start()
    await asyncio.gather(*(outbox.put(event(number, 9_000)) for number in range(50)))
    before = outbox.state
    await outbox.close()
    full = (tmp_path / FILE).stat().st_size
    again = Outbox(tmp_path, MANY)
    await again.start()
    assert (again.state, again.holds("s")) == (before, True)
    await again.remove([row.position for row in await again.oldest(100)])
    assert (again.state.events, again.state.bytes, again.holds("s"), again.oldest_age) == (0, 0, False, 0.0)
    await again.close()
    assert (tmp_path / FILE).stat().st_size < full / 5


async def test_a_directory_belongs_to_one(tmp_path: Path) -> None:
    """A second outbox is refused while the first lives, and welcome after it."""
    first, second = Outbox(tmp_path, MANY), Outbox(tmp_path, MANY)
    await first.start()
    with pytest.raises(RejectedInput, match="in use by another gateway"):
        await second.start()
    emptier = Outbox(tmp_path, MANY, accepting=False)
    await emptier.start()  # a gateway that rejects leaves it to the other
    await emptier.close()
    await first.close()
    await second.start()
    await second.close()


@pytest.mark.parametrize("what", ["another database", "a later format", "garbage", "a directory"])
async def test_a_file_that_is_no_outbox_is_left_alone(tmp_path: Path, what: str) -> None:
    """It is never overwritten; the outbox says what is wrong, and works by itself once the file is moved away."""
    file = tmp_path / FILE
    if what == "garbage":
        file.write_bytes(b"garbage " * 1_000)
    elif what == "a directory":
        file.mkdir()
    else:
        if what == "a later format":
            OutboxFile.open(file, MANY).close()
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("CREATE TABLE mine (x)" if what == "another database" else f"PRAGMA user_version={FORMAT + 1}")
        other.close()
    content = file.read_bytes() if file.is_file() else b""
    outbox = Outbox(tmp_path, MANY)
    await outbox.start()
    with pytest.raises(Unavailable, match="the outbox cannot be used") as failed:
        await outbox.put(event(1))
    assert failed.value.code is ErrorCode.SPOOL_FAILED
    assert outbox.problem is not None
    assert not file.is_file() or file.read_bytes() == content
    file.rename(tmp_path / "aside")

    async def works() -> bool:
        try:
            return not await outbox.put(event(2))
        except Unavailable:
            return False

    await assert_eventually(works)
    assert outbox.problem is None
    await outbox.close()


async def test_the_file_itself_is_bounded(tmp_path: Path) -> None:
    """SQLite's own limit stands behind the cap: reached, it is `spool.full`, and removing makes room again."""
    file = OutboxFile.open(tmp_path / FILE, MANY)
    file._max_bytes = 100 * MANY
    with pytest.raises(sqlite3.OperationalError, match="full"):
        file.write([event(number, 100_000) for number in range(100)], [])
    file.write([event(number, 100_000) for number in range(15)], [])
    with pytest.raises(sqlite3.OperationalError, match="full"):
        file.write([event(number, 100_000) for number in range(15, 35)], [])
    file.write([event(99)], [row.position for row in file.oldest(10)])
    file.close()
