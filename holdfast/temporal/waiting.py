"""Waking deliveries that are held back: after a resume they look again at once, and not when their timer says so.

Flow: resume → **release**. A signal that is lost costs a delivery its timer, at most ten minutes.
"""

import asyncio
from collections.abc import AsyncIterator

from temporalio.client import Client, WorkflowExecution

from holdfast.contracts import names
from holdfast.contracts.queues import SkipInput
from holdfast.errors import HoldfastError
from holdfast.ids import queue_id
from holdfast.temporal.connect import bounded_call, workflow_call
from holdfast.temporal.deliveries import quoted

AT_ONCE = 16


async def release_waiting(client: Client, trigger: str | None) -> int:
    """Signal every waiting delivery of a trigger, or of all; return how many took it. Raises Unavailable."""
    query = (
        f"WorkflowType = '{names.EVENT_DELIVERY}' AND ExecutionStatus = 'Running'"
        f" AND {names.SA_STATE} = '{names.STATE_WAITING}'"
    )
    if trigger is not None:
        query += f" AND {names.SA_TRIGGER} = {quoted(trigger)}"
    released = 0
    batch: list[str] = []
    async for run in client.list_workflows(query):
        batch.append(run.id)
        if len(batch) == AT_ONCE:
            released += await _release(client, batch)
            batch = []
    return released + await _release(client, batch)


async def list_queues(client: Client, trigger: str | None) -> AsyncIterator[WorkflowExecution]:
    """Yield the open queues of a trigger, or of all."""
    query = f"WorkflowType = '{names.KEY_QUEUE}' AND ExecutionStatus = 'Running'"
    if trigger is not None:
        query += f" AND {names.SA_TRIGGER} = {quoted(trigger)}"
    async for run in client.list_workflows(query):
        yield run


async def skip_head(client: Client, trigger: str, key: str, given: SkipInput) -> None:
    """Let what follows the head of a queue go on. Raises RejectedInput `not_found` where there is no such queue."""
    queue = queue_id(trigger, key)
    await workflow_call(client.get_workflow_handle(queue).signal(names.SKIP, given), queue)


async def _release(client: Client, deliveries: list[str]) -> int:
    async def one(delivery: str) -> bool:
        try:
            await bounded_call(client.get_workflow_handle(delivery).signal(names.RELEASE))
        except HoldfastError:
            return False  # it has ended meanwhile
        return True

    return sum(await asyncio.gather(*(one(delivery) for delivery in deliveries)))
