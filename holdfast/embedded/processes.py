"""One child process: started so that it dies with us, ended within a time, its output in a file.

Flow: supervise → **processes** → launch → the server.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from holdfast.embedded import launch

MAX_LOG = 10_485_760  # bytes; a larger log is moved aside when the process starts
KEPT_LOGS = 3
POLL = 0.05  # seconds between looks at whether a child has ended
AFTER_KILL = timedelta(seconds=5)  # SIGKILL is not refused, but a disk may hold a process for a while

Guard = Literal["kernel", "watchdog"]
DEFAULT_GUARD: Guard = "kernel" if sys.platform == "linux" else "watchdog"


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. Secrets stand in `environment`, never in `argv`, which every user of the machine can read."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    guard: Guard = DEFAULT_GUARD


class ChildProcess:
    """A running child, in a session of its own, so that Ctrl-C in the terminal reaches only us."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Process id; in watchdog mode that of the watchdog."""
        return self._process.pid

    def poll(self) -> int | None:
        """Exit code, negative for a signal, or None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """SIGKILL it and whatever it started."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def hang_up(self) -> None:
        """SIGHUP."""
        if self.poll() is None:
            self._process.send_signal(signal.SIGHUP)

    async def ended(self, within: timedelta) -> bool:
        """Wait until it has ended; False when it has not in time."""
        deadline = asyncio.get_running_loop().time() + within.total_seconds()
        while self.poll() is None:
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(POLL)
        self.release()
        return True

    async def stop(self, grace: timedelta) -> None:
        """SIGTERM, then after `grace` SIGKILL; returns when it is gone."""
        if self.poll() is None:
            self._process.terminate()
        if not await self.ended(grace):
            self.kill()
            await self.ended(AFTER_KILL)

    def release(self) -> None:
        """Close our end of the watchdog's pipe."""
        if self._process.stdin is not None:
            self._process.stdin.close()


def spawn(command: Command) -> ChildProcess:
    """Start a child.

    It must be called in a thread that lives as long as the child may: the kernel's guard is bound to the thread.
    """
    rotate(command.log)
    argv = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), command.guard, *command.argv]
    with command.log.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            argv,
            env=dict(command.environment),
            stdin=subprocess.PIPE if command.guard == "watchdog" else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return ChildProcess(process)


def rotate(log: Path) -> None:
    """Move a log that has grown past MAX_LOG aside; KEPT_LOGS older ones are kept."""
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not log.exists() or log.stat().st_size <= MAX_LOG:
        return
    older = [log, *(log.with_name(f"{log.name}.{n}") for n in range(1, KEPT_LOGS + 1))]
    for source, target in reversed(list(itertools.pairwise(older))):
        if source.exists():
            source.replace(target)


def tail(log: Path, lines: int = 8) -> str:
    """Return the last lines of a log, at most 4 KiB."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4_096))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
