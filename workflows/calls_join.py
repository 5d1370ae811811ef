"""The commands of `Join`: take an event, settle a window, wait until the bus has been looked through.

As in `calls.py`: one typed function each, nothing here decides, and a change breaks running workflows.
"""

import contextlib

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, WorkflowAlreadyStartedError
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

from holdfast.contracts import names
from holdfast.contracts.join import CatchUpInput, JoinedEventInput, SettleJoinInput, SettleJoinResult
from workflows import policies
from workflows.calls import attributes


async def claim_event(given: JoinedEventInput, *, workflow_id: str) -> bool:
    """Take an event for a join, once and for all; False where it was taken before, by whichever run."""
    try:
        await workflow.start_child_workflow(
            names.JOINED_EVENT,
            given,
            id=workflow_id,
            task_queue=names.TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            parent_close_policy=ParentClosePolicy.ABANDON,
            cancellation_type=ChildWorkflowCancellationType.ABANDON,
            search_attributes=attributes(
                source=given.source, event_id=given.event_id, event_type=given.event_type, trigger=given.trigger
            ),
            static_summary=f"{given.event_type} from {given.source} as {given.name} of {given.trigger}"[:200],
        )
    except WorkflowAlreadyStartedError:
        return False
    return True


async def settle_join(given: SettleJoinInput) -> SettleJoinResult:
    """Carry out what a window came to; tried for ever, repeating it changes nothing."""
    done: SettleJoinResult = await workflow.execute_activity(
        names.SETTLE_JOIN,
        given,
        result_type=SettleJoinResult,
        start_to_close_timeout=policies.SETTLE_JOIN,
        retry_policy=policies.FOR_EVER,
    )
    return done


async def catch_up(given: CatchUpInput) -> None:
    """Wait until everything that was on the bus by a moment has been looked at; not longer than is sensible."""
    with contextlib.suppress(ActivityError):
        await workflow.execute_activity(
            names.CATCH_UP,
            given,
            start_to_close_timeout=policies.SMALL_CALL,
            schedule_to_close_timeout=policies.CATCH_UP_WITHIN,
            retry_policy=policies.FOR_EVER,
        )
