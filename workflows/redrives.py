"""Carrying out one redrive of a case, to its end: prepared anew and delivered, or put back on the bus.

Flow: redrive asked for → **prepare → start → await** → Delivered | Nothing | Refused | FailedAgain.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, WorkflowAlreadyStartedError

from holdfast import ids
from holdfast.contracts.dead_letter import PrepareRedriveInput, RepublishInput
from holdfast.contracts.delivery import DeliveryInput, Redrive
from holdfast.contracts.moves import RedriveInput
from holdfast.errors import ErrorCode
from workflows import calls, policies
from workflows.case import Case
from workflows.escalate import facts
from workflows.outcomes import Left, activity_failed, is_cancellation, redrive_failed, redrive_left


@dataclass(frozen=True, slots=True)
class Delivered:
    """It is where it should be; `how` says so to people."""

    how: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """There was nothing to deliver: the trigger no longer wants the event."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """What was asked for cannot be done; the case stays as it was."""

    reason: str


@dataclass(frozen=True, slots=True)
class FailedAgain:
    """It failed; `left` is the record of its own that it left behind."""

    code: str
    message: str
    left: Left


Ended = Delivered | Nothing | Refused | FailedAgain


async def carry_out(case: Case, given: RedriveInput, began: Callable[[], None]) -> Ended:
    """Carry a redrive out; `began` is called when it is under way. Raises CancelledError when the case is cancelled."""
    number = case.made + 1
    try:
        if case.record.envelope is None:
            return await _republish(case, given, number)
        return await _deliver_again(case, given, number, began)
    except (ActivityError, ChildWorkflowError, ApplicationError) as error:
        if is_cancellation(error) and calls.cancel_requested():
            raise asyncio.CancelledError from error
        if isinstance(error, ActivityError):
            failure = activity_failed(error, number=number, at=facts().at)
            return FailedAgain(failure.code, failure.message, Left())
        return FailedAgain(*redrive_failed(error), redrive_left(error))


async def _republish(case: Case, given: RedriveInput, number: int) -> Ended:
    if given.trigger is not None or given.config != "current":
        return Refused("it is no event yet: it goes back on the bus and every trigger sees it; leave out the rest")
    await calls.republish(RepublishInput(record=case.record, redrive=_lineage(case, number), body=given.body))
    case.started(ids.redrive_id(case.record.id, number), number)
    return Delivered("it is back on the bus and is read anew")


async def _deliver_again(case: Case, given: RedriveInput, number: int, began: Callable[[], None]) -> Ended:
    plan = await calls.prepare_redrive(
        PrepareRedriveInput(
            record=case.record,
            redrive=_lineage(case, number),
            body=given.body,
            trigger=given.trigger,
            config=given.config,
        )
    )
    if plan.refused:
        return Refused(plan.reason)
    if plan.delivery is None:
        return Nothing(plan.reason)
    child = await _start(case, plan.delivery)
    began()
    await child
    return Delivered(f"delivered by {case.redrives[-1]}")


async def _start(case: Case, delivery: DeliveryInput) -> calls.Child:
    """Start the redrive under the next free number: an earlier case of this dead letter may have used some."""
    first = case.made + 1
    for number in range(first, first + policies.REDRIVE_NUMBERS):
        delivery_id = ids.redrive_id(case.record.id, number)
        try:
            child = await calls.start_redrive(
                delivery.model_copy(update={"redrive": _lineage(case, number)}), workflow_id=delivery_id
            )
        except WorkflowAlreadyStartedError:
            continue
        case.started(delivery_id, number)
        return child
    raise ApplicationError(
        f"{policies.REDRIVE_NUMBERS} redrives of this dead letter exist already", type=ErrorCode.START_REJECTED
    )


def _lineage(case: Case, number: int) -> Redrive:
    return Redrive(dead_letter_id=case.record.id, case=case.id, number=number)
