"""Stores an event on the bus, or says at once that it cannot: nothing is claimed that the bus has not acknowledged.

Flow: receive → authenticate → normalise → identify → **publish** ─PubAck→ answer.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from gateway.limits import ANSWER_WITHIN, LARGE_ANSWER_WITHIN, PUBLISH_WITHIN, STORE_BODY_WITHIN
from gateway.readiness import Readiness
from gateway.requests import Parcel
from holdfast.bus.publish import Stored
from holdfast.domain.events import Envelope
from holdfast.errors import ErrorCode, Unavailable
from holdfast.telemetry import names
from holdfast.telemetry.tracing import span


@dataclass(frozen=True, slots=True)
class Kept:
    """An event that is safe. `duplicate`: it was before, under the same id. `spooled`: on our disk, not on the bus."""

    duplicate: bool
    spooled: bool = False


class Store(Protocol):
    """What makes an event safe."""

    async def store(self, parcel: Parcel) -> Kept:
        """Store. Raises Unavailable, and RejectedInput `request.too_large`; within (LARGE_)ANSWER_WITHIN."""
        ...


class BusStore:
    """`on_unavailable: reject`: the bus or nothing."""

    def __init__(self, publisher: "Publisher", readiness: Readiness) -> None:
        self._publisher = publisher
        self._readiness = readiness

    async def store(self, parcel: Parcel) -> Kept:
        """Store on the bus."""
        return Kept((await publish(parcel, self._publisher, self._readiness)).duplicate)


class Publisher(Protocol):
    """What stores events: `holdfast.bus.publish.EventPublisher`."""

    async def store_body(self, envelope: Envelope, body: bytes, *, timeout: timedelta) -> None:
        """Store the body that an event refers to within `timeout`."""
        ...

    async def publish_event(
        self, envelope: Envelope, *, timeout: timedelta, awaited_until: datetime | None = None
    ) -> Stored:
        """Store one event within `timeout`."""
        ...


async def publish(
    parcel: Parcel, publisher: Publisher, readiness: Readiness, *, within: timedelta = PUBLISH_WITHIN
) -> Stored:
    """Store. Raises Unavailable `bus.…` or `not_ready`, and RejectedInput `request.too_large`."""
    problem = readiness.intake_problem()
    if problem is not None:
        raise problem
    envelope, answer_within = parcel.envelope, ANSWER_WITHIN if parcel.apart is None else LARGE_ANSWER_WITHIN
    try:
        async with asyncio.timeout(answer_within.total_seconds()):
            with span(
                names.SPAN_PUBLISH.name,
                traceparent=envelope.traceparent,
                tracestate=envelope.tracestate,
                kind="producer",
                source=envelope.source,
            ):
                if parcel.apart is not None:  # the event is stored only when all of its body is
                    await publisher.store_body(envelope, parcel.apart, timeout=STORE_BODY_WITHIN)
                return await publisher.publish_event(envelope, timeout=within, awaited_until=parcel.awaited_until)
    except TimeoutError as error:
        raise Unavailable(ErrorCode.BUS_TIMEOUT, "the bus did not answer in time; the outcome is unknown") from error
