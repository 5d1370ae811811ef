"""Telling the queue of a key that a delivery waits in it: the queue is started by the first one.

Flow: dispatch → start the delivery → **join** → ack. In this order, so that a queue never calls a delivery that is not
there, and an event is never settled that its queue does not know.
"""

from datetime import timedelta
from typing import Literal

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.delivery import DeliveryInput
from holdfast.contracts.queues import JoinInput, KeyQueueInput
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.temporal.connect import bounded_call, workflow_call

JOIN_WITHIN = timedelta(seconds=10)


def queue_of(given: DeliveryInput) -> tuple[KeyQueueInput, JoinInput] | None:
    """Return the queue that a delivery stands in, and how it joins; None where it stands in none."""
    pressure = given.spec.pressure
    if pressure is None or pressure.key is None or given.sequence is None:
        return None
    if given.redrive is not None or given.replay is not None:
        return None
    event = given.envelope
    queue = KeyQueueInput(
        trigger=given.spec.trigger,
        key=pressure.key,
        on_failure=pressure.on_failure,
        debounce=pressure.debounce,
        throttle=pressure.throttle,
    )
    delivery = ids.delivery_id(given.spec.trigger, event.source, event.id)
    return queue, JoinInput(delivery=delivery, sequence=given.sequence, stream=given.stream)


async def join_queue(client: Client, queue: KeyQueueInput, join: JoinInput) -> None:
    """Signal a queue, starting it where it is not open. Raises what `classify` says."""
    await bounded_call(
        client.start_workflow(
            names.KEY_QUEUE,
            queue,
            id=ids.queue_id(queue.trigger, queue.key),
            task_queue=names.TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            start_signal=names.QUEUE_JOIN,
            start_signal_args=[join],
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(SearchAttributeKey.for_keyword(names.SA_TRIGGER), queue.trigger),
                    SearchAttributePair(SearchAttributeKey.for_keyword(names.SA_KEY), queue.key),
                ]
            ),
            static_summary=f"deliveries of {queue.trigger}, key {queue.key}"[:200],
        ),
        JOIN_WITHIN,
    )


async def state_of(client: Client, workflow_id: str) -> Literal["open", "completed", "failed", "missing"]:
    """Return whether a workflow has ended; `failed` in whatever way. Raises Unavailable."""
    try:
        seen = await workflow_call(client.get_workflow_handle(workflow_id).describe(), workflow_id)
    except RejectedInput as error:
        if error.code == ErrorCode.NOT_FOUND:
            return "missing"
        raise
    if seen.status == WorkflowExecutionStatus.RUNNING:
        return "open"
    return "completed" if seen.status == WorkflowExecutionStatus.COMPLETED else "failed"
