"""One stack per data directory: two on the same files would ruin them.

Flow: **lock** → versions → ports → servers. The kernel releases the lock when its holder dies, however it dies.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.runtime import LOCK

TRIES = 5
PAUSE = 0.1  # seconds


@contextlib.contextmanager
def data_lock(data_dir: Path) -> Iterator[None]:
    """Hold `data_dir` (made with mode 0700). Raises RejectedInput naming the process that holds it already."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = data_dir / LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _taken(descriptor):
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise RejectedInput(
                ErrorCode.CONFIG_INVALID,
                f"{data_dir} is in use by another holdfast stack (process {holder}); stop that one, or give this one"
                " another directory with --data-dir and other ports with --port-offset",
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    """Whether the lock is ours now. A command that looks whether a stack runs holds it for an instant: try again."""
    for _ in range(TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(PAUSE)
    return False
