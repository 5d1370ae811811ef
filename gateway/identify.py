"""Names an event (id, type, subject) from material nobody else can forge, and builds the envelope.

Flow: receive → authenticate → normalise → **identify** → publish. What the id is made of, in this order:

    event.id of the source (CEL)    joined with the body's hash where it reads what is not signed
    a CloudEvent's source and id    joined with the body's hash where the sender signs the body and they are headers
    the sender's signed delivery id `webhook-id`, the `id_header` of preset hmac
    the id inside a signed body     Stripe's `evt_…`
    the sender's unsigned one       `X-GitHub-Delivery`, joined with the body's hash
    nothing of these                the hash of source and body
"""

from typing import Any

from gateway.requests import NormalRequest
from gateway.routes import Route, keepable
from holdfast import ids
from holdfast.bus.objects import reference_for
from holdfast.clock import rfc3339
from holdfast.domain.bodies import is_json, read_data
from holdfast.domain.cloudevents import CloudEvent
from holdfast.domain.events import CloudEventOrigin, Envelope, cloudevent_view, pack_body
from holdfast.domain.expressions import EVENT, Bound, Expression, Failed, Found
from holdfast.domain.large_bodies import data_of
from holdfast.domain.paths import walk
from holdfast.errors import ErrorCode, RejectedInput

DEFAULT_TYPE = "webhook.received"
MAX_ID = 256  # characters, as in the envelope
MAX_SUBJECT = 1_024  # characters


def identify(normal: NormalRequest, route: Route, traceparent: str, tracestate: str | None) -> Envelope:
    """Build the envelope, part of the trace given.

    Raises RejectedInput `identity.failed` where the configured id cannot be evaluated.
    """
    raw = normal.raw
    bound = EVENT.bind(event=_view(normal, route)) if route.has_expressions else None
    encoding, text = pack_body(normal.body) if not normal.is_large else ("text", "")
    event = normal.cloudevent
    event_id = _printable_id(_event_id(normal, route, bound))
    digest = normal.body_sha256
    # every field is ours or checked above, so validation would only hash the body a second time
    return Envelope.model_construct(
        id=event_id,
        source=route.source,
        type=_event_type(normal, route, bound),
        time=raw.received_at if event is None or event.time is None else event.time,
        subject=_subject(normal, route, bound),
        datacontenttype=_content_type(normal, route),
        traceparent=traceparent,
        tracestate=tracestate,
        received_at=raw.received_at,
        headers=normal.headers,
        path=raw.path_params,
        query=_query(normal, route),
        body_encoding=encoding,
        body=text,
        body_sha256=digest,
        cloudevent=None if event is None else _origin(event),
        body_ref=reference_for(route.source, event_id, len(normal.body), digest) if normal.is_large else None,
    )


def _event_id(normal: NormalRequest, route: Route, bound: Bound | None) -> str:
    digest = normal.body_sha256[: ids.HASH_CHARS]
    if route.id is not None and bound is not None:
        value = _evaluate_id(route.id, bound)
        return value if route.id_is_signed else f"{value}.{digest}"
    if (event := normal.cloudevent) is not None:
        beside = event.in_headers and route.preset is not None and route.preset.scheme.covers_body
        return ids.cloudevent_id(event.source, event.id, normal.body_sha256 if beside else None)
    if normal.authentic.signed_id:
        return normal.authentic.signed_id
    preset = route.preset
    if preset is not None and preset.id_field and preset.scheme.covers_body:
        inside = _label(_written(_field(_described(normal, route), preset.id_field)), MAX_ID)
        if inside is not None:
            return inside
    name = preset.id_header if preset is not None else None
    if name is not None and (delivery := _single(normal, name)):
        return f"{delivery}.{digest}"
    return ids.fingerprint(route.source, normal.body_sha256)


def _origin(event: CloudEvent) -> CloudEventOrigin:
    return CloudEventOrigin.model_construct(
        id=event.id, source=event.source, dataschema=event.dataschema, extensions=event.extensions
    )


def _evaluate_id(expression: Expression, bound: Bound) -> str:
    outcome = expression.evaluate(bound)
    if not isinstance(outcome, Found):
        raise RejectedInput(ErrorCode.IDENTITY_FAILED, "event.id of the source has no value for this request.")
    value = outcome.value
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise RejectedInput(ErrorCode.IDENTITY_FAILED, "event.id of the source is neither a text nor a whole number.")
    return str(value)


def _printable_id(value: str) -> str:
    """`value` where it can stand in logs, URLs and UIs as it is, else its marked hash: still one id per value."""
    plain = value.isascii() and value.isprintable() and len(value) <= MAX_ID
    return value if plain and not value.startswith("~") else ids.token(value)


