"""No child outlives the process that started it, however that ends; both guards, on real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.embedded.processes import Guard
from tests.conftest import assert_eventually

PARENT = """
import sys, time
from pathlib import Path
from holdfast.embedded.processes import Command, spawn
log, guard = Path(sys.argv[1]), sys.argv[2]
sleeper = "import os, time; print(os.getpid(), flush=True); time.sleep(300)"
child = spawn(Command((sys.executable, "-c", sleeper), {}, log, guard))
time.sleep(300)
"""


def running(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    state = Path(f"/proc/{pid}/stat")
    try:
        os.kill(pid, 0)
        return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):  # it may also end between two looks
        return False


def start_parent(log: Path, guard: Guard) -> subprocess.Popen[bytes]:
    """Start a process that starts a child and waits."""
    return subprocess.Popen([sys.executable, "-c", PARENT, str(log), guard])


@pytest.mark.fault
@pytest.mark.parametrize("guard", ["kernel", "watchdog"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_children_die_with_their_parent(tmp_path: Path, guard: Guard, number: signal.Signals) -> None:
    """SIGKILL of the supervisor leaves nothing behind."""
    if guard == "kernel" and sys.platform != "linux":
        guard = "watchdog"
    log = tmp_path / "child.log"
    parent = start_parent(log, guard)
    try:

        async def started() -> bool:
            return log.exists() and log.read_text().strip().isdigit()

        await assert_eventually(started)
        child = int(log.read_text())
        assert running(child)
        parent.send_signal(number)
        parent.wait(10)

        async def gone() -> bool:
            return not running(child)

        await assert_eventually(gone, within=10)
    finally:
        parent.kill()
        parent.wait(10)


@pytest.mark.fault
def test_a_child_of_a_parent_that_is_already_gone_does_not_begin(tmp_path: Path) -> None:
    """The race between fork and the kernel's guard is closed: the wrong parent means the parent died meanwhile."""
    from holdfast.embedded import launch

    mark = tmp_path / "began"
    command = [sys.executable, launch.__file__, str(os.getpid() + 1), "kernel", "touch", str(mark)]
    done = subprocess.run(command, timeout=20, check=False)
    assert done.returncode == launch.ORPHANED
    assert not mark.exists()
