"""Carrying out a decision: everything is stored or accepted first, and only then is the message acknowledged.

Flow: decide → **settle**. What may pass later is handed back to the bus, with growing waits; what can never pass
becomes a dead letter; what is the deployment's fault shuts the gate and stays on the bus.
"""

import asyncio
import logging
import random
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from temporalio.client import Client

from activities.admission import Admission
from holdfast.bus.connect import Bus
from holdfast.bus.consume import Message
from holdfast.bus.objects import Loading, load_body
from holdfast.bus.publish import publish_dead_letter, publish_unmatched
from holdfast.bus.streams import Unmatched
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.delivery import DeliveryInput
from holdfast.contracts.join import JoinOffer
from holdfast.domain.events import Envelope, decode_envelope
from holdfast.errors import ErrorCode, HoldfastError, PermanentFailure, RejectedInput
from holdfast.settings.live import LiveConfig
from holdfast.telemetry import names
from holdfast.telemetry.metrics import Metrics
from holdfast.telemetry.tracing import span
from holdfast.temporal.namespace import verify_search_attributes
from holdfast.temporal.queues import join_queue, queue_of
from holdfast.temporal.starts import offer_to_join, start_delivery
from workers.decide import Arrived, Decision, Starts, Stray, Unwanted, decide, offer_failed, start_failed
from workers.fairness import share_of
from workers.gate import Gate, GateState
from workers.tell import tell_decided, tell_given_up, tell_repeated

log = logging.getLogger(__name__)

