"""Keeps why requests were refused, for people; never for long, never in the way, and nothing that helps a forger.

A refusal is described (redacted, bounded) and queued; one task writes it down. What exceeds the rate of its source, or
the queue, or comes while the bus is away is only counted: in a metric, and in the next record of the same source.
Flow: refused → **note** → queue → stream REJECTED → `holdfast rejected list`.
"""

import asyncio
import contextlib
import hashlib
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from gateway.limits import MAX_HASHED, REJECTIONS_BURST, REJECTIONS_QUEUED, REJECTIONS_RATE
from gateway.receive import Scope
from gateway.routes import Route, keepable
from holdfast.bus.connect import Bus
from holdfast.bus.rejections import publish_rejection
from holdfast.clock import Clock
from holdfast.contracts.rejections import Rejection
from holdfast.errors import HoldfastError, bounded

log = logging.getLogger(__name__)

REFUSED_BODY = "holdfast.refused_body"
"""Key of the ASGI scope under which the pipeline leaves the body of a request that it refused."""

SAFE_HEADERS = frozenset({b"content-type", b"content-length", b"user-agent", b"host"})
MAX_HEADERS = 50
MAX_VALUE = 200  # characters
MAX_QUERY_NAMES = 20
LONG_SEGMENT = 40  # characters of a part of a path; a longer one may be a secret
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,40}", re.ASCII)
_HIDDEN = "…"


class RejectionMetrics(Protocol):
    """What is counted here: `holdfast.telemetry.metrics.Metrics`."""

    def rejection_unkept(self, source: str, reason: str) -> None:
        """Count a refused request that is not in the log."""
        ...


@dataclass(slots=True)
class _Bucket:
    """How much of its rate a source has left."""

    left: float
    at: float  # of the monotonic clock, s
    not_kept: int = 0

    def take(self, now: float) -> bool:
        self.left = min(float(REJECTIONS_BURST), self.left + (now - self.at) * REJECTIONS_RATE)
        self.at = now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


class RejectionLog:
    """The log of one gateway. Its sources are those of the configuration and one for all unknown paths."""

    def __init__(self, bus: Bus, clock: Clock, metrics: RejectionMetrics) -> None:
        self._bus = bus
        self._clock = clock
        self._metrics = metrics
        self._queue: asyncio.Queue[Rejection] = asyncio.Queue(REJECTIONS_QUEUED)
        self._buckets: dict[str, _Bucket] = {}

    def note(self, source: str, route: Route | None, scope: Scope, error: HoldfastError, status: int) -> None:
        """Queue one refusal to be written down, if there is room; never waits."""
        now = self._clock.monotonic()
        bucket = self._buckets.get(source)
        if bucket is None:
            bucket = self._buckets[source] = _Bucket(float(REJECTIONS_BURST), now)
        if not self._bus.is_connected:
            self._skip(source, "bus")
        elif self._queue.full():
            self._skip(source, "queue")
        elif not bucket.take(now):
            self._skip(source, "rate")
        else:
            record = described(source, route, scope, self._clock.now())
            facts = {"status": status, "code": str(error.code), "reason": error.message}
            self._queue.put_nowait(record.model_copy(update={**facts, "not_kept": bucket.not_kept}))
            bucket.not_kept = 0

    async def keep(self) -> None:
        """Write down until cancelled."""
        while True:
            record = await self._queue.get()
            try:
                await publish_rejection(self._bus, record)
            except HoldfastError:
                self._skip(record.source, "bus")
                self._buckets[record.source].not_kept += record.not_kept
            except Exception:
                log.exception("rejections.failed", extra={"source": record.source})

    async def flush(self, within: timedelta) -> None:
        """Give what is queued a moment, at the end of the process."""
        with contextlib.suppress(TimeoutError, HoldfastError):
            async with asyncio.timeout(within.total_seconds()):
                while not self._queue.empty():
                    await publish_rejection(self._bus, self._queue.get_nowait())

    def _skip(self, source: str, why: str) -> None:
        self._buckets[source].not_kept += 1
        self._metrics.rejection_unkept(source, why)


def described(source: str, route: Route | None, scope: Scope, at: datetime) -> Rejection:
    """Describe a request without anything that is secret; the status and the reason are for the caller to say."""
    body: bytes | None = scope.get(REFUSED_BODY)
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    hidden = (
        route.preset.scheme.credentials("header") if route is not None and route.preset is not None else frozenset()
    )
    safe = SAFE_HEADERS | (route.kept if route is not None else frozenset())
    safe = frozenset(name for name in safe if keepable(name.decode("latin-1")) and name.decode("latin-1") not in hidden)
    peer = scope.get("client")
    return Rejection.model_construct(
        version=1,
        at=at,
        source=source,
        status=0,
        code="",
        reason="",
        method=_shown(scope["method"].encode()),
        path=route.path if route is not None else safe_path(scope["raw_path"]),
        query_names=query_names(scope["query_string"]),
        peer=str(peer[0]) if peer else "",
        header_names=tuple(dict.fromkeys(_shown(name, 64) for name, _ in headers[:MAX_HEADERS])),
        headers={_shown(name): _shown(value) for name, value in headers[:MAX_HEADERS] if name in safe},
        size=len(body) if body is not None else _announced(headers),
        body_sha256=hashlib.sha256(body).hexdigest() if body is not None and len(body) <= MAX_HASHED else None,
        not_kept=0,
    )


def safe_path(raw_path: bytes) -> str:
    """Return a path of no source, for whoever misspelt it; parts that may be secrets are hidden."""
    parts = raw_path.decode("latin-1").split("/")[:10]
    shown = "/".join(_shown(part.encode("latin-1")) if len(part) <= LONG_SEGMENT else _HIDDEN for part in parts)
    return bounded(shown, MAX_VALUE)


def query_names(query: bytes) -> tuple[str, ...]:
    """Return the names of the query's fields; one that is no plain name, or that stands alone, may be a secret."""
    fields = query.decode("latin-1").split("&")[:MAX_QUERY_NAMES] if query else []
    return tuple(dict.fromkeys(_name_of(field) for field in fields))


def _name_of(field: str) -> str:
    name, equals, _ = field.partition("=")
    return name if equals and _PLAIN_NAME.fullmatch(name) else _HIDDEN


def _shown(value: bytes, limit: int = MAX_VALUE) -> str:
    text = value.decode("latin-1")
    return bounded("".join(character if character.isprintable() else "?" for character in text), limit)


def _announced(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and len(value) < 16:
            return int(value)
    return None
