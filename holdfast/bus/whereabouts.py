"""Where one event is, put together from the bus, from Temporal (through whoever can ask it) and from an outbox.

One code path for the gateway's `GET /events/…` and for `holdfast events show`.
"""

from collections.abc import Awaitable, Callable

from holdfast.bus.connect import Bus
from holdfast.bus.lookup import FoundEvent, find_dead_letters, find_event, find_unmatched
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.status import (
    CaseStatus,
    DeadLetterStatus,
    DeliveriesAnswer,
    DeliveriesQuestion,
    DeliveryStatus,
    EventStatus,
    Place,
)
from holdfast.domain.events import Envelope
from holdfast.errors import Unavailable

Ask = Callable[[DeliveriesQuestion], Awaitable[DeliveriesAnswer]]


async def whereabouts(bus: Bus, source: str, event_id: str, ask: Ask) -> EventStatus:
    """Return what is known of an event; `EventStatus.known` says whether that is anything.

    Raises Unavailable as the bus fails. Where `ask` raises Unavailable the deliveries are `unknown`, with the reason.
    """
    found = await find_event(bus, source, event_id)
    unmatched = await find_unmatched(bus, source, event_id)
    letters = find_dead_letters(bus, source=source, event_id=event_id)
    records = [letter.record async for letter in letters if letter.record is not None]
    question = DeliveriesQuestion(source=source, event_id=event_id, dead_letters=tuple(r.id for r in records))
    try:
        answer = await ask(question)
    except Unavailable as error:
        answer = DeliveriesAnswer(trouble=error.message)
    status = EventStatus(source=source, id=event_id, unmatched=unmatched is not None)
    status = _described(status, found, records)
    return _delivered(status, records, answer)


def spooled(envelope: Envelope, trouble: str) -> EventStatus:
    """Return what is known of an event that lies in an outbox; `trouble` says why the bus was not asked."""
    status = EventStatus(source=envelope.source, id=envelope.id, spooled=True, trouble=trouble or None)
    return status.model_copy(update=_facts(envelope))


def _described(status: EventStatus, found: FoundEvent | None, records: list[DeadLetterRecord]) -> EventStatus:
    """Say what the event is, from wherever it is still written down."""
    if found is not None:
        place = Place(stream=found.stream, sequence=found.sequence, at=found.stored_at, settled=found.settled)
        return status.model_copy(update={"stored": place, **_facts(found.envelope)})
    kept = next((record.envelope for record in records if record.envelope is not None), None)
    return status.model_copy(update=_facts(kept)) if kept is not None else status


def _facts(envelope: Envelope) -> dict[str, object]:
    return {
        "type": envelope.type,
        "subject": envelope.subject,
        "received_at": envelope.received_at,
        "body": envelope.body_ref,
    }


def _delivered(status: EventStatus, records: list[DeadLetterRecord], answer: DeliveriesAnswer) -> EventStatus:
    by_id = {record.id: record for record in records}
    known = not answer.trouble
    deliveries = tuple(_with_record(delivery, by_id.get(delivery.id)) for delivery in answer.deliveries)
    letters = tuple(_letter(record, answer.cases.get(record.id)) for record in records)
    triggers = dict.fromkeys(t for t in (*(d.trigger for d in deliveries), *(d.trigger for d in letters)) if t)
    return status.model_copy(
        update={
            "deliveries": deliveries if known else "unknown",
            "dead_letters": letters,
            "triggers": tuple(triggers),
            "trouble": answer.trouble or None,
        }
    )


def _with_record(delivery: DeliveryStatus, record: DeadLetterRecord | None) -> DeliveryStatus:
    """Fill in what only the dead letter tells: how each attempt failed."""
    if record is None:
        return delivery
    return delivery.model_copy(update={"attempts": record.attempt_count, "failures": record.attempts})


def _letter(record: DeadLetterRecord, case: CaseStatus | None) -> DeadLetterStatus:
    return DeadLetterStatus(
        id=record.id,
        stage=record.stage,
        code=record.code,
        message=record.message,
        at=record.at,
        trigger=record.trigger,
        attempts=record.attempt_count,
        failures=record.attempts,
        case=case,
    )
