"""`EventDelivery`: one event, one trigger, carried out, or dead-lettered where everybody sees it.

Flow: read → (turn → time) → first attempt (local) → wait → further attempts → delivered | **recorded, then failed**.
The first success costs nothing but the attempt: no search attribute, no details, no timer.
"""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import FailureError

from holdfast.contracts import names
from holdfast.contracts.attempts import FIRST, LAST
from holdfast.contracts.delivery import DeliverInput, DeliverResult, DeliveryInput, DeliveryResult
from holdfast.contracts.queues import TurnInput
from holdfast.domain.actions import WorkflowAction
from holdfast.domain.retry import backoff
from holdfast.errors import ErrorCode
from workflows import calls, narrate, policies, records
from workflows.escalate import dead_letter, facts
from workflows.hold import Hold, queue_of, tell_queue, wait_for_admission, wait_for_time, wait_for_turn, wait_out
from workflows.inputs import NOTHING, Unreadable, read
from workflows.outcomes import (
    AttemptFailed,
    GaveUp,
    Outcome,
    activity_failed,
    held_attempt,
    is_cancellation,
    unforeseen,
)
from workflows.supervise import supervise


@workflow.defn(name=names.EVENT_DELIVERY, failure_exception_types=policies.FAILURE_TYPES)
class EventDelivery:
    """One delivery. Its workflow id is its identity: the Idempotency-Key, and the id of its dead letter."""

    def __init__(self) -> None:
        self._hold = Hold()

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
            outcome = await _carry_out(given, self._hold)
        except (asyncio.CancelledError, FailureError) as error:
            if not (is_cancellation(error) and calls.cancel_requested()):
                raise await dead_letter(records.of_delivery(given, unforeseen(error), facts())) from None
            # the cancellation is spent here: what is awaited from now on is not cancelled again
            text = "somebody cancelled the delivery; an attempt that was under way may still have arrived"
            await dead_letter(records.of_delivery(given, GaveUp(ErrorCode.DELIVERY_CANCELLED, text), facts()))
            raise
        except tuple(policies.FAILURE_TYPES) as error:
            outcome = unforeseen(error)
        if isinstance(outcome, GaveUp):
            raise await dead_letter(records.of_delivery(given, outcome, facts()))
        return outcome


async def _carry_out(given: DeliveryInput, hold: Hold) -> Outcome:
    """Wait for the turn and the time, then choose the way for the action."""
    delivery = workflow.info().workflow_id
    if given.spec.pressure is not None:
        passed_over = await wait_for_turn(given, hold)
        if passed_over is not None:
            return passed_over
        await wait_for_time(given, hold)
    if isinstance(given.spec.action, WorkflowAction):
        if given.gated:
            await wait_for_admission(given, hold)
        outcome = await supervise(given, given.spec.action, delivery=delivery, gated=given.gated)
    else:
        outcome = await _attempt(given, delivery, hold)
    if hold.shown and isinstance(outcome, DeliveryResult):
        calls.mark(state=names.STATE_DELIVERED)
        calls.tell("")
    return outcome


async def _attempt(given: DeliveryInput, delivery: str, hold: Hold) -> Outcome:
    """Try once; where that fails and the policy allows it, wait and try the rest."""
    spec = given.spec
    order = DeliverInput(delivery=delivery, envelope=given.envelope, spec=spec)
    local = policies.attempt_timeout(spec.action) <= policies.FIRST_ATTEMPT_LOCAL
    while True:
        began = facts().at
        try:
            return _delivered(given, await calls.first_attempt(order, local=local))
        except FailureError as error:
            if is_cancellation(error):
                raise
            held = held_attempt(error)
            if held is None:
                failure = activity_failed(error, number=1, at=facts().at)
                break
        await wait_out(given, hold, held)
        order = order.model_copy(update={"holds": hold.count})
    if failure.permanent or spec.retry.max_attempts == 1:
        return failure.give_up(1)
    wait = failure.retry_in or backoff(spec.retry, 1, seed=delivery)
    left = spec.retry.give_up_after - (facts().at - began) - wait
    if left.total_seconds() <= 0:
        return failure.give_up(1, "the next attempt would come after give_up_after")
    calls.mark(state=names.STATE_RETRYING)
    calls.tell(narrate.retrying(given, failure, wait=wait, now=facts().at, workflow_id=delivery))
    await calls.pause(wait)
    return await _try_the_rest(given, hold, order.model_copy(update={"prior_attempts": 1}), failure, left)


async def _try_the_rest(
    given: DeliveryInput, hold: Hold, order: DeliverInput, first: AttemptFailed, left: timedelta
) -> Outcome:
    """Make the further attempts; time in which they are held back does not count."""
    while True:
        began = facts().at
        try:
            done = await calls.further_attempts(order, give_up_in=left)
        except FailureError as error:
            if is_cancellation(error):
                raise
            held = held_attempt(error)
            if held is None:
                rest = activity_failed(error, number=order.prior_attempts + 1, at=facts().at)
                return _exhausted(first, rest, given.spec.retry.max_attempts)
        else:
            hold.shown = False
            calls.mark(state=names.STATE_DELIVERED)
            calls.tell("")
            return _delivered(given, done)
        left -= facts().at - began
        log = (*first.attempts, *held.attempts)[-(FIRST + LAST) :]
        first = AttemptFailed(first.code, first.message, False, None, log)
        if left.total_seconds() <= 0:
            return first.give_up(held.made, "the next attempt would come after give_up_after")
        await wait_out(given, hold, held)
        order = order.model_copy(update={"prior_attempts": held.made, "holds": hold.count})


def _exhausted(first: AttemptFailed, rest: AttemptFailed, allowed: int) -> GaveUp:
    """Join both logs, and say what ended the trying."""
    log = (*first.attempts, *rest.attempts)
    count = log[-1].number
    why = "" if rest.permanent or count >= allowed else "the next attempt would come after give_up_after"
    return AttemptFailed(rest.code, rest.message, rest.permanent, None, log).give_up(count, why)


def _delivered(given: DeliveryInput, done: DeliverResult) -> DeliveryResult:
    return DeliveryResult(attempts=done.attempt, target=given.spec.action.target, result=done.result or done.summary)
