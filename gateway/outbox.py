"""The outbox as the event loop sees it: many callers, one writing thread, one synced commit for all who wait meanwhile.

Flow: spool → **outbox** → writer → outbox_file; drain reads it. Nothing but the thread ever waits for the disk.
"""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from gateway.outbox_file import NewEvent, Spooled, Verdict
from gateway.outbox_writer import Job, OutboxState, Put, Read, Remove, Writer
from holdfast.errors import ErrorCode, RejectedInput, Unavailable

FILE = "events.sqlite"
LOCK = "lock"
OPEN_WITHIN = timedelta(seconds=2)  # a large file that is checked for longer takes events when that has ended
CLOSE_WITHIN = timedelta(seconds=3)


class Outbox:
    """Events that wait for the bus, in a directory (mode 0700) that no second gateway may use."""

    def __init__(self, directory: Path, max_bytes: int, *, accepting: bool = True) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._accepting = accepting  # False: what an earlier configuration left is brought to the bus, nothing is added
        self._writer: Writer | None = None
        self._lock: int | None = None
        self._state = OutboxState(problem=Unavailable(ErrorCode.SPOOL_FAILED, "the outbox is not open yet"))
        self._something = asyncio.Event()

    async def start(self) -> None:
        """Lock the directory and open the file.

        Raises RejectedInput `config.invalid` where another gateway uses the directory or it cannot be made; one that
        would only be emptied is left to the other. A file that cannot be opened is no error here: the gateway serves
        without an outbox, says so, and tries again.
        """
        try:
            self._lock = _locked(self._directory)
        except RejectedInput:
            if self._accepting:
                raise
            return
        loop = asyncio.get_running_loop()

        def settled(outcomes: Sequence[tuple[Job, Any]], state: OutboxState) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended and nobody waits
                loop.call_soon_threadsafe(self._settle, outcomes, state)

        self._writer = Writer(self._directory / FILE, self._max_bytes, settled)
        self._writer.start()
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(OPEN_WITHIN.total_seconds()):
                await self.remove(())

    async def close(self) -> None:
        """Finish what was begun, close the file and unlock the directory. Idempotent."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.stop()
            await asyncio.to_thread(writer.join, CLOSE_WITHIN.total_seconds())
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def put(self, event: NewEvent) -> bool:
        """Keep one event; return whether it was kept already.

        Raises Unavailable `spool.full`, or `spool.failed`: it is not known whether it is kept.
        """
        verdict: Verdict = await self._ask(lambda result: Put(event, result))
        if verdict is Verdict.FULL:
            raise Unavailable(ErrorCode.SPOOL_FULL, f"the outbox holds {self._state.bytes} of {self._max_bytes} bytes")
        return verdict is Verdict.DUPLICATE

    async def oldest(self, limit: int) -> list[Spooled]:
        """Return the oldest events in order. Raises Unavailable `spool.failed`."""
        found: list[Spooled] = await self._ask(lambda result: Read(limit, result))
        return found

    async def remove(self, positions: Sequence[int]) -> None:
        """Forget events that are on the bus; with none, only try whether the file takes a write. Raises Unavailable."""
        await self._ask(lambda result: Remove(positions, result))

    async def something_to_do(self) -> None:
        """Wait until there are events, or until the file has failed and should be tried again."""
        await self._something.wait()

    def holds(self, source: str) -> bool:
        """Whether events of `source` wait here."""
        return source in self._state.sources

    @property
    def state(self) -> OutboxState:
        """Totals and trouble after the latest commit."""
        return self._state

    @property
    def oldest_age(self) -> float:
        """Seconds that the oldest event has waited; 0 where there is none."""
        oldest = self._state.oldest_ms
        return 0.0 if oldest is None else max(0.0, time.time() - oldest / 1_000)

    @property
    def problem(self) -> Unavailable | None:
        """Why an event cannot be kept here now; None where it can."""
        if not self._accepting:
            return Unavailable(ErrorCode.SPOOL_FAILED, "on_unavailable is reject: the outbox is only emptied")
        if self._state.problem is not None:
            return self._state.problem
        return Unavailable(ErrorCode.SPOOL_FULL, "the outbox is full") if self._state.full else None

    async def _ask(self, job: Any) -> Any:
        if self._writer is None:
            raise Unavailable(ErrorCode.SPOOL_FAILED, "the outbox is closed")
        result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._writer.submit(job(result))
        return await result

    def _settle(self, outcomes: Sequence[tuple[Job, Any]], state: OutboxState) -> None:
        self._state = state
        if state.events or state.problem is not None:
            self._something.set()
        else:
            self._something.clear()
        for job, outcome in outcomes:
            if job.result.done():
                continue
            if isinstance(outcome, Unavailable):
                job.result.set_exception(Unavailable(outcome.code, outcome.message))
            else:
                job.result.set_result(outcome)


def _locked(directory: Path) -> int:
    """Make the directory and hold its lock until the descriptor is closed; the kernel frees it with the process."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.chmod(0o700)
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RejectedInput(ErrorCode.CONFIG_INVALID, f"the outbox {directory} cannot be made: {reason}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise RejectedInput(
            ErrorCode.CONFIG_INVALID,
            f"the outbox {directory} is in use by another gateway; give this one a data directory of its own"
            " (HOLDFAST_DATA_DIR)",
        ) from error
    return descriptor
