"""The way of one webhook through the gateway, in order; read this first.

    receive       the body as raw bytes, within its bounds             RawRequest
    greet         what a provider asks without proof is answered       Answer, or on
    authenticate  the signature over those bytes, before any parsing   AuthenticRequest
    greet         what a provider asks with proof is answered          Answer, or on
    normalise     the body as data, the headers that are kept          NormalRequest, or those of a batch
    identify      the event's id, type and subject                     Envelope
    publish       the bus acknowledges that it is on disk              Stored
    answer        202, and only now

Every step either returns the next type or raises one of `holdfast/errors.py`, which `problems.py` translates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.authenticate import authenticate, refuse_unknown
from gateway.batches import store_all
from gateway.certificates import Certificates
from gateway.cloudevents import unwrap
from gateway.confirm import Confirm
from gateway.identify import identify
from gateway.limits import UNKNOWN_CAP
from gateway.normalise import normalise
from gateway.problems import Answer
from gateway.publish import Publisher, publish
from gateway.readiness import Readiness
from gateway.receive import Receive, Receiver, Scope, check_head
from gateway.routes import Route, method_not_allowed
from gateway.tracing import incoming_trace
from holdfast.clock import Clock
from holdfast.domain.events import Envelope
from holdfast.errors import RejectedInput
from holdfast.telemetry import names
from holdfast.telemetry.tracing import mint_traceparent, span


@dataclass(frozen=True, slots=True)
class Receipt:
    """An event that is stored. `duplicate`: it was stored before, under the same id."""

    source: str
    event_id: str
    duplicate: bool


@dataclass(frozen=True, slots=True)
class BatchReceipt:
    """Events that are all stored, in the order of their batch."""

    receipts: tuple[Receipt, ...]


class Pipeline:
    """The steps with what they need."""

    def __init__(self, publisher: Publisher, readiness: Readiness, clock: Clock, confirm: Confirm) -> None:
        self._publisher = publisher
        self._readiness = readiness
        self._receiver = Receiver(clock)
        self._certificates = Certificates(clock)
        self._confirm = confirm

    async def accept(
        self, route: Route, path_params: dict[str, str], scope: Scope, receive_event: Receive
    ) -> Receipt | BatchReceipt | Answer:
        """Take one webhook all the way; an Answer is that of a handshake, of which nothing is stored.

        Raises RejectedInput, Unavailable, or Disconnected.
        """
        headers = scope["headers"]
        check_head(headers, route.max_body)
        parent, state = incoming_trace(headers)
        with span(
            names.SPAN_RECEIVE.name, traceparent=parent, tracestate=state, kind="server", source=route.source
        ) as active:
            raw = await self._receiver.receive(scope, receive_event, route.max_body, path_params)
            try:
                greeter = route.greeter
                if greeter.open and (answer := await greeter.greet(raw, route.source, self._confirm, proven=False)):
                    return answer
                if raw.signed.method not in route.methods:
                    raise method_not_allowed(route)
                authentic = await authenticate(raw, route.verifier, self._certificates)
                if greeter.proven and (answer := await greeter.greet(raw, route.source, self._confirm, proven=True)):
                    return answer
                trace = active.traceparent or mint_traceparent(), active.tracestate
                if route.cloudevents == "off":
                    normal = normalise(authentic, route.kept)
                elif isinstance(unwrapped := unwrap(authentic, route.kept, route.cloudevents), tuple):
                    return await self._store_batch([identify(each, route, *trace) for each in unwrapped])
                else:
                    normal = unwrapped
                return await self._store(identify(normal, route, *trace))
            finally:
                self._receiver.release(raw)

    async def _store(self, envelope: Envelope) -> Receipt:
        stored = await publish(envelope, self._publisher, self._readiness)
        return Receipt(envelope.source, envelope.id, stored.duplicate)

    async def _store_batch(self, envelopes: Sequence[Envelope]) -> BatchReceipt:
        return BatchReceipt(await store_all(envelopes, self._store))

    async def refuse(self, scope: Scope, receive_event: Receive) -> RejectedInput:
        """Return the refusal of a path of no source, after the work of a wrong signature."""
        check_head(scope["headers"], UNKNOWN_CAP)
        raw = await self._receiver.receive(scope, receive_event, UNKNOWN_CAP, {})
        self._receiver.release(raw)
        return refuse_unknown(raw)
