"""The way of one webhook through the gateway, in order; read this first.

    receive       the body as raw bytes, within its bounds             RawRequest
    greet         what a provider asks without proof is answered       Answer, or on
    authenticate  the signature over those bytes, before any parsing   AuthenticRequest
    greet         what a provider asks with proof is answered          Answer, or on
    normalise     the body as data, the headers that are kept          NormalRequest, or those of a batch
    identify      the event's id, type and subject                     Envelope
    publish       the bus acknowledges that it is on disk              Kept
    (spool        where the bus is away, our own disk does, if configured)
    answer        202, and only now

Every step either returns the next type or raises one of `holdfast/errors.py`, which `problems.py` translates.
"""

from dataclasses import dataclass
from functools import partial

from gateway.authenticate import authenticate, refuse_unknown
from gateway.batches import store_all
from gateway.certificates import Certificates
from gateway.cloudevents import unwrap
from gateway.confirm import Confirm
from gateway.identify import identify
from gateway.limits import UNKNOWN_CAP
from gateway.problems import Answer
from gateway.publish import Store
from gateway.receive import Receive, Receiver, Scope, check_head
from gateway.rejections import REFUSED_BODY
from gateway.requests import RawRequest
from gateway.routes import Route, method_not_allowed
from gateway.tracing import incoming_trace
from gateway.waiting import Ticket, Waiting
from holdfast.clock import Clock
from holdfast.domain.events import Envelope
from holdfast.errors import HoldfastError, RejectedInput
from holdfast.telemetry import names
from holdfast.telemetry.tracing import mint_traceparent, span


@dataclass(frozen=True, slots=True)
class Receipt:
    """An event that is stored. `duplicate`: it was stored before, under the same id."""

    source: str
    event_id: str
    duplicate: bool
    spooled: bool = False  # it waits in the gateway's outbox for the bus
    ticket: Ticket | None = None  # its sender waits for the outcome


@dataclass(frozen=True, slots=True)
class BatchReceipt:
    """Events that are all stored, in the order of their batch."""

    receipts: tuple[Receipt, ...]


class Pipeline:
    """The steps with what they need."""

    def __init__(self, store: Store, clock: Clock, confirm: Confirm, waiting: Waiting) -> None:
        self.waiting = waiting
        self._store = store
        self._receiver = Receiver(clock)
        self._confirm = confirm
        self._certificates = Certificates(clock)

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
                trace = active.traceparent or mint_traceparent(), active.tracestate
                return await self._take(raw, route, trace)
            except HoldfastError:
                scope[REFUSED_BODY] = raw.body
                raise
            finally:
                self._receiver.release(raw)

    async def _take(
        self, raw: RawRequest, route: Route, trace: tuple[str, str | None]
    ) -> Receipt | BatchReceipt | Answer:
        greet = partial(route.greeter.greet, raw, route.source, self._confirm)
        if (answer := greet(proven=False)) is not None:
            return answer
        if raw.signed.method not in route.methods:  # a GET or OPTIONS that asked nothing
            raise method_not_allowed(route)
        authentic = await authenticate(raw, route.verifier, self._certificates)
        if (answer := greet(proven=True)) is not None:
            return answer
        normal = unwrap(authentic, route.kept, route.cloudevents)
        if isinstance(normal, tuple):
            envelopes = [identify(each, route, *trace) for each in normal]
            return BatchReceipt(await store_all(envelopes, self._keep))
        envelope = identify(normal, route, *trace)
        # listened for before it is published: the outcome may come at once
        ticket = await self.waiting.expect(raw.signed.headers, route.wait, envelope)
        return await self._keep(envelope, ticket)

    async def _keep(self, envelope: Envelope, ticket: Ticket | None = None) -> Receipt:
        if ticket is None:
            kept = await self._store.store(envelope)
            return Receipt(envelope.source, envelope.id, kept.duplicate, kept.spooled)
        try:
            kept = await self._store.store(envelope, ticket.until)
        except BaseException:
            ticket.close()
            raise
        if kept.spooled:  # nothing happens to it before the bus is back
            ticket.close()
            ticket = None
        return Receipt(envelope.source, envelope.id, kept.duplicate, kept.spooled, ticket)

    async def refuse(self, scope: Scope, receive_event: Receive) -> RejectedInput:
        """Return the refusal of a path of no source, after the work of a wrong signature."""
        check_head(scope["headers"], UNKNOWN_CAP)
        raw = await self._receiver.receive(scope, receive_event, UNKNOWN_CAP, {})
        self._receiver.release(raw)
        scope[REFUSED_BODY] = raw.body
        return refuse_unknown(raw)
