"""The way of one webhook through the gateway, in order; read this first.

    receive       the body as raw bytes, within its bounds             RawRequest
    greet         what a provider asks without proof is answered       Answer, or on
    authenticate  the signature over those bytes, before any parsing   AuthenticRequest
    greet         what a provider asks with proof is answered          Answer, or on
    quotas        the source may send one more, by its limits
    normalise     the body as data, the headers that are kept          NormalRequest, or those of a batch
    identify      the event's id, type and subject                     Envelope
    publish       the bus acknowledges that it is on disk              Kept
    (spool        where the bus is away, our own disk does, if configured)
    answer        202, and only now

Every step either returns the next type or raises one of `holdfast/errors.py`, which `problems.py` translates.
"""

from dataclasses import dataclass, replace
from functools import partial

from gateway.authenticate import Published, authenticate, refuse_unknown
from gateway.batches import store_all
from gateway.beside import beside
from gateway.certificates import Certificates
from gateway.cloudevents import unwrap
from gateway.confirm import Confirm
from gateway.identify import identify
from gateway.key_sets import KeySets
from gateway.limits import UNKNOWN_CAP
from gateway.problems import Answer
from gateway.publish import Store
from gateway.quotas import Quota, Quotas
from gateway.receive import Receive, Receiver, Scope, check_head
from gateway.rejections import REFUSED_BODY
from gateway.requests import AuthenticRequest, NormalRequest, Parcel, RawRequest
from gateway.routes import Route, method_not_allowed
from gateway.tracing import event_trace, incoming_trace
from gateway.waiting import Ticket, Waiting
from holdfast.clock import Clock
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


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace of a request. Where no header named one, a CloudEvent that carries its own goes on in that."""

    traceparent: str
    tracestate: str | None
    of_sender: bool

    def of(self, normal: NormalRequest) -> tuple[str, str | None]:
        """Return the trace of one event."""
        if not self.of_sender and normal.cloudevent is not None:
            parent, state = event_trace(normal.cloudevent.extensions)
            if parent is not None:
                return parent, state
        return self.traceparent, self.tracestate


class Pipeline:
    """The steps with what they need."""

    def __init__(  # noqa: PLR0913, PLR0917 - one per step that needs something
        self,
        store: Store,
        clock: Clock,
        confirm: Confirm,
        quotas: Quotas,
        waiting: Waiting,
        key_sets: KeySets | None = None,
    ) -> None:
        self.waiting = waiting
        self._store = store
        self._quotas = quotas
        self._receiver = Receiver(clock)
        self._confirm = confirm
        self._published = Published(Certificates(clock), key_sets or KeySets(clock))

    async def accept(
        self, route: Route, path_params: dict[str, str], scope: Scope, receive_event: Receive
    ) -> Receipt | BatchReceipt | Answer:
        """Take one webhook all the way; an Answer is that of a handshake, of which nothing is stored.

        Raises RejectedInput, Unavailable, or Disconnected.
        """
        headers = scope["headers"]
        check_head(headers, route.max_body)
        quota = self._quotas.of(route.source)
        quota.check_rate()
        parent, state = incoming_trace(headers)
        with span(
            names.SPAN_RECEIVE.name, traceparent=parent, tracestate=state, kind="server", source=route.source
        ) as active:
            raw = await self._receiver.receive(scope, receive_event, route.max_body, path_params)
            try:
                trace = active.traceparent or mint_traceparent(), active.tracestate
                with self._quotas.whole():
                    return await self._take(raw, route, Trace(*trace, of_sender=parent is not None), quota)
            except HoldfastError:
                scope[REFUSED_BODY] = raw.body
                raise
            finally:
                self._receiver.release(raw)

    async def _take(self, raw: RawRequest, route: Route, trace: Trace, quota: Quota) -> Receipt | BatchReceipt | Answer:
        greet = partial(route.greeter.greet, raw, route.source, self._confirm)
        if (answer := greet(proven=False)) is not None:
            return answer
        if raw.signed.method not in route.methods:  # a GET or OPTIONS that asked nothing
            raise method_not_allowed(route)
        authentic = await authenticate(raw, route.verifier, self._published)
        if (answer := greet(proven=True)) is not None:
            return answer
        with quota.working():
            parcels = await beside(len(raw.body), _parcels, authentic, route, trace)
            if isinstance(parcels, tuple):
                return BatchReceipt(await store_all(parcels, self._keep))
            # listened for before it is published: the outcome may come at once
            ticket = await self.waiting.expect(raw.signed.headers, route.wait, parcels.envelope)
            return await self._keep(parcels, ticket)

    async def _keep(self, parcel: Parcel, ticket: Ticket | None = None) -> Receipt:
        envelope = parcel.envelope
        if ticket is None:
            kept = await self._store.store(parcel)
            return Receipt(envelope.source, envelope.id, kept.duplicate, kept.spooled)
        try:
            kept = await self._store.store(replace(parcel, awaited_until=ticket.until))
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
        return await beside(len(raw.body), refuse_unknown, raw)


def _parcels(authentic: AuthenticRequest, route: Route, trace: Trace) -> Parcel | tuple[Parcel, ...]:
    """Normalise and identify: the one event of a request, or all of its batch."""
    normal = unwrap(authentic, route.kept, route.cloudevents, route.needs)
    if isinstance(normal, tuple):
        return tuple(_parcel(each, route, trace) for each in normal)
    return _parcel(normal, route, trace)


def _parcel(normal: NormalRequest, route: Route, trace: Trace) -> Parcel:
    return Parcel(identify(normal, route, *trace.of(normal)), normal.body if normal.is_large else None)
