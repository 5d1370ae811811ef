"""Start a command so that it cannot outlive the process that asked for it, even when that one is killed with SIGKILL.

Flow: processes → **launch** → the server. Run as a script, `launch.py PARENT_PID MODE COMMAND…`, with the standard
library alone: it is between us and every child, so it must start fast. On Linux the kernel is asked to kill
(`kernel`) and the script becomes the command; elsewhere it stays as a watchdog (`watchdog`) that reads a pipe which
ends with the parent.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from types import FrameType

PR_SET_PDEATHSIG = 1  # linux/prctl.h
ORPHANED = 125  # exit code: the parent was gone before the command began


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code in watchdog mode, and never returns in kernel mode."""
    parent, mode, command = int(argv[1]), argv[2], argv[3:]
    if mode == "watchdog":
        return watch(command)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    # the parent may have died before the line above: then the signal would never come
    if os.getppid() == parent:
        os.execvp(command[0], command)  # noqa: S606 - replacing this process is the point
    return ORPHANED


def watch(command: list[str]) -> int:
    """Run the command as a child and kill it when our standard input ends."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - our own command line

    def forward(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    def end_with_parent() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        child.kill()

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGHUP, forward)
    threading.Thread(target=end_with_parent, daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv))
