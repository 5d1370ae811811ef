"""The outbox as a file: what `write` returned from is on disk, in the order it was written, each identity once.

SQLite in WAL mode with `synchronous=FULL`: every commit is synced before it returns. One thread uses one instance.
Flow: spool → outbox → **outbox_file** → drain → bus.
"""

import contextlib
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Self

from holdfast.errors import ErrorCode, Unavailable

FORMAT = 1
APPLICATION = 0x48464F42  # "HFOB", where `file` and SQLite look for what a database belongs to
BUSY_WITHIN = 0.25  # s to wait for somebody else's lock; the answer to the sender has 2.5 s in all
ROW_COST = 512  # bytes counted per event besides its record: identity, indexes, part of a page
READ_BYTES = 4_194_304  # bytes of records read at once, beyond the first
_SCHEMA = """
CREATE TABLE outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    spooled_ms INTEGER NOT NULL,
    record BLOB NOT NULL,
    UNIQUE (source, event_id)
)
"""


class Verdict(Enum):
    """What became of one event."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be kept: `record` is the encoded envelope."""

    source: str
    event_id: str
    record: bytes

    @property
    def cost(self) -> int:
        """What it counts against the cap, bytes."""
        return len(self.record) + ROW_COST


@dataclass(frozen=True, slots=True)
class Spooled:
    """An event that is kept; positions grow and are never used again."""

    position: int
    source: str
    event_id: str
    record: bytes


class OutboxFile:
    """An open outbox with its totals, which change only with a commit."""

    def __init__(self, connection: sqlite3.Connection, path: Path, max_bytes: int) -> None:
        self._db = connection
        self._path = path
        self._max_bytes = max_bytes
        self.events = 0
        self.bytes = 0
        self.oldest_ms: int | None = None  # Unix time of the oldest event
        self.sources: Counter[str] = Counter()
        self._identity = self._files()

    @classmethod
    def open(cls, path: Path, max_bytes: int) -> Self:
        """Open or create, with mode 0600. Raises sqlite3.Error, OSError, or Unavailable `spool.failed` naming why."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # WAL and index take its mode
        connection = sqlite3.connect(path, timeout=BUSY_WITHIN, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, max_bytes)
            _sync_directory(path.parent)
            opened = cls(connection, path, max_bytes)
            opened._load()
        except BaseException:
            connection.close()
            raise
        return opened

    def write(self, events: Sequence[NewEvent], gone: Sequence[int]) -> list[Verdict]:
        """Remove the positions `gone`, add `events`, in one synced commit; return one verdict per event.

        Raises sqlite3.Error or OSError, and then nothing of it may be taken as stored.
        """
        events_before, bytes_before, sources_before = self.events, self.bytes, self.sources.copy()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            if not events and not gone:  # asked whether the disk takes a write: an empty commit writes nothing
                self._db.execute(f"PRAGMA user_version={FORMAT}")
            for position in gone:
                self._remove(position)
            now = time.time_ns() // 1_000_000
            verdicts = [self._add(event, now) for event in events]
            self._db.execute("COMMIT")
            self._check_files()
        except BaseException:
            self.events, self.bytes, self.sources = events_before, bytes_before, sources_before
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        self.oldest_ms = self._oldest_ms()
        if gone and not self.events:
            self._shrink()
        return verdicts

    def oldest(self, limit: int) -> list[Spooled]:
        """Return up to `limit` events in order, fewer where they are large. Raises sqlite3.Error."""
        found: list[Spooled] = []
        size = 0
        query = "SELECT position, source, event_id, record FROM outbox ORDER BY position LIMIT ?"
        with contextlib.closing(self._db.execute(query, (limit,))) as rows:
            for position, source, event_id, record in rows:
                found.append(Spooled(position, source, event_id, bytes(record)))
                size += len(record)
                if size >= READ_BYTES:
                    break
        return found

    def close(self) -> None:
        """Close; what is committed stays."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def _add(self, event: NewEvent, now: int) -> Verdict:
        if self.bytes + event.cost > self._max_bytes:
            found = self._db.execute(
                "SELECT 1 FROM outbox WHERE source = ? AND event_id = ?", (event.source, event.event_id)
            ).fetchone()
            return Verdict.DUPLICATE if found else Verdict.FULL
        added = self._db.execute(
            "INSERT INTO outbox (source, event_id, spooled_ms, record) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (source, event_id) DO NOTHING",
            (event.source, event.event_id, now, event.record),
        )
        if not added.rowcount:
            return Verdict.DUPLICATE
        self.events += 1
        self.bytes += event.cost
        self.sources[event.source] += 1
        return Verdict.STORED

    def _remove(self, position: int) -> None:
        removed = self._db.execute(
            "DELETE FROM outbox WHERE position = ? RETURNING source, length(record)", (position,)
        ).fetchone()
        if removed is not None:
            source, size = removed
            self.events -= 1
            self.bytes -= size + ROW_COST
            self.sources[source] -= 1
            if not self.sources[source]:
                del self.sources[source]

    def _load(self) -> None:
        query = "SELECT source, count(*), total(length(record)) FROM outbox GROUP BY source"
        for source, events, size in self._db.execute(query):
            self.sources[source] = events
            self.events += events
            self.bytes += int(size) + events * ROW_COST
        self.oldest_ms = self._oldest_ms()

    def _oldest_ms(self) -> int | None:
        row = self._db.execute("SELECT spooled_ms FROM outbox ORDER BY position LIMIT 1").fetchone()
        return int(row[0]) if row else None

    def _shrink(self) -> None:
        """Give the space of an empty outbox back; a failure costs nothing but the space."""
        with contextlib.suppress(sqlite3.Error):
            self._db.executescript("PRAGMA incremental_vacuum")  # `execute` takes one step, which is one page
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _files(self) -> tuple[tuple[int, int], ...]:
        """Which files the path and its WAL name now."""
        found = (path.stat() for path in (self._path, Path(f"{self._path}-wal")))
        return tuple((status.st_dev, status.st_ino) for status in found)

    def _check_files(self) -> None:
        # a file that was moved away or replaced takes writes without an error, and nobody will find them there
        if self._files() != self._identity:
            raise OSError(f"{self._path} is no longer the file that was opened")


