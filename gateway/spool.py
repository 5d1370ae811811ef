"""Keeps an event on our own disk when the bus cannot take it, so that an outage of the bus is nothing to the sender.

Flow: identify → publish → (the bus is away) **spool** → answer. An event whose source has others in the outbox goes
behind them; any other goes to the bus first (docs/decisions/0003-the-outbox.md).
"""

import asyncio
from pathlib import Path
from typing import Protocol

from gateway.limits import ANSWER_WITHIN, LARGE_ANSWER_WITHIN, PUBLISH_BEFORE_SPOOLING
from gateway.outbox import FILE, Outbox
from gateway.outbox_file import NewEvent
from gateway.outbox_record import join
from gateway.publish import Kept, publish
from gateway.readiness import AWAY, Readiness
from gateway.requests import Parcel
from holdfast.bus.publish import EventPublisher
from holdfast.domain.intake import GatewayConfig
from holdfast.errors import ErrorCode, Unavailable

DIRECTORY = "spool"


class SpoolMetrics(Protocol):
    """What is counted here: `holdfast.telemetry.metrics.Metrics`."""

    def spooled(self, source: str) -> None:
        """Count an event kept in the outbox."""
        ...

    def spool_rejected(self, code: str) -> None:
        """Count an event that the outbox could not keep."""
        ...


class BusOrOutbox:
    """`on_unavailable: spool`: the bus, and where it is away the outbox."""

    def __init__(self, publisher: EventPublisher, readiness: Readiness, outbox: Outbox, metrics: SpoolMetrics) -> None:
        self._publisher = publisher
        self._readiness = readiness
        self._outbox = outbox
        self._metrics = metrics

    async def store(self, parcel: Parcel) -> Kept:
        """Store on the bus or on our disk, within ANSWER_WITHIN (LARGE_ANSWER_WITHIN) in all.

        Raises Unavailable: `spool.full`, `spool.failed`, or as the bus failed where that is nothing that passes;
        and RejectedInput `request.too_large`.
        """
        try:
            within = ANSWER_WITHIN if parcel.apart is None else LARGE_ANSWER_WITHIN
            async with asyncio.timeout(within.total_seconds()):
                return await self._store(parcel)
        except TimeoutError as error:
            problem = Unavailable(ErrorCode.SPOOL_FAILED, "the disk of the outbox did not answer in time")
            self._metrics.spool_rejected(problem.code)
            raise problem from error

    async def _store(self, parcel: Parcel) -> Kept:
        behind = self._outbox.holds(parcel.envelope.source)
        if behind and self._outbox.problem is None:
            try:
                return await self._spool(parcel)
            except Unavailable:
                pass  # order gives way: rather on the bus out of turn than not at all
        try:
            stored = await publish(parcel, self._publisher, self._readiness, within=PUBLISH_BEFORE_SPOOLING)
        except Unavailable as error:
            if error.code not in AWAY:
                raise
            return await self._spool(parcel)
        return Kept(stored.duplicate)

    async def _spool(self, parcel: Parcel) -> Kept:
        envelope, record = parcel.envelope, parcel.envelope.encode()
        self._publisher.check_size(envelope.source, envelope.id, record)
        if parcel.apart is not None:
            record = join(record, parcel.apart)
        try:
            duplicate = await self._outbox.put(NewEvent(envelope.source, envelope.id, record))
        except Unavailable as error:
            self._metrics.spool_rejected(error.code)
            raise
        if not duplicate:
            self._metrics.spooled(envelope.source)
        return Kept(duplicate, spooled=True)


def outbox_of(config: GatewayConfig, data_dir: Path) -> Outbox | None:
    """Return the outbox that is configured; also one that an earlier configuration left, which is only emptied."""
    directory = data_dir.absolute() / DIRECTORY
    accepting = config.on_unavailable == "spool"
    if not accepting and not _exists(directory / FILE):
        return None
    return Outbox(directory, int(config.spool.max_bytes), accepting=accepting)


def spool_file(data_dir: Path) -> Path:
    """Return where the outbox of a data directory is, if there is one."""
    return data_dir.absolute() / DIRECTORY / FILE


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:  # a directory that is not ours to look into holds nothing of ours
        return False
