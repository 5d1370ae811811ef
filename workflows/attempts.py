"""The attempts of a delivery: the first one local, the rest as one regular activity whose retries the UI shows.

Flow: (turn → time) → **first attempt** → wait → **further attempts** → delivered, or given up. An attempt that a limit
or a pause holds back is none: it is waited out here, and does not count.
"""

from datetime import timedelta

from temporalio.exceptions import FailureError

from holdfast.contracts import names
from holdfast.contracts.attempts import FIRST, LAST
from holdfast.contracts.delivery import DeliverInput, DeliverResult, DeliveryInput, DeliveryResult, Progress
from holdfast.domain.retry import backoff
from workflows import calls, narrate, policies
from workflows.escalate import facts
from workflows.hold import Hold, wait_out
from workflows.outcomes import AttemptFailed, GaveUp, Outcome, activity_failed, held_attempt, is_cancellation
from workflows.tell import awaited


async def attempt(given: DeliveryInput, delivery: str, hold: Hold) -> Outcome:
    """Try once; where that fails and the policy allows it, wait and try the rest."""
    spec = given.spec
    order = DeliverInput(
        delivery=delivery, envelope=given.envelope, spec=spec, answer_wanted=awaited(given), holds=hold.count
    )
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
    hold.progress = Progress(failures=failure.attempts, next_attempt_at=facts().at + wait)
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
    return DeliveryResult(
        attempts=done.attempt,
        target=given.spec.action.target,
        result=done.summary if done.result is None else done.result,
    )
