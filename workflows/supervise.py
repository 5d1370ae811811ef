"""Running the user's own workflow as a child, and noticing when it can never run.

Flow: start → (inspect until it has begun) → await. A child that has begun is left alone, however long it takes.
A worker that is merely absent is no failure before `start_within`.
"""

from temporalio.exceptions import ChildWorkflowError, WorkflowAlreadyStartedError

from holdfast.contracts.attempts import failed
from holdfast.contracts.delivery import AdmitInput, CountRunInput, DeliveryInput, DeliveryResult, InspectChildResult
from holdfast.domain.actions import WorkflowAction
from holdfast.errors import ErrorCode
from workflows import calls, calls_queues, narrate, policies
from workflows.escalate import facts
from workflows.outcomes import GaveUp, Outcome, child_failed, is_cancellation


def run_id(delivery: str) -> str:
    """Workflow id of the run that a delivery supervises."""
    return f"{delivery}/run"


async def supervise_admitted(given: DeliveryInput, action: WorkflowAction, *, delivery: str) -> Outcome:
    """Run it as `supervise` does; it was admitted, so its place is renewed while it runs and given back at its end."""
    admitted, failed = AdmitInput(delivery=delivery, spec=given.spec), None
    try:
        outcome = await supervise(given, action, delivery=delivery, renewing=admitted)
        failed = isinstance(outcome, GaveUp)
    finally:
        await calls_queues.leave(admitted.model_copy(update={"failed": failed}))
    return outcome


async def supervise(
    given: DeliveryInput,
    action: WorkflowAction,
    *,
    delivery: str,
    counted: bool = True,
    renewing: AdmitInput | None = None,
) -> Outcome:
    """Run the user's workflow to its end. Raises what a cancellation of this delivery raises."""
    child_id = action.id or run_id(delivery)
    try:
        child = await calls.start_run(
            action, given.spec.retry, workflow_id=child_id, event=given.envelope, trigger=given.spec.trigger
        )
        reason = await _watch(given, action, child, child_id)
        if reason is not None:
            await calls.terminate_child(child_id, f"holdfast: {reason}")
            return _gave_up(ErrorCode.WORKFLOW_NOT_RUNNABLE, reason)
        if renewing is not None:
            await _renew(child, renewing)
        result = await child
    except (ChildWorkflowError, WorkflowAlreadyStartedError) as error:
        if is_cancellation(error) and calls.cancel_requested():
            raise
        return _gave_up(*child_failed(error))
    if counted:
        await calls.count_run(CountRunInput(trigger=given.spec.trigger, received_at=given.envelope.received_at))
    return DeliveryResult(attempts=1, target=action.target, result=result)


async def _renew(child: calls.Child, admitted: AdmitInput) -> None:
    """Say again and again that the run goes on, where it holds a place."""
    renewal = admitted.model_copy(update={"renewal": True})
    every = (await calls_queues.admit(renewal)).renew_every
    while every is not None and not await calls.until(child.done, within=every):
        every = (await calls_queues.admit(renewal)).renew_every


async def _watch(given: DeliveryInput, action: WorkflowAction, child: calls.Child, child_id: str) -> str | None:
    """Look at the child, less and less often, until it has begun; return why it never will, or None."""
    every = policies.INSPECT_FIRST
    while not await calls.until(child.done, within=every):
        seen = await calls.inspect_child(child_id)
        if seen.begun:
            return None
        if seen.failing_attempts >= policies.NOT_RUNNABLE_AFTER:
            return f"its first workflow task failed {seen.failing_attempts} times: {seen.cause}"
        if seen.age >= action.start_within:
            return _not_begun(action, seen)
        calls.tell(narrate.waiting_for_child(given, seen, child=child_id, now=facts().at))
        every = min(every * 2, policies.INSPECT_AT_MOST_EVERY, max(action.start_within - seen.age, every))
    return None


def _not_begun(action: WorkflowAction, seen: InspectChildResult) -> str:
    why = f"; its first workflow task failed: {seen.cause}" if seen.failing_attempts else ""
    return f"no worker on task queue {action.task_queue} began the run within {action.start_within}{why}"


def _gave_up(code: str, message: str) -> GaveUp:
    return GaveUp(code, message, (failed(1, facts().at, code, message),), 1)
