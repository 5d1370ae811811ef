"""The one thread that writes the outbox: takes all that waits, commits it once, tells everybody.

Flow: outbox → **writer** → outbox_file. A file that fails is closed and opened again, so that mending needs no restart.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.outbox_file import NewEvent, OutboxFile, Spooled, Verdict
from holdfast.errors import ErrorCode, HoldfastError, Unavailable

log = logging.getLogger(__name__)

BATCH_EVENTS = 256
BATCH_BYTES = 16_777_216  # of records in one commit
REOPEN_AFTER = 0.5  # s between attempts to open a file that cannot be used

_KEEPS_OPEN = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL})
"""Failures of one transaction; any other is a reason to look at the file anew."""


@dataclass(frozen=True, slots=True)
class Put:
    """Keep one event; the result is its Verdict."""

    event: NewEvent
    result: asyncio.Future[Verdict]


@dataclass(frozen=True, slots=True)
class Remove:
    """Forget events; the result is None."""

    positions: Sequence[int]
    result: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class Read:
    """Look at the oldest `limit` events; the result is their list."""

    limit: int
    result: asyncio.Future[list[Spooled]]


Job = Put | Remove | Read


@dataclass(frozen=True, slots=True)
class OutboxState:
    """The outbox after a commit. `problem`: why the latest write failed; then the rest is what was known before."""

    events: int = 0
    bytes: int = 0
    oldest_ms: int | None = None  # Unix time
    sources: frozenset[str] = frozenset()
    full: bool = False  # the latest event found no room, and none has been made since
    problem: Unavailable | None = None


Settled = Callable[[Sequence[tuple[Job, Any]], OutboxState], None]


class Writer(threading.Thread):
    """Runs until `stop`. `settled` is called on this thread, with each job's result or error and the new state."""

    def __init__(self, path: Path, max_bytes: int, settled: Settled) -> None:
        super().__init__(name="outbox", daemon=True)  # a disk that hangs must not keep the process
        self._path = path
        self._max_bytes = max_bytes
        self._settled = settled
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._file: OutboxFile | None = None
        self._state = OutboxState()
        self._reopen_at = 0.0

    def submit(self, job: Job) -> None:
        """Have a job done after those before it."""
        self._jobs.put(job)

    def stop(self) -> None:
        """Do what was submitted, close the file, end."""
        self._jobs.put(None)

    def run(self) -> None:
        """Work."""
        going = True
        while going:
            jobs, going = self._next()
            if jobs:
                outcomes = self._perform(jobs)
                self._settled(outcomes, self._state)
        if self._file is not None:
            self._file.close()

    def _next(self) -> tuple[list[Job], bool]:
        """Wait for a job and return it with those that wait already, as one commit takes; and whether to go on."""
        jobs: list[Job] = []
        size, job = 0, self._jobs.get()
        while job is not None:
            if not job.result.cancelled():  # nobody waits for it any more, and nobody was told that it is stored
                jobs.append(job)
                size += len(job.event.record) if isinstance(job, Put) else 0
            if len(jobs) >= BATCH_EVENTS or size >= BATCH_BYTES:
                return jobs, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, True
        return jobs, False

    def _perform(self, jobs: list[Job]) -> list[tuple[Job, Any]]:
        puts = [job for job in jobs if isinstance(job, Put)]
        removes = [job for job in jobs if isinstance(job, Remove)]
        gone = [position for job in removes for position in job.positions]
        try:
            file = self._opened()
            verdicts = file.write([put.event for put in puts], gone) if puts or removes else []
            outcomes: list[tuple[Job, Any]] = [(job, file.oldest(job.limit)) for job in jobs if isinstance(job, Read)]
        except Exception as error:  # noqa: BLE001 - whatever it is, everybody who waits must be told
            problem = self._failed(error)
            return [(job, problem) for job in jobs]
        if puts or removes:
            self._note(file, full=Verdict.FULL in verdicts or (self._state.full and not gone))
        return [*outcomes, *zip(puts, verdicts, strict=True), *((job, None) for job in removes)]

    def _opened(self) -> OutboxFile:
        if self._file is None:
            if self._state.problem is not None and time.monotonic() < self._reopen_at:
                raise self._state.problem
            self._file = OutboxFile.open(self._path, self._max_bytes)
        return self._file

    def _note(self, file: OutboxFile, *, full: bool) -> None:
        if self._state.problem is not None:
            log.warning("spool.mended", extra={"events": file.events})
        self._state = OutboxState(file.events, file.bytes, file.oldest_ms, frozenset(file.sources), full)

    def _failed(self, error: Exception) -> Unavailable:
        problem = classify(error)
        before, state = self._state.problem, self._state
        if before is None or before.message != problem.message:
            log.error("spool.failed", extra={"code": str(problem.code), "reason": problem.message})
        self._state = OutboxState(state.events, state.bytes, state.oldest_ms, state.sources, state.full, problem)
        if _primary_code(error) not in _KEEPS_OPEN:
            if error is not before:
                self._reopen_at = time.monotonic() + REOPEN_AFTER
            if self._file is not None:
                self._file.close()
                self._file = None
        return problem


def classify(error: Exception) -> Unavailable:
    """Translate a failure of the file: `spool.full` where the disk or the file has no room, else `spool.failed`."""
    if isinstance(error, Unavailable):
        return error
    if _primary_code(error) == sqlite3.SQLITE_FULL:
        return Unavailable(ErrorCode.SPOOL_FULL, "the disk of the outbox is full")
    text = error.message if isinstance(error, HoldfastError) else f"{type(error).__name__}: {error}"
    return Unavailable(ErrorCode.SPOOL_FAILED, f"the outbox cannot be used: {text}")


def _primary_code(error: Exception) -> int:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return (code or 0) & 0xFF  # the rest of the number says which kind of busy or full
