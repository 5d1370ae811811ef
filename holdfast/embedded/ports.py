"""The ports of the embedded stack: chosen, checked before anything starts, each with what it is for.

Flow: **ports** → stack.
"""

import dataclasses
import errno
import socket
import time
from dataclasses import dataclass

from holdfast.embedded.servers import LOOPBACK, free_ports
from holdfast.errors import ErrorCode, RejectedInput

MAX_PORT = 65_535
SETTLE = 1.5  # seconds; the servers of a stack that was just killed may hold their ports this long


@dataclass(frozen=True, slots=True)
class Ports:
    """One port per listener, all on loopback."""

    gateway: int = 8080
    gateway_ops: int = 8081
    worker_ops: int = 8082
    nats: int = 4222
    nats_monitor: int = 8222
    temporal: int = 7233
    temporal_ui: int = 8233
    temporal_metrics: int = 8234
    temporal_http: int = 7243
    worker_api: int = 8083

    @classmethod
    def free(cls) -> "Ports":
        """Choose ports that are free now."""
        return cls(*free_ports(len(dataclasses.fields(cls))))

    def shifted(self, offset: int) -> "Ports":
        """Every port moved by `offset`. Raises RejectedInput where that leaves the range of ports."""
        moved = {name: port + offset for name, port in dataclasses.asdict(self).items()}
        if not all(1 <= port <= MAX_PORT for port in moved.values()):
            raise RejectedInput(
                ErrorCode.CONFIG_INVALID,
                f"--port-offset {offset} leaves the range of ports;"
                f" the largest possible is {MAX_PORT - max(dataclasses.astuple(self))}",
            )
        return Ports(**moved)


PURPOSE = {
    "gateway": "webhooks",
    "gateway_ops": "the gateway's health and metrics",
    "worker_ops": "the worker's health and metrics",
    "worker_api": "the admin API",
    "nats": "NATS",
    "nats_monitor": "NATS monitoring",
    "temporal": "Temporal",
    "temporal_ui": "the Temporal UI",
    "temporal_metrics": "Temporal's metrics",
    "temporal_http": "Temporal's HTTP API",
}


def check_free(ports: Ports, names: tuple[str, ...]) -> None:
    """Raise RejectedInput that names every port among `names` that is taken, and what can be done."""
    deadline = time.monotonic() + SETTLE
    while (taken := [name for name in names if is_taken(getattr(ports, name))]) and time.monotonic() < deadline:
        time.sleep(0.1)
    if taken:
        listed = ", ".join(f"{getattr(ports, name)} ({PURPOSE[name]})" for name in taken)
        raise RejectedInput(
            ErrorCode.CONFIG_INVALID,
            f"{'port' if len(taken) == 1 else 'ports'} {listed} {'is' if len(taken) == 1 else 'are'} already in use;"
            " shift all ports with --port-offset 100, or let free ones be chosen with --free-ports",
        )


def is_taken(port: int) -> bool:
    """Whether somebody listens on this loopback port (or on all addresses)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return error.errno in {errno.EADDRINUSE, errno.EACCES}
    return False
