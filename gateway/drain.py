"""Brings the outbox to the bus, in order, once the bus is back; an event leaves our disk only after its PubAck.

Flow: spool → outbox → **drain** ─PubAck→ remove. A crash in between publishes again under the same `Nats-Msg-Id`, and
past the bus's duplicate window the delivery's workflow id decides: one delivery in either case.
"""

import asyncio
import base64
import logging
import random
from datetime import UTC, datetime
from typing import Protocol

from gateway.limits import DRAIN_AGAIN, DRAIN_LOOK, DRAIN_PUBLISH_WITHIN, DRAIN_WINDOW, STORE_BODY_WITHIN
from gateway.outbox import Outbox
from gateway.outbox_file import Spooled
from gateway.outbox_record import split
from gateway.readiness import Readiness
from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.publish import EventPublisher, publish_dead_letter
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.domain.deadletters import Stage
from holdfast.domain.events import Envelope, decode_envelope
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput, Unavailable

log = logging.getLogger(__name__)


class DrainMetrics(Protocol):
    """What is counted here: `holdfast.telemetry.metrics.Metrics`."""

    def spool_drained(self, outcome: str) -> None:
        """Count an event that left the outbox: stored, duplicate or dead_lettered."""
        ...

    def spool_state(self, events: int, size: int, oldest_age: float) -> None:
        """Show what the outbox holds."""
        ...


class Drain:
    """Empties one outbox for as long as the process runs."""

    def __init__(
        self, outbox: Outbox, publisher: EventPublisher, bus: Bus, readiness: Readiness, metrics: DrainMetrics
    ) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._bus = bus
        self._readiness = readiness
        self._metrics = metrics
        self._window = 1
        self._drained = 0
        self._filled = False  # since it was empty

    async def keep(self) -> None:
        """Work until cancelled."""
        first, longest = DRAIN_AGAIN
        wait = first
        while True:
            self._show()
            await self._outbox.something_to_do()
            self._show()
            self._begin()
            if self._readiness.intake_problem() is not None:
                await self._while_the_bus_is_away()
                wait = first
                continue
            try:
                went_well = await self._round()
            except Exception:
                log.exception("spool.drain_failed")
                went_well = False
            if went_well:
                wait, self._window = first, min(self._window * 2, DRAIN_WINDOW)
                continue
            self._window = 1
            await asyncio.sleep(wait.total_seconds() * random.uniform(0.5, 1))  # noqa: S311 - spreads load
            wait = min(wait * 2, longest)

    def _begin(self) -> None:
        if self._outbox.state.events and not self._filled:
            self._filled = True
            log.warning("spool.began", extra={"events": self._outbox.state.events})

    async def _while_the_bus_is_away(self) -> None:
        """Look at the file at least, so that one that has failed is found mended."""
        if self._outbox.state.problem is not None:
            await self._try_the_file()
        await asyncio.sleep(DRAIN_LOOK.total_seconds())

    async def _try_the_file(self) -> bool:
        try:
            await self._outbox.remove(())
        except Unavailable:
            return False
        return True

    async def _round(self) -> bool:
        """Bring the oldest events to the bus and forget those it took; return whether all of them went."""
        if self._outbox.state.problem is not None and not await self._try_the_file():
            return False
        try:
            events = await self._outbox.oldest(self._window)
            # all leave in order over one connection, and one stream stores them in the order they come
            outcomes = await asyncio.gather(*(self._bring(event) for event in events))
            gone = [event.position for event, outcome in zip(events, outcomes, strict=True) if outcome is not None]
            if gone:
                await self._outbox.remove(gone)
        except Unavailable as error:  # the file; what was published is published again, as a duplicate
            log.info("spool.drain_deferred", extra={"code": str(error.code), "reason": error.message})
            return False
        for outcome in outcomes:
            if outcome is not None:
                self._metrics.spool_drained(outcome)
        self._drained += len(gone)
        if not self._outbox.state.events and self._filled:
            log.info("spool.drained", extra={"events": self._drained})
            self._drained, self._filled = 0, False
        return bool(events) and len(gone) == len(events)

    async def _bring(self, event: Spooled) -> str | None:
        """Publish one event; return its outcome, or None where it must stay."""
        try:
            try:
                envelope, body = _read(event)
                if body is not None:
                    await self._publisher.store_body(envelope, body, timeout=STORE_BODY_WITHIN)
                stored = await self._publisher.publish_record(
                    event.source, event.event_id, split(event.record)[0], timeout=DRAIN_PUBLISH_WITHIN
                )
            except RejectedInput as error:  # the bus can never take it: it must be seen, and must not block the rest
                await self._give_up(event, error)
                return "dead_lettered"
        except HoldfastError as error:
            log.info("spool.drain_deferred", extra={"code": str(error.code), "reason": error.message})
            return None
        return "duplicate" if stored.duplicate else "stored"

    async def _give_up(self, event: Spooled, error: RejectedInput) -> None:
        record = DeadLetterRecord(
            id=ids.spooled_id(event.source, event.event_id),
            stage=Stage.DECODE,
            code=error.code,
            message=error.message,
            at=datetime.now(UTC),
            source=event.source,
            event_id=event.event_id,
            raw_base64=base64.b64encode(event.record).decode("ascii"),
        )
        await publish_dead_letter(self._bus, record, timeout=DRAIN_PUBLISH_WITHIN)
        log.error("spool.dead_lettered", extra={"dead_letter": record.id, "code": str(error.code)})

    def _show(self) -> None:
        state = self._outbox.state
        self._metrics.spool_state(state.events, state.bytes, self._outbox.oldest_age)


def _read(event: Spooled) -> tuple[Envelope, bytes | None]:
    """Return the event, and its body where that is stored apart.

    Raises RejectedInput `envelope.invalid` for what the disk has changed.
    """
    record, body = split(event.record)
    envelope = decode_envelope(record)
    if (envelope.source, envelope.id) != (event.source, event.event_id):
        raise RejectedInput(ErrorCode.ENVELOPE_INVALID, "the record in the outbox belongs to another event")
    if (body is None) != (envelope.body_ref is None) or (
        body is not None and ids.sha256_hex(body) != envelope.body_sha256
    ):
        raise RejectedInput(ErrorCode.ENVELOPE_INVALID, "the body in the outbox is not the one that was received")
    return envelope, body
