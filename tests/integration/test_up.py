"""`holdfast up` as a person uses it: the real command, its printed line, the other commands beside it, Ctrl-C."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import assert_eventually

HOLDFAST = [sys.executable, "-m", "holdfast.cli.main"]
STOP_SECONDS = 15
pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


class Up:
    """A running `holdfast up` in a directory of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home / "up.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start it; its output goes to a file."""
        environment = {**os.environ, "COLUMNS": "80"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*HOLDFAST, "up", *options], cwd=self.home, env=environment, stdout=log, stderr=log
            )

    @property
    def text(self) -> str:
        """What it has printed."""
        return self.log.read_text()

    async def ready(self) -> None:
        """Wait until it says so."""

        async def said() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.text
            return "\nReady." in self.text

        await assert_eventually(said, within=90, why="holdfast up is ready")

    def send(self, number: signal.Signals) -> None:
        """Send a signal, as the terminal or the system does."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float) -> int:
        """Wait for its end; the exit code."""
        assert self.process is not None
        return self.process.wait(seconds)

    def children(self) -> list[int]:
        """Processes that work in this place."""
        if Path("/proc/self/cwd").exists():
            return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if self._works_here(entry)]
        listed = subprocess.run(["lsof", "-a", "-d", "cwd", "-t", str(self.home)], capture_output=True, check=False)
        return [int(pid) for pid in listed.stdout.split()]

    def _works_here(self, entry: Path) -> bool:
        try:
            zombie = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
            return (entry / "cwd").readlink() == self.home and not zombie
        except OSError:
            return False

    def holdfast(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command in the same directory, as a person does in a second terminal."""
        return subprocess.run(
            [*HOLDFAST, *words], cwd=self.home, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture(name="up")
def _up(tmp_path: Path) -> Iterator[Up]:
    up = Up(tmp_path)
    yield up
    if up.process is not None and up.process.poll() is None:
        up.process.kill()
        up.process.wait(10)


def paste(line: str) -> httpx.Response:
    """Send what a printed curl line would; curl itself need not be installed."""
    words = shlex.split(line)
    headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
    url = next(word for word in words if word.startswith("http"))
    return httpx.post(url, headers=headers, content=words[words.index("-d") + 1], trust_env=False)


def ask(address: str, token: str) -> httpx.Response:
    """Ask where an event is, with an access token."""
    return httpx.get(address, headers={"Authorization": f"Bearer {token}"}, trust_env=False)


async def test_the_first_five_minutes(up: Up) -> None:
    """In an empty directory one command leads to a delivered event.

    The other commands find the stack by themselves, Ctrl-C ends it in time, and the event is there after a restart.
    """
    up.start("--free-ports")
    await up.ready()
    line = next(text for text in up.text.splitlines() if text.startswith("curl "))
    answer = paste(line)
    assert (answer.status_code, answer.json()["duplicate"]) == (202, False)
    assert paste(line).json()["duplicate"] is True
    identity = answer.json()["id"]

    async def delivered() -> bool:
        shown = up.holdfast("events", "show", "github", identity, "--json")
        return shown.returncode == 0 and json.loads(shown.stdout)["verdict"] == "delivered"

    await assert_eventually(delivered, within=30)
    token = (up.home / ".holdfast" / "api-token").read_text().strip()
    where = next(text for text in up.text.splitlines() if "/events/" in text and text.startswith("curl "))
    address = str(answer.request.url.copy_with(path=answer.headers["location"]))
    assert address.rsplit("/", 1)[0] in where
    seen = ask(address, token)
    assert (seen.status_code, seen.json()["verdict"]) == (200, "delivered")
    sent = up.holdfast("send", "orders")
    assert sent.returncode == 1  # the sample has no order_id, which identifies an order: refused, in words
    assert "identity.failed" in sent.stderr
    planned = json.loads(up.holdfast("schedules", "plan", "--json").stdout)
    assert [(entry["name"], entry["change"]) for entry in planned] == [("nightly-report", "unchanged")]
    assert up.holdfast("dead-letters", "list", "--json").stdout.strip() == "[]"
    assert "in use by another holdfast stack" in up.holdfast("up", "--free-ports").stderr

    began = time.monotonic()
    up.send(signal.SIGINT)
    assert up.wait(STOP_SECONDS) == 0
    assert time.monotonic() - began < STOP_SECONDS
    assert up.children() == []
    up.start("--free-ports")
    await up.ready()
    assert "wrote an example" not in up.text
    await assert_eventually(delivered, within=30)
    up.send(signal.SIGTERM)
    assert up.wait(STOP_SECONDS) == 0


@pytest.mark.fault
async def test_nothing_outlives_a_killed_up_and_it_starts_again(up: Up) -> None:
    """SIGKILL leaves no server behind, and the next start is not in its own way."""
    up.start("--port-offset", "21000")
    await up.ready()
    assert len(up.children()) == 5
    up.send(signal.SIGKILL)
    up.wait(10)

    async def gone() -> bool:
        return up.children() == []

    await assert_eventually(gone, within=10)
    up.start("--port-offset", "21000")
    await up.ready()
    up.send(signal.SIGINT)
    up.send(signal.SIGINT)
    up.wait(STOP_SECONDS)
    await assert_eventually(gone, within=10)


async def test_ctrl_c_while_it_starts(up: Up) -> None:
    """Who changes his mind early is let go, and nothing stays."""
    up.start("--free-ports")

    async def begun() -> bool:
        return "is ready" in up.text

    await assert_eventually(begun, within=60)
    up.send(signal.SIGINT)
    assert up.wait(STOP_SECONDS) == 0
    assert "\nReady." not in up.text


async def test_a_server_that_cannot_start_is_told_with_its_log(up: Up) -> None:
    """The reason is on the screen, not only in a file, and the rest is stopped again."""
    (up.home / ".holdfast" / "nats").mkdir(parents=True)
    (up.home / ".holdfast" / "nats" / "store").write_text("in the way")
    up.start("--free-ports")
    assert up.wait(90) == 1
    assert re.search(r"error: nats ended .* before it was ready", up.text)
    assert "storage directory" in up.text
    assert "Traceback" not in up.text
    assert up.children() == []


def test_what_cannot_work_is_refused_before_anything_starts(up: Up) -> None:
    """A secret that is missing and streams that the disk cannot hold are named at once; nothing is left behind."""
    config = up.home / "holdfast.yaml"
    config.write_text("version: 1\nsources:\n  a:\n    verify: {preset: github, secrets: ['env:NO_SUCH_SECRET']}\n")
    assert "NO_SUCH_SECRET is missing" in up.holdfast("up", "--free-ports").stderr
    config.write_text("version: 1\nbus:\n  streams:\n    events: {max_bytes: 900PiB}\n")
    refused = up.holdfast("up", "--free-ports")
    assert refused.returncode == 1
    assert "lower bus.streams" in refused.stderr
    assert not (up.home / ".holdfast").exists()
