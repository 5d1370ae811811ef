"""One message to a workflow of the user's own, or the start of one that nobody waits for.

Flow: deliver → **messages** → Temporal, with the worker's own client.
"""

from typing import Any

from temporalio import activity
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from activities.target import Receipt, Shipment, kept
from holdfast import ids
from holdfast.contracts import names
from holdfast.domain.actions import MessageAction, SearchAttribute, WorkflowAction
from holdfast.temporal import messages
from holdfast.temporal.attributes import pair


async def send(action: MessageAction, shipment: Shipment, trigger: str, attempt: int) -> Receipt:
    """Send one signal or update. Raises TransientFailure, PermanentFailure, Unavailable."""
    sending = _sending(shipment, trigger, again=attempt > 1)
    if action.how == "signal":
        told = await messages.signal(activity.client(), action, sending)
        return Receipt(f"signal {action.name} taken", told)
    answer = await messages.update(activity.client(), action, sending)
    return Receipt(f"update {action.name} answered", kept(answer))


async def start(action: WorkflowAction, shipment: Shipment, trigger: str) -> Receipt:
    """Start a detached run. Raises TransientFailure, PermanentFailure, Unavailable."""
    workflow_id = action.id or f"{shipment.delivery}/run"
    sending = _sending(shipment, trigger, action.search_attributes)
    started = await messages.start(activity.client(), action, workflow_id, sending)
    return Receipt(f"started {workflow_id}", started)


def _sending(
    shipment: Shipment, trigger: str, more: tuple[SearchAttribute, ...] = (), *, again: bool = False
) -> messages.Sending:
    event = shipment.event
    ours = {
        names.SA_SOURCE: event.source,
        names.SA_EVENT_ID: event.id,
        names.SA_EVENT_TYPE: event.type,
        names.SA_TRIGGER: trigger,
    }
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(SearchAttributeKey.for_keyword(name), value) for name, value in ours.items() if value
    ]
    pairs += map(pair, more)
    return messages.Sending(ids.fingerprint("request", shipment.delivery), TypedSearchAttributes(pairs), again)
