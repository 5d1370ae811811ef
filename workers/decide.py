"""Deciding what becomes of one message: a pure function from its bytes to a closed set of outcomes.

Flow: consume → **decide** → settle. Nothing here waits, stores or logs, so every case is a line in a test.
"""

import base64
from dataclasses import dataclass
from datetime import datetime

from holdfast import ids
from holdfast.contracts.dead_letter import DeadLetterRecord, trace_id
from holdfast.contracts.delivery import DeliveryInput
from holdfast.contracts.join import JoinOffer, closes_by, join_spec
from holdfast.domain.deadletters import Stage
from holdfast.domain.events import Envelope, decode_envelope
from holdfast.domain.matching import CompiledTriggers, Joined, Matched, Undecidable, Verdict
from holdfast.errors import ErrorCode, PermanentFailure, RejectedInput, bounded


@dataclass(frozen=True, slots=True)
class Arrived:
    """What a decision depends on: the bytes, and where they lie."""

    data: bytes
    stream: str
    sequence: int
    at: datetime  # when it is decided
    body: bytes | PermanentFailure | None = None  # of an event that refers to it; or why it is not there
    awaited_until: datetime | None = None  # a gateway waits for the outcome until then


@dataclass(frozen=True, slots=True)
class Starts:
    """At least one trigger takes the event, or cannot be decided: one delivery or one dead letter per trigger.

    A join is offered the event, once per name that takes it.
    """

    envelope: Envelope
    deliveries: tuple[DeliveryInput, ...]
    dead_letters: tuple[DeadLetterRecord, ...]
    joins: tuple[JoinOffer, ...] = ()


@dataclass(frozen=True, slots=True)
class Unwanted:
    """No trigger takes the event: recorded, so that it is not merely absent."""

    envelope: Envelope
    sequence: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Stray:
    """The message is no event: a dead letter with its raw bytes."""

    record: DeadLetterRecord


Decision = Starts | Unwanted | Stray


def decide(arrived: Arrived, triggers: CompiledTriggers) -> Decision:
    """Decide for one message; never raises, whatever the bytes are."""
    try:
        envelope = decode_envelope(arrived.data)
    except RejectedInput as error:
        return Stray(stray(arrived, error.code, error.message))
    except Exception as error:  # noqa: BLE001 - a message that breaks our code would come back for ever
        return Stray(stray(arrived, ErrorCode.DEFECT, f"{type(error).__name__} while decoding"))
    try:
        verdicts = triggers.decide(envelope, arrived.body)
    except Exception as error:  # noqa: BLE001 - as above
        defect = _record(arrived, envelope, trigger="", code=ErrorCode.DEFECT, message=type(error).__name__)
        return Starts(envelope, (), (defect,))
    return _outcome(arrived, envelope, verdicts)


def start_failed(given: DeliveryInput, code: str, message: str, arrived: Arrived) -> DeadLetterRecord:
    """Return the dead letter of a delivery that Temporal can never take."""
    record = _record(arrived, given.envelope, trigger=given.spec.trigger, code=code, message=message)
    spec = given.spec
    facts = {"stage": Stage.START, "spec": spec, "policy": spec.dead_letter, "key": spec.key or ""}
    return record.model_copy(update={**facts, "trigger_hash": spec.trigger_hash})


def offer_of(verdict: Joined, envelope: Envelope, arrived: Arrived) -> JoinOffer:
    """Return what the join is offered."""
    return JoinOffer(
        spec=join_spec(verdict.trigger, verdict.trigger_hash, verdict.config),
        name=verdict.name,
        key=verdict.key,
        envelope=envelope,
        stream=arrived.stream,
        sequence=arrived.sequence,
        closes_by=closes_by(verdict.config, arrived.at),
    )


def offer_failed(offer: JoinOffer, code: str, message: str, arrived: Arrived) -> DeadLetterRecord:
    """Return the dead letter of an event that Temporal can never take for a join."""
    record = _record(arrived, offer.envelope, trigger=offer.spec.trigger, code=code, message=message)
    return record.model_copy(update={"id": offer.claim, "stage": Stage.START})


def _outcome(arrived: Arrived, envelope: Envelope, verdicts: tuple[Verdict, ...]) -> Starts | Unwanted:
    until = arrived.awaited_until
    awaited_until = until if until is not None and until > arrived.at else None
    deliveries = tuple(
        DeliveryInput(
            envelope=envelope,
            spec=verdict.spec,
            sequence=arrived.sequence,
            stream=arrived.stream,
            awaited_until=awaited_until,
        )
        for verdict in verdicts
        if isinstance(verdict, Matched)
    )
    dead_letters = tuple(
        _record(arrived, envelope, trigger=v.trigger, code=v.code, message=v.reason).model_copy(
            update={"trigger_hash": v.trigger_hash, "policy": v.dead_letter}
        )
        for v in verdicts
        if isinstance(v, Undecidable)
    )
    joins = tuple(offer_of(verdict, envelope, arrived) for verdict in verdicts if isinstance(verdict, Joined))
    if deliveries or dead_letters or joins:
        return Starts(envelope, deliveries, dead_letters, joins)
    return Unwanted(envelope, arrived.sequence, arrived.at)


def _record(arrived: Arrived, envelope: Envelope, *, trigger: str, code: str, message: str) -> DeadLetterRecord:
    return DeadLetterRecord(
        id=ids.delivery_id(trigger or "~none", envelope.source, envelope.id),
        stage=Stage.FILTER,
        code=code,
        message=bounded(message),
        at=arrived.at,
        source=envelope.source,
        event_id=envelope.id,
        event_type=envelope.type,
        trigger=trigger,
        envelope=envelope,
        stream=arrived.stream,
        sequence=arrived.sequence,
        traceparent=envelope.traceparent,
        trace_id=trace_id(envelope.traceparent),
    )


def stray(arrived: Arrived, code: str, message: str) -> DeadLetterRecord:
    """Return the dead letter of bytes that are nothing we know, with the bytes."""
    return DeadLetterRecord(
        id=ids.stray_id(arrived.stream, arrived.sequence),
        stage=Stage.DECODE,
        code=code,
        message=bounded(message),
        at=arrived.at,
        raw_base64=base64.b64encode(arrived.data).decode("ascii"),
        stream=arrived.stream,
        sequence=arrived.sequence,
    )
