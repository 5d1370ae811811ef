"""Bounds the open connections of the public port: who has kept us waiting longest makes room for who comes.

uvicorn's own `limit_concurrency` refuses those who come, so that a few hundred slow clients would shut everybody out.
"""

import contextlib
import resource
from collections import Counter
from typing import Literal, Protocol

from gateway.limits import SPARE_FILES
from holdfast.domain.limits import GatewayLimits

Reason = Literal["slow_headers", "slow_reader", "pipelining", "crowded_out", "no_room", "address", "malformed"]
"""Why the gateway ends a connection: docs/telemetry.md says it in words."""


class Connection(Protocol):
    """What can be ended."""

    def cut(self, reason: Reason) -> None:
        """Close now, without an answer."""
        ...


class ConnectionMetrics(Protocol):
    """What is counted here: `holdfast.telemetry.metrics.Metrics`."""

    def connections(self, open: int) -> None:  # noqa: A002 - as the metric's own parameter
        """Show how many connections are open."""
        ...

    def connection_ended(self, reason: str) -> None:
        """Count a connection that the gateway ended."""
        ...


class Uncounted:
    """For a port whose connections nobody counts: the operators' own."""

    def connections(self, open: int) -> None:  # noqa: A002
        """Show nothing."""

    def connection_ended(self, reason: str) -> None:
        """Count nothing."""


class Connections:
    """All connections of one port."""

    def __init__(self, limits: GatewayLimits, metrics: ConnectionMetrics) -> None:
        self._limit = limits.connections
        self._per_address = limits.connections_per_address
        self._metrics = metrics
        self._open: dict[Connection, str] = {}
        self._waiting: dict[Connection, None] = {}  # for the client, in the order in which the wait began
        self._by_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection, address: str) -> bool:
        """Take a new connection, or say that it must be closed; another one may be cut for it."""
        if self._per_address is not None and self._by_address[address] >= self._per_address:
            self.ended("address")
            return False
        if len(self._open) >= self._limit:
            oldest = next(iter(self._waiting), None)
            if oldest is None:
                self.ended("no_room")
                return False
            self.forget(oldest)
            oldest.cut("crowded_out")
        self._open[connection] = address
        self._by_address[address] += 1
        self._metrics.connections(len(self._open))
        return True

    def waits(self, connection: Connection) -> None:
        """Note that from now on it is the client whom we wait for."""
        if connection in self._open:
            self._waiting.pop(connection, None)
            self._waiting[connection] = None

    def works(self, connection: Connection) -> None:
        """Note that the client has sent a whole request: the next move is ours."""
        self._waiting.pop(connection, None)

    def forget(self, connection: Connection) -> None:
        """Note that it is closed; also where it never was admitted."""
        self._waiting.pop(connection, None)
        address = self._open.pop(connection, None)
        if address is None:
            return
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
        self._metrics.connections(len(self._open))

    def ended(self, reason: Reason) -> None:
        """Count a connection that we end."""
        self._metrics.connection_ended(reason)


def allow_connections(wanted: int) -> int:
    """Raise the process's limit of open files as far as it may be, and return how many connections then fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS names a hard limit that it then refuses
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(16, min(wanted, soft - SPARE_FILES))
