"""One message to a JetStream subject, stored before it counts as delivered.

Flow: deliver → **nats** → the bus. The message id derives from the delivery, so attempts are one message.
"""

from datetime import timedelta

from activities import cloudevents
from activities.target import Receipt, Shipment
from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.publish import publish_message
from holdfast.domain.actions import NatsAction
from holdfast.errors import PermanentFailure, RejectedInput

TIMEOUT = timedelta(seconds=4)  # below the attempt's own, so that the reason is ours


class NatsTarget:
    """Publishes events for other consumers."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def send(self, action: NatsAction, shipment: Shipment) -> Receipt:
        """Publish once. Raises PermanentFailure `request.too_large`, or Unavailable `bus.…`."""
        headers = cloudevents.attributes(shipment.event)
        kind = "application/json" if action.body is not None else cloudevents.content_type(shipment.event)
        if kind is not None:
            headers["content-type"] = kind
        if shipment.traceparent is not None:
            headers["traceparent"] = shipment.traceparent
        body = shipment.event.raw_body if action.body is None else action.body.encode("utf-8", "surrogatepass")
        try:
            stored = await publish_message(
                self._bus,
                action.subject,
                body,
                ids.fingerprint("delivery", shipment.delivery),
                headers=headers,
                timeout=TIMEOUT,
            )
        except RejectedInput as error:
            raise PermanentFailure(error.code, error.message) from error
        result = {"stream": stored.stream, "sequence": stored.sequence, "duplicate": stored.duplicate}
        return Receipt(f"{stored.stream} #{stored.sequence}", result)