STORE_WITHIN = timedelta(seconds=5)
FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(minutes=5)
WHILE_SHUT = timedelta(seconds=2)
BEHIND_GATE = timedelta(seconds=10)  # longest wait for Temporal's absence: the gate already spares it
TEMPORAL = frozenset({ErrorCode.TEMPORAL_UNAVAILABLE, ErrorCode.TEMPORAL_MISCONFIGURED})


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Everything that settling needs; `handle` is what the consumer calls."""

    bus: Bus
    client: Client
    live: LiveConfig
    gate: Gate
    metrics: Metrics
    admission: Admission

    async def handle(self, message: Message) -> None:
        """Settle one message; never raises for anything that a message or a server can do."""
        if self.gate.state == GateState.SHUT:  # it came with a pull from before
            await message.redeliver(WHILE_SHUT)
            return
        arrived = Arrived(
            message.data, message.stream, message.sequence, datetime.now(UTC), awaited_until=message.awaited_until
        )
        try:
            decision = await self._decide(arrived)
            await self._perform(decision, arrived)
            if message.awaited_until is not None:
                await tell_decided(self.bus, decision, message.awaited_until)
            await message.ack()
        except HoldfastError as error:
            wait = redelivery_wait(message.deliveries)
            if error.code in TEMPORAL:
                self.gate.failed(error)
                wait = min(wait, BEHIND_GATE)
            self.metrics.redelivered(error.code)
            log.warning(
                "dispatch.redelivered",
                extra={
                    "sequence": message.sequence,
                    "deliveries": message.deliveries,
                    "code": error.code,
                    "reason": error.message,
                    "wait_seconds": round(wait.total_seconds(), 1),
                },
            )
            await message.redeliver(wait)

    async def _decide(self, arrived: Arrived) -> Decision:
        """Decide, with the body where it lies elsewhere and an expression reads it. Raises Unavailable."""
        envelope = refers(arrived.data)
        triggers = self.live.triggers  # those of this moment, for the whole of this event
        if envelope is None or not triggers.needs(envelope.source):
            return decide(arrived, triggers)
        async with self.bus.part(Loading).room:
            body: bytes | PermanentFailure
            try:
                body = await load_body(self.bus, envelope)
            except PermanentFailure as error:
                body = error
            return await asyncio.to_thread(decide, replace(arrived, body=body), triggers)

    async def _perform(self, decision: Decision, arrived: Arrived) -> None:
        match decision:
            case Starts(envelope, deliveries, dead_letters, joins):
                with span(
                    names.SPAN_DISPATCH.name,
                    traceparent=envelope.traceparent,
                    tracestate=envelope.tracestate,
                    kind="consumer",
                ):
                    await _all(
                        *(self._start(given, arrived) for given in deliveries),
                        *(self._dead_letter(record) for record in dead_letters),
                        *(self._offer(offer, arrived) for offer in joins),
                    )
            case Unwanted(envelope, sequence, at):
                record = Unmatched(
                    source=envelope.source,
                    event_id=envelope.id,
                    event_type=envelope.type,
                    stream=arrived.stream,
                    sequence=sequence,
                    at=at,
                )
                stored = await publish_unmatched(self.bus, record, timeout=STORE_WITHIN)
                if not stored.duplicate:
                    self.metrics.unmatched(envelope.source)
            case Stray(record):
                await self._dead_letter(record)

    async def _start(self, given: DeliveryInput, arrived: Arrived) -> None:
        """Start one delivery, or dead-letter it where Temporal can never take it."""
        try:
            action, share = given.spec.action, share_of(given.envelope.source, self.live.config.sources)
            gated = action.kind == "workflow" and self.admission.gates(given.spec.trigger, action)
            asked = given.model_copy(update={"gated": True}) if gated else given
            line = await self.admission.line_up(given.spec.trigger, action) if queue_of(given) is None else None
            started = await start_delivery(self.client, asked, share, line)
            if (place := queue_of(given)) is not None:
                await join_queue(self.client, *place)
        except RejectedInput as error:
            # an unknown search attribute is refused as INVALID_ARGUMENT too; that is never this message's fault
            await verify_search_attributes(self.client)
            self.gate.succeeded()
            record = start_failed(given, error.code, error.message, arrived)
            await self._dead_letter(record)
            if given.awaited_until is not None:
                await tell_given_up(self.bus, record)
            return
        self.gate.succeeded()
        if not started.duplicate:
            self.metrics.dispatched(given.spec.trigger)
        elif given.awaited_until is not None:
            await tell_repeated(self.bus, given)

    async def _offer(self, offer: JoinOffer, arrived: Arrived) -> None:
        """Offer an event to a join, or dead-letter it where Temporal can never take it."""
        try:
            await offer_to_join(self.client, offer)
        except RejectedInput as error:
            await verify_search_attributes(self.client)
            await self._dead_letter(offer_failed(offer, error.code, error.message, arrived))
        self.gate.succeeded()

    async def _dead_letter(self, record: DeadLetterRecord) -> None:
        stored = await publish_dead_letter(self.bus, record, timeout=STORE_WITHIN)
        if not stored.duplicate:
            self.metrics.dead_lettered(record.trigger, record.stage, record.code)
            log.warning(
                "dispatch.dead_lettered",
                extra={
                    "dead_letter": record.id,
                    "stage": record.stage,
                    "code": record.code,
                    "sequence": stored.sequence,
                },
            )


def refers(data: bytes) -> Envelope | None:
    """Return the event of a message whose body lies elsewhere; None for every other."""
    if b'"body_ref"' not in data:
        return None
    try:
        envelope = decode_envelope(data)
    except RejectedInput:
        return None
    return envelope if envelope.body_ref is not None else None


def redelivery_wait(deliveries: int) -> timedelta:
    """Wait before delivery number `deliveries` + 1: doubling from 1 s to 5 min, spread down to its half."""
    grown: timedelta = min(FIRST_WAIT * (1 << min(max(deliveries, 1) - 1, 16)), LONGEST_WAIT)
    return grown * random.uniform(0.5, 1.0)  # noqa: S311 - it only keeps messages from returning in step


async def _all(*steps: Coroutine[None, None, None]) -> None:
    """Do every step to its end, then raise the worst: a deployment's fault before an outage."""
    if len(steps) == 1:
        await steps[0]
        return
    failures = [result for result in await asyncio.gather(*steps, return_exceptions=True) if result is not None]
    known = [failure for failure in failures if isinstance(failure, HoldfastError)]
    for failure in failures:
        if failure not in known:
            raise failure
    known.sort(key=lambda failure: failure.code != ErrorCode.TEMPORAL_MISCONFIGURED)
    if known:
        raise known[0]
