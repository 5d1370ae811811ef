"""The way of one webhook through the gateway, in order; read this first.

    receive       the body as raw bytes, within its bounds             RawRequest
    authenticate  the signature over those bytes, before any parsing   AuthenticRequest
    normalise     the body as data, the headers that are kept          NormalRequest
    identify      the event's id, type and subject                     Envelope
    publish       the bus acknowledges that it is on disk              Kept
    (spool        where the bus is away, our own disk does, if configured)
    answer        202, and only now

Every step either returns the next type or raises one of `holdfast/errors.py`, which `problems.py` translates.
"""

from dataclasses import dataclass

from gateway.authenticate import authenticate, refuse_unknown
from gateway.identify import identify
from gateway.limits import UNKNOWN_CAP
from gateway.normalise import normalise
from gateway.publish import Store
from gateway.receive import Receive, Receiver, Scope, check_head
from gateway.routes import Route
from gateway.tracing import incoming_trace
from holdfast.clock import Clock
from holdfast.errors import RejectedInput
from holdfast.telemetry import names
from holdfast.telemetry.tracing import mint_traceparent, span


@dataclass(frozen=True, slots=True)
class Receipt:
    """An event that is stored. `duplicate`: it was stored before, under the same id."""

    source: str
    event_id: str
    duplicate: bool
    spooled: bool = False  # it waits in the gateway's outbox for the bus


class Pipeline:
    """The steps with what they need."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._receiver = Receiver(clock)

    async def accept(self, route: Route, path_params: dict[str, str], scope: Scope, receive_event: Receive) -> Receipt:
        """Take one webhook all the way. Raises RejectedInput, Unavailable, or Disconnected."""
        headers = scope["headers"]
        check_head(headers, route.max_body)
        parent, state = incoming_trace(headers)
        with span(
            names.SPAN_RECEIVE.name, traceparent=parent, tracestate=state, kind="server", source=route.source
        ) as active:
            raw = await self._receiver.receive(scope, receive_event, route.max_body, path_params)
            try:
                authentic = authenticate(raw, route.verifier)
                normal = normalise(authentic, route.kept)
                envelope = identify(normal, route, active.traceparent or mint_traceparent(), active.tracestate)
                kept = await self._store.store(envelope)
            finally:
                self._receiver.release(raw)
            return Receipt(route.source, envelope.id, kept.duplicate, kept.spooled)

    async def refuse(self, scope: Scope, receive_event: Receive) -> RejectedInput:
        """Return the refusal of a path of no source, after the work of a wrong signature."""
        check_head(scope["headers"], UNKNOWN_CAP)
        raw = await self._receiver.receive(scope, receive_event, UNKNOWN_CAP, {})
        self._receiver.release(raw)
        return refuse_unknown(raw)