def _single(normal: NormalRequest, name: str) -> str | None:
    values = normal.raw.signed.header(name)
    return values[0].decode("latin-1").strip() if len(values) == 1 else None


def _event_type(normal: NormalRequest, route: Route, bound: Bound | None) -> str:
    event = normal.cloudevent
    if route.type is not None and bound is not None:
        return _evaluated(route.type, bound, MAX_ID) or (event.type if event is not None else DEFAULT_TYPE)
    if event is not None:
        return event.type
    preset = route.preset
    if preset is None:
        return DEFAULT_TYPE
    if preset.type_header is not None:
        kind = _label(_single(normal, preset.type_header), MAX_ID)
    else:
        kind = _label(_field(_described(normal, route), preset.type_field), MAX_ID)
    action = _label(_field(_described(normal, route), preset.action_field), MAX_ID) if preset.action_field else None
    return _label(f"{kind}.{action}" if kind and action else kind, MAX_ID) or DEFAULT_TYPE


def _subject(normal: NormalRequest, route: Route, bound: Bound | None) -> str | None:
    if route.subject is not None and bound is not None:
        return _evaluated(route.subject, bound, MAX_SUBJECT)
    if normal.cloudevent is not None:
        return normal.cloudevent.subject
    preset = route.preset
    if preset is None or not preset.subject_field:
        return None
    return _label(_written(_field(_described(normal, route), preset.subject_field)), MAX_SUBJECT)


def _evaluated(expression: Expression, bound: Bound, limit: int) -> str | None:
    """Value of a descriptive expression; without one the event is still accepted, only less well described."""
    outcome = expression.evaluate(bound)
    if isinstance(outcome, Failed) or not isinstance(outcome, Found):
        return None
    return _label(_written(outcome.value), limit)


def _written(value: Any) -> Any:
    """Write a whole number as text; a number identifies, though it is no name of a type."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18 else value


def _label(value: Any, limit: int) -> str | None:
    """`value` where it is a text that fits a label, else nothing."""
    return value if isinstance(value, str) and 0 < len(value) <= limit and value.isprintable() else None


def _field(data: Any, path: tuple[str, ...]) -> Any:
    return walk(data, path) if path else None


def _described(normal: NormalRequest, route: Route) -> Any:
    """Return what a preset reads its names from: the JSON or the form of the body, also where its type says less."""
    if normal.data is not None or route.preset is None:
        return normal.data
    body = normal.raw.body
    if normal.is_large:
        return data_of(body, "application/json" if body[:1] in {b"{", b"["} else normal.content_type, route.needs).value
    return read_data(body, "application/json" if body[:1] in {b"{", b"["} else normal.content_type)[1]


def _content_type(normal: NormalRequest, route: Route) -> str | None:
    """Return the type of the body: as sent, unless the sender is known to send JSON under another name."""
    mislabelled = route.preset is not None and route.preset.always_json and not is_json(normal.content_type)
    return "application/json" if mislabelled and normal.cloudevent is None else normal.content_type


def _query(normal: NormalRequest, route: Route) -> dict[str, str]:
    """Fields of the query, without the one that carries a secret."""
    if not normal.query or route.preset is None:
        return normal.query
    hidden = route.preset.scheme.credentials("query")
    return {name: value for name, value in normal.query.items() if name not in hidden}


def _view(normal: NormalRequest, route: Route) -> dict[str, Any]:
    """What the source's expressions see: every header but credentials, for the sender's id may be in any of them."""
    raw = normal.raw
    hidden = route.preset.scheme.credentials("header") if route.preset is not None else frozenset[str]()
    headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw.signed.headers)
    seen: dict[str, Any] = {
        "source": route.source,
        "time": rfc3339(raw.received_at),
        "headers": {name: value for name, value in headers if keepable(name) and name not in hidden},
        "path": raw.path_params,
        "query": _query(normal, route),
    }
    if normal.cloudevent is not None:
        event = normal.cloudevent
        said = {"type": event.type, "subject": event.subject, "time": rfc3339(event.time) if event.time else None}
        seen |= {name: value for name, value in said.items() if value is not None}
        seen |= cloudevent_view(_origin(event))
    if normal.data is not None:
        seen["data"] = normal.data
        return seen
    if normal.is_large:
        shown = data_of(normal.body, _content_type(normal, route), route.needs)
        found, data = shown.found, shown.value
    else:
        found, data = read_data(normal.body, _content_type(normal, route))
    if found:
        seen["data"] = data
    return seen
