"""Answers what a gateway asks about deliveries: gateways never talk to Temporal, workers do.

Flow: `GET /events/…` → NATS → **answer** → Temporal.
"""

from temporalio.client import Client

from holdfast.bus.asking import Answering
from holdfast.bus.connect import Bus
from holdfast.contracts.status import DeliveriesAnswer, DeliveriesQuestion
from holdfast.errors import HoldfastError
from holdfast.settings.live import LiveConfig
from holdfast.temporal.whereabouts import Whereabouts


def answering(bus: Bus, client: Client, live: LiveConfig, ui: str | None) -> Answering:
    """Return the service; `ui` is the address of the Temporal UI, where it is known."""
    temporal = Whereabouts(client, ui)

    async def answer(question: DeliveriesQuestion) -> DeliveriesAnswer:
        try:
            return await temporal.find(question, (each.name for each in live.triggers.listening(question.source)))
        except HoldfastError as error:
            return DeliveriesAnswer(trouble=error.message)

    return Answering(bus, answer)
