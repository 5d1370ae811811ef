"""Telling a gateway that waits what the dispatcher decided; only for events that somebody waits for.

Flow: settle → **tell** → core NATS → `Prefer: wait`.
"""

from datetime import UTC, datetime

from holdfast.bus.connect import Bus
from holdfast.bus.news import announce
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.delivery import DeliveryInput
from holdfast.contracts.news import Decided, Ended, Repeated
from holdfast.ids import delivery_id
from workers.decide import Decision, Starts, Stray, Unwanted


async def tell_decided(bus: Bus, decision: Decision, awaited_until: datetime) -> None:
    """Tell what was decided and is carried out; never raises."""
    if awaited_until <= datetime.now(UTC):
        return
    match decision:
        case Starts(envelope, deliveries, dead_letters):
            started = tuple(delivery_id(each.spec.trigger, envelope.source, envelope.id) for each in deliveries)
            given_up = tuple(record.id for record in dead_letters)
            await announce(bus, Decided(source=envelope.source, event_id=envelope.id, deliveries=(*started, *given_up)))
            for record in dead_letters:
                await tell_given_up(bus, record)
        case Unwanted(envelope):
            await announce(bus, Decided(source=envelope.source, event_id=envelope.id, deliveries=()))
        case Stray():  # no event, so nobody can wait for it
            pass


async def tell_repeated(bus: Bus, given: DeliveryInput) -> None:
    """Tell that a delivery was started before; never raises."""
    event = given.envelope
    delivery = delivery_id(given.spec.trigger, event.source, event.id)
    await announce(bus, Repeated(source=event.source, event_id=event.id, delivery=delivery))


async def tell_given_up(bus: Bus, record: DeadLetterRecord) -> None:
    """Tell of an event that the dispatcher itself gave up; never raises."""
    await announce(
        bus,
        Ended(
            source=record.source,
            event_id=record.event_id,
            delivery=record.id,
            trigger=record.trigger,
            status="dead_lettered",
            code=record.code,
            dead_letter=record.id,
        ),
    )
