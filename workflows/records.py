"""Building the dead letter of everything that can fail here; pure, the facts of the run are handed in."""

from dataclasses import dataclass
from datetime import datetime

from holdfast import ids
from holdfast.contracts.dead_letter import DeadLetterRecord, trace_id
from holdfast.contracts.delivery import DeliveryInput
from holdfast.contracts.scheduled import PublishTickInput, tick_event_id
from holdfast.domain.deadletters import Stage
from holdfast.errors import ErrorCode, bounded
from workflows.inputs import Unreadable
from workflows.outcomes import GaveUp

MAX_RECORD = 1_900_000  # bytes as JSON; a message on the bus and a payload in Temporal end at 2 MiB


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Which run it is that fails, and when."""

    workflow_id: str
    run_id: str
    at: datetime


def of_delivery(given: DeliveryInput, outcome: GaveUp, facts: RunFacts) -> DeadLetterRecord:
    """Write down a delivery that failed for good."""
    event = given.envelope
    return DeadLetterRecord(
        id=facts.workflow_id,
        stage=Stage.DELIVERY,
        code=outcome.code,
        message=outcome.message,
        at=facts.at,
        source=event.source,
        event_id=event.id,
        event_type=event.type,
        trigger=given.spec.trigger,
        envelope=event,
        spec=given.spec,
        attempts=outcome.attempts,
        attempt_count=outcome.count,
        attempts_omitted=max(0, outcome.count - len(outcome.attempts)) if outcome.attempts else 0,
        trigger_hash=given.spec.trigger_hash,
        policy=given.spec.dead_letter,
        key=given.spec.key or "",
        workflow_id=facts.workflow_id,
        run_id=facts.run_id,
        stream=given.stream,
        sequence=given.sequence,
        traceparent=event.traceparent,
        trace_id=trace_id(event.traceparent),
        redrive=given.redrive,
        steps=outcome.steps,
        replay=given.replay,
    )


def of_unreadable(found: Unreadable, facts: RunFacts, *, code: str = ErrorCode.INPUT_INVALID) -> DeadLetterRecord:
    """Write down a run whose input says nothing we can use."""
    return DeadLetterRecord(
        id=ids.foreign_id(facts.workflow_id),
        stage=Stage.DECODE,
        code=code,
        message=bounded(found.reason),
        at=facts.at,
        raw_base64=found.raw_base64,
        workflow_id=facts.workflow_id,
        run_id=facts.run_id,
    )


def of_tick(given: PublishTickInput, outcome: GaveUp, facts: RunFacts) -> DeadLetterRecord:
    """Write down a tick that could not become an event."""
    return DeadLetterRecord(
        id=ids.foreign_id(facts.workflow_id),
        stage=Stage.SCHEDULE,
        code=outcome.code,
        message=outcome.message,
        at=facts.at,
        source=given.tick.schedule,
        event_id=tick_event_id(given.nominal),
        event_type=given.tick.type,
        tick=given.tick,
        workflow_id=facts.workflow_id,
        run_id=facts.run_id,
    )


def fitting(record: DeadLetterRecord) -> DeadLetterRecord:
    """Return `record` small enough for the bus and for Temporal.

    The recorded action goes first, for a redrive decides anew anyway; the event itself stays as long as it can.
    """
    for dropped in ({}, {"spec": None}, {"spec": None, "raw_base64": None, "tick": None}):
        smaller = record.model_copy(update=dropped)
        if len(smaller.model_dump_json(exclude_none=True).encode("utf-8", "surrogatepass")) <= MAX_RECORD:
            return smaller
    return record.without_bulk()
