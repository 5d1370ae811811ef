"""Events offered to joins, for tests: a join out of its configuration, offers, and reading what became of them."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.streams import UNMATCHED, Unmatched
from holdfast.contracts.join import JoinOffer, JoinSpec, join_spec
from holdfast.domain.triggers import TriggerConfig
from holdfast.temporal.starts import offer_to_join
from tests import durable

PAID_NOT_SHIPPED: dict[str, Any] = {
    "join": {"paid": {"on": "shop", "key": "event.subject"}, "shipped": {"on": "store", "key": "event.subject"}},
    "condition": "paid && !shipped",
    "within": "2h",
    "run": {"log": {"message": "events.paid.id"}},
}
CLAIM = {
    "trigger": "chase",
    "name": "paid",
    "key": "o-1",
    "source": "shop",
    "event_id": "p-1",
    "event_type": "order.paid",
    "join": "join/chase/o-1",
}
BOTH = PAID_NOT_SHIPPED | {"condition": "paid && shipped"}


def spec(given: dict[str, Any], trigger: str = "chase") -> JoinSpec:
    """A join as the dispatcher writes it."""
    return join_spec(trigger, "0" * 16, TriggerConfig.model_validate(given))


def offer(of: JoinSpec, name: str, event_id: str, key: str = "o-1", **more: Any) -> JoinOffer:
    """One event under one name."""
    return JoinOffer(spec=of, name=name, key=key, envelope=durable.event(event_id, **more), sequence=7)


def join(client: Client, key: str = "o-1", trigger: str = "chase") -> WorkflowHandle[Any, Any]:
    """The newest run of a key."""
    return client.get_workflow_handle(ids.join_id(trigger, key))


async def unmatched(bus: Bus) -> list[Unmatched]:
    """Read every record in UNMATCHED."""
    info = await bus.jetstream.stream_info(UNMATCHED)
    found = []
    for sequence in range(max(info.state.first_seq, 1), info.state.last_seq + 1):
        message = await bus.jetstream.get_msg(UNMATCHED, sequence)
        found.append(Unmatched.model_validate_json(message.data or b""))
    return found


def scenario(*names: str, **more: Any) -> Callable[[durable.Stack, str], Awaitable[None]]:
    """Offer these, one after the other, to a join of its own, and await its end: for recorded histories."""

    async def play(stack: durable.Stack, workflow_id: str) -> None:
        of = spec(BOTH | {"within": "1s"} | more, trigger=workflow_id)
        for name in names:
            await offer_to_join(stack.client, offer(of, name, f"{workflow_id}-{name}"))
        with contextlib.suppress(WorkflowFailureError):
            await join(stack.client, trigger=workflow_id).result()

    return play
