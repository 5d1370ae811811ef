"""`EventDelivery`: one event, one trigger, carried out, or dead-lettered where everybody sees it.

Flow: read → first attempt (local) → wait → further attempts (regular) → delivered | **recorded, then failed**.
The first success costs nothing but the attempt: no search attribute, no details, no timer.
"""

import asyncio

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import FailureError

from holdfast.contracts import names
from holdfast.contracts.delivery import DeliverInput, DeliverResult, DeliveryInput, DeliveryResult, Progress
from holdfast.domain.actions import StepsAction, WorkflowAction
from holdfast.domain.retry import backoff
from holdfast.errors import ErrorCode
from workflows import calls, narrate, policies, records
from workflows.escalate import dead_letter, facts
from workflows.inputs import NOTHING, Unreadable, read
from workflows.outcomes import AttemptFailed, GaveUp, Outcome, activity_failed, is_cancellation, unforeseen
from workflows.steps import Steps
from workflows.supervise import supervise
from workflows.tell import awaited, tell_delivered, tell_gave_up


@workflow.defn(name=names.EVENT_DELIVERY, failure_exception_types=policies.FAILURE_TYPES)
class EventDelivery:
    """One delivery. Its workflow id is its identity: the Idempotency-Key, and the id of its dead letter."""

    def __init__(self) -> None:
        self._progress = Progress()
        self._steps: Steps | None = None

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> DeliveryResult:
        """Deliver. Fails with type `dead_lettered` where that is impossible; cancelled where somebody cancelled."""
        given = read(DeliveryInput, raw)
        if isinstance(given, Unreadable):
            raise await dead_letter(records.of_unreadable(given, facts()))
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
        return self._progress

    async def _carry_out(self, given: DeliveryInput) -> Outcome:
        """Choose the way for the action."""
        delivery = workflow.info().workflow_id
        if isinstance(given.spec.action, WorkflowAction) and not given.spec.action.detached:
            return await supervise(given, given.spec.action, delivery=delivery)
        if isinstance(given.spec.action, StepsAction):
            self._steps = Steps(given, given.spec.action, delivery, self._attempt)
            return await self._steps.run()
        return await self._attempt(given, delivery)

    async def _attempt(self, given: DeliveryInput, delivery: str) -> Outcome:
        """Try once; where that fails and the policy allows it, wait and try the rest."""
        spec, began = given.spec, facts().at
        order = DeliverInput(delivery=delivery, envelope=given.envelope, spec=spec, answer_wanted=awaited(given))
        local = policies.attempt_timeout(spec.action) <= policies.FIRST_ATTEMPT_LOCAL
        try:
            return _delivered(given, await calls.first_attempt(order, local=local))
        except FailureError as error:
            if is_cancellation(error):
                raise
            failure = activity_failed(error, number=1, at=facts().at)
        if failure.permanent or spec.retry.max_attempts == 1:
            return failure.give_up(1)
        wait = failure.retry_in or backoff(spec.retry, 1, seed=delivery)
        left = spec.retry.give_up_after - (facts().at - began) - wait
        if left.total_seconds() <= 0:
            return failure.give_up(1, "the next attempt would come after give_up_after")
        self._progress = Progress(failures=failure.attempts, next_attempt_at=facts().at + wait)
        calls.mark(state=names.STATE_RETRYING)
        calls.tell(narrate.retrying(given, failure, wait=wait, now=facts().at, workflow_id=delivery))
        await calls.pause(wait)
        try:
            done = await calls.further_attempts(order.model_copy(update={"prior_attempts": 1}), give_up_in=left)
        except FailureError as error:
            if is_cancellation(error):
                raise
            return _exhausted(failure, activity_failed(error, number=2, at=facts().at), spec.retry.max_attempts)
        calls.mark(state=names.STATE_DELIVERED)
        calls.tell("")
        return _delivered(given, done)


def _exhausted(first: AttemptFailed, rest: AttemptFailed, allowed: int) -> GaveUp:
    """Join both logs, and say what ended the trying."""
    log = (*first.attempts, *rest.attempts)
    count = log[-1].number
    why = "" if rest.permanent or count >= allowed else "the next attempt would come after give_up_after"
    return AttemptFailed(rest.code, rest.message, rest.permanent, None, log).give_up(count, why)


def _delivered(given: DeliveryInput, done: DeliverResult) -> DeliveryResult:
    return DeliveryResult(
        attempts=done.attempt,
        target=given.spec.action.target,
        result=done.summary if done.result is None else done.result,
    )
