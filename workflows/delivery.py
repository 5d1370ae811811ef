"""`EventDelivery`: one event, one trigger, carried out, or dead-lettered where everybody sees it.

Flow: read → (turn → time) → attempts → delivered | **recorded, then failed**.
The first success costs nothing but the attempt: no search attribute, no details, no timer.
"""

import asyncio

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import FailureError

from holdfast.contracts import names
from holdfast.contracts.delivery import DeliveryInput, DeliveryResult, Progress
from holdfast.contracts.queues import TurnInput
from holdfast.domain.actions import StepsAction, WorkflowAction
from holdfast.errors import ErrorCode
from workflows import calls, policies, records
from workflows.attempts import attempt
from workflows.escalate import dead_letter, facts
from workflows.hold import Hold, queue_of, tell_queue, wait_for_admission, wait_for_time, wait_for_turn
from workflows.inputs import NOTHING, Unreadable, read
from workflows.outcomes import GaveUp, Outcome, is_cancellation, unforeseen
from workflows.steps import Steps
from workflows.supervise import supervise, supervise_admitted
from workflows.tell import tell_delivered, tell_gave_up


@workflow.defn(name=names.EVENT_DELIVERY, failure_exception_types=policies.FAILURE_TYPES)
class EventDelivery:
    """One delivery. Its workflow id is its identity: the Idempotency-Key, and the id of its dead letter."""

    def __init__(self) -> None:
        self._hold = Hold()
        self._steps: Steps | None = None

    @workflow.signal(name=names.RELEASE)
    def release(self) -> None:
        """Look again now whether it may go out."""
        self._hold.released += 1

    @workflow.signal(name=names.TURN)
    def turn(self, raw: RawValue = NOTHING) -> None:
        """Hear what the queue decided."""
        given = read(TurnInput, raw)
        if isinstance(given, TurnInput):
            self._hold.turn = given.verdict

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> DeliveryResult:
        """Deliver. Fails with type `dead_lettered` where that is impossible; cancelled where somebody cancelled."""
        given = read(DeliveryInput, raw)
        if isinstance(given, Unreadable):
            raise await dead_letter(records.of_unreadable(given, facts()))
        if queue_of(given) is None:
            return await self._to_its_end(given)
        try:
            result = await self._to_its_end(given)
        except (FailureError, asyncio.CancelledError):
            await tell_queue(given, delivered=False)
            raise
        await tell_queue(given, delivered=True)
        return result

    async def _to_its_end(self, given: DeliveryInput) -> DeliveryResult:
        try:
            outcome = await self._carry_out(given)
        except (asyncio.CancelledError, FailureError) as error:
            if is_cancellation(error) and calls.cancel_requested():
                # the cancellation is spent here: what is awaited from now on is not cancelled again
                text = "somebody cancelled the delivery; an attempt that was under way may still have arrived"
                steps = tuple(self._steps.outcomes) if self._steps is not None else ()
                gave_up = GaveUp(ErrorCode.DELIVERY_CANCELLED, text, steps=steps)
                await dead_letter(records.of_delivery(given, gave_up, facts()))
                await tell_gave_up(given, ErrorCode.DELIVERY_CANCELLED, 0)
                raise
            outcome = unforeseen(error)
        except tuple(policies.FAILURE_TYPES) as error:
            outcome = unforeseen(error)
        if isinstance(outcome, GaveUp):
            failure = await dead_letter(records.of_delivery(given, outcome, facts()))
            await tell_gave_up(given, outcome.code, outcome.count)
            raise failure
        await tell_delivered(given, outcome)
        return outcome

    @workflow.query(name=names.PROGRESS)
    def progress(self) -> Progress:
        """Show what failed so far and is not among Temporal's own pending activities."""
        return self._hold.progress

    async def _carry_out(self, given: DeliveryInput) -> Outcome:
        """Wait for the turn and the time, carry it out, and say so where people saw it wait."""
        hold = self._hold
        hold.shown, hold.count = given.shown, int(given.lined_up)
        if given.spec.pressure is not None:
            passed_over = await wait_for_turn(given, hold)
            if passed_over is not None:
                return passed_over
            await wait_for_time(given, hold)
        outcome = await self._act(given)
        if hold.shown and isinstance(outcome, DeliveryResult):
            calls.mark(state=names.STATE_DELIVERED)
            calls.tell("")
        return outcome

    async def _act(self, given: DeliveryInput) -> Outcome:
        """Choose the way for the action."""
        delivery, hold = workflow.info().workflow_id, self._hold
        if isinstance(given.spec.action, WorkflowAction) and not given.spec.action.detached:
            if given.gated:
                await wait_for_admission(given, hold)
                return await supervise_admitted(given, given.spec.action, delivery=delivery)
            return await supervise(given, given.spec.action, delivery=delivery)
        if isinstance(given.spec.action, StepsAction):
            self._steps = Steps(given, given.spec.action, delivery, lambda step, name: attempt(step, name, hold))
            return await self._steps.run()
        return await attempt(given, delivery, hold)
