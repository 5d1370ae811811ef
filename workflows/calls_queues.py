"""Commands of what bounds deliveries: admission, and the queue of a key. The same rules as in `calls.py`."""

import contextlib
from typing import Any

from temporalio import workflow
from temporalio.exceptions import CancelledError, FailureError

from holdfast.contracts import names
from holdfast.contracts.delivery import AdmitInput, AdmitResult
from holdfast.contracts.queues import ClosedInput, ClosedResult, JoinQueueInput, SettledBeforeInput
from workflows import policies


async def admit(given: AdmitInput) -> AdmitResult:
    """Ask whether a run may be started now, or renew its place; local, for it takes no time."""
    result: AdmitResult = await workflow.execute_local_activity(
        names.ADMIT, given, result_type=AdmitResult, start_to_close_timeout=policies.SMALL_CALL
    )
    return result


async def leave(given: AdmitInput) -> None:
    """Give back what a run was admitted with; where that fails, its time gives it back."""
    with contextlib.suppress(FailureError):
        await workflow.execute_local_activity(
            names.LEAVE, given, start_to_close_timeout=policies.SMALL_CALL, retry_policy=policies.ONCE
        )


async def join_queue(given: JoinQueueInput) -> None:
    """Tell a queue again that this delivery waits in it."""
    await workflow.execute_activity(
        names.JOIN_QUEUE, given, start_to_close_timeout=policies.SMALL_CALL, retry_policy=policies.FOR_EVER
    )


async def settled_before(sequence: int, stream: str) -> bool:
    """Wait about two seconds until every earlier event is settled; False where some are not.

    Never local: within one workflow task the signals of those events would not be seen yet. The completion of a
    regular activity comes after them in the history.
    """
    settled: bool = await workflow.execute_activity(
        names.SETTLED_BEFORE,
        SettledBeforeInput(sequence=sequence, stream=stream),
        result_type=bool,
        start_to_close_timeout=policies.SMALL_CALL,
        retry_policy=policies.FOR_EVER,
    )
    return settled


async def state_of(workflow_id: str) -> str:
    """Look whether a workflow has ended: open, completed, failed or missing."""
    found: ClosedResult = await workflow.execute_activity(
        names.CLOSED,
        ClosedInput(workflow_id=workflow_id),
        result_type=ClosedResult,
        start_to_close_timeout=policies.SMALL_CALL,
        retry_policy=policies.FOR_EVER,
    )
    return found.state


async def signal(workflow_id: str, name: str, what: Any) -> bool:
    """Signal another workflow; False where there is none that is open."""
    try:
        await workflow.get_external_workflow_handle(workflow_id).signal(name, what)
    except FailureError as error:
        if workflow.cancellation_reason() is not None and isinstance(error, CancelledError):
            raise
        return False
    return True


def history_is_long() -> bool:
    """Whether it is time to go on in a new run."""
    info = workflow.info()
    return info.is_continue_as_new_suggested() or info.get_current_history_length() > policies.LONG_HISTORY
