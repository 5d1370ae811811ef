"""Real servers for tests: on free loopback ports, in temporary directories, killed by the test that started them."""

import contextlib
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.embedded.servers import NatsPlan, TemporalPlan, binary, free_ports

START_SECONDS = 30.0


@dataclass
class Server:
    """One real server process that a test may stop, kill, freeze and start again on the same data."""

    command: list[str]
    log: Path
    ready: Callable[[], bool]
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(self.command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            assert self.process.poll() is None, f"{self.command[0]} ended:\n{self.log.read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"{self.command[0]} is not ready:\n{self.log.read_text()[-2000:]}"
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)

    def send(self, number: signal.Signals) -> None:
        """Send a signal: SIGSTOP freezes, SIGCONT thaws."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


@dataclass
class NatsServer(Server):
    """A nats-server with its addresses."""

    plan: NatsPlan = field(kw_only=True)


@dataclass
class TemporalServer(Server):
    """A Temporal dev server with its addresses."""

    plan: TemporalPlan = field(kw_only=True)


def answers(url: str) -> bool:
    """Whether an HTTP address answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


@contextlib.contextmanager
def nats(directory: Path, *, sync_always: bool = True) -> Iterator[NatsServer]:
    """Start a nats-server as the embedded stack does."""
    port, monitor = free_ports(2)
    plan = NatsPlan(directory / "nats", port, monitor, "holdfast", "test-password", 8 * 1024**3, sync_always)
    command = plan.write()
    server = NatsServer(command, directory / "nats.log", lambda: answers(f"{plan.monitor_url}/healthz"), plan=plan)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def temporal(directory: Path, *flags: str) -> Iterator[TemporalServer]:
    """Start a Temporal dev server as the embedded stack does, with more flags."""
    plan = TemporalPlan(directory / "temporal", *free_ports(4))
    command = [*plan.write(), *flags]
    server = TemporalServer(command, directory / "temporal.log", lambda: _temporal_ready(plan), plan=plan)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _temporal_ready(plan: TemporalPlan) -> bool:
    """Whether the default namespace can be described: later than the port is open, earlier than nothing."""
    command = [binary("temporal"), "operator", "namespace", "describe", "-n", "default", "--address", plan.address]
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