def _prepare(db: sqlite3.Connection, max_bytes: int) -> None:
    is_new = _check_format(db)
    if is_new:
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # counts only before the first table
    if db.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
        raise _refused("its file system cannot do WAL: put the data directory on a local disk")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA fullfsync=1")  # macOS, where a plain fsync does not reach the disk
    (page_size,) = db.execute("PRAGMA page_size").fetchone()
    db.execute(f"PRAGMA max_page_count={2 * max_bytes // page_size + 256}").fetchone()
    if is_new:
        db.execute("BEGIN IMMEDIATE")
        db.execute(_SCHEMA)
        db.execute(f"PRAGMA application_id={APPLICATION}")
        db.execute(f"PRAGMA user_version={FORMAT}")
        db.execute("COMMIT")
    (health,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if health != "ok":
        raise _refused(f"it is damaged: {health}")


def _check_format(db: sqlite3.Connection) -> bool:
    """Return whether the file is empty; refuse one that is not ours before anything in it is changed."""
    names = ("application_id", "user_version")
    (application,), (version,) = (db.execute(f"PRAGMA {name}").fetchone() for name in names)
    if version == application == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
        return True
    if application != APPLICATION:
        raise _refused("it is a database, but no outbox")
    if version != FORMAT:
        raise _refused(f"it has format {version}, this holdfast reads {FORMAT}; use the holdfast that wrote it")
    return False


def _refused(why: str) -> Unavailable:
    return Unavailable(ErrorCode.SPOOL_FAILED, f"the outbox cannot be used: {why}")


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
