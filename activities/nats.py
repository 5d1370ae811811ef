"""One message to a JetStream subject, stored before it counts as delivered.

Flow: deliver → **nats** → the bus. The message id derives from the delivery, so attempts are one message.
"""

from datetime import timedelta

from activities import cloudevents
from activities.target import Receipt, Shipment
from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.objects import Loading, load_body
from holdfast.bus.publish import publish_message
from holdfast.domain.actions import NatsAction
from holdfast.domain.events import Envelope
from holdfast.errors import ErrorCode, PermanentFailure, RejectedInput

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
        body = await self._body(action, shipment.event)
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

    async def _body(self, action: NatsAction, event: Envelope) -> bytes:
        if action.body is not None:
            return action.body.encode("utf-8", "surrogatepass")
        reference = event.body_ref
        if reference is None:
            return event.raw_body
        if reference.size > self._bus.max_payload:
            raise PermanentFailure(
                ErrorCode.REQUEST_TOO_LARGE,
                f"the body has {reference.size} bytes and the NATS server takes {self._bus.max_payload} in one message;"
                " give the action a `body` that is a part of it, or let the receiver read the bucket"
                f" {reference.bucket}",
            )
        async with self._bus.part(Loading).room:
            return await load_body(self._bus, event)
