"""Telling a gateway that waits how a delivery ended; of all other deliveries not one command is issued.

Flow: delivered | recorded as a dead letter → **tell** → end.
"""

from temporalio import workflow

from holdfast.contracts.delivery import DeliveryInput, DeliveryResult
from holdfast.contracts.news import Ended, delivered
from workflows import calls


def awaited(given: DeliveryInput) -> bool:
    """Whether somebody still waits."""
    return given.awaited_until is not None and workflow.now() < given.awaited_until


async def tell_delivered(given: DeliveryInput, outcome: DeliveryResult) -> None:
    """Tell of a success."""
    if awaited(given):
        event = given.envelope
        await calls.announce(
            delivered(event.source, event.id, workflow.info().workflow_id, given.spec.trigger, outcome)
        )


async def tell_gave_up(given: DeliveryInput, code: str, attempts: int) -> None:
    """Tell of a dead letter, once it is stored."""
    if awaited(given):
        event, delivery = given.envelope, workflow.info().workflow_id
        await calls.announce(
            Ended(
                source=event.source,
                event_id=event.id,
                delivery=delivery,
                trigger=given.spec.trigger,
                status="dead_lettered",
                attempts=attempts,
                code=code,
                dead_letter=delivery,
            )
        )
