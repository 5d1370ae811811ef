"""Events out of files, to try triggers with: envelopes, CloudEvents, Argo's events, or payloads as a sender posts them.

A payload takes the way through the gateway's own steps (normalise, identify), so it gets the id, type and headers that
it would get live; only its signature is not looked at.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from gateway.cloudevents import unwrap
from gateway.identify import identify
from gateway.requests import AuthenticRequest, RawRequest
from gateway.routes import offline_route
from holdfast.domain.events import CloudEventOrigin, Envelope, pack_body, read_envelope
from holdfast.domain.schemes import SignedRequest
from holdfast.domain.sources import SourceConfig
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.ids import sha256_hex

Form = Literal["auto", "envelope", "cloudevent", "argo", "payload"]


@dataclass(frozen=True, slots=True)
class Sample:
    """How to read a file where it does not say so itself."""

    form: Form = "auto"
    source: str | None = None
    type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    at: datetime | None = None


def read_events(file: Path, sample: Sample, sources: Mapping[str, SourceConfig]) -> tuple[Envelope, ...]:
    """Read every event of a file. Raises RejectedInput `input.invalid` naming the file and what is wrong."""
    try:
        raw = file.read_bytes() if str(file) != "-" else Path("/dev/stdin").read_bytes()
    except OSError as error:
        raise _wrong(f"{file}: cannot be read: {type(error).__name__}") from error
    try:
        return _events(file, raw, sample, sources)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise _wrong(f"{file}: holds no event that can be read: {_short(error)}") from error


def _events(file: Path, raw: bytes, sample: Sample, sources: Mapping[str, SourceConfig]) -> tuple[Envelope, ...]:
    if sample.form == "payload":
        return _posted(raw, sample, sources)
    try:
        value = json.loads(raw)
    except ValueError:
        if sample.form != "auto":
            raise _wrong(f"{file}: is no JSON") from None
        return _posted(raw, sample, sources)
    if isinstance(value, list) and (sample.form != "auto" or (value and all(_form(one) != "payload" for one in value))):
        return tuple(event for one in value for event in _read(one, sample, sources))
    return _read(value, sample, sources, raw)


def _read(
    value: Any, sample: Sample, sources: Mapping[str, SourceConfig], raw: bytes | None = None
) -> tuple[Envelope, ...]:
    form = sample.form if sample.form != "auto" else _form(value)
    if form == "envelope":
        return (read_envelope(_inner(value)),)
    if form == "argo":
        return (_argo(value, sample, sources),)
    body = raw if raw is not None else json.dumps(value, ensure_ascii=False).encode()
    return _posted(body, sample, sources, structured=form == "cloudevent")


def _form(value: Any) -> Form:
    if isinstance(value, dict):
        inner = _inner(value)
        if isinstance(inner, dict) and "body_sha256" in inner:
            return "envelope"
        if {"specversion", "type", "id"} <= value.keys():
            return "cloudevent"
        context = value.get("context")
        if isinstance(context, dict) and "specversion" in context and value.keys() <= {"context", "data", "data_raw"}:
            return "argo"
    return "payload"


def _inner(value: dict[str, Any]) -> Any:
    """The envelope in what `events show` and `dead-letters show` print."""
    return value.get("envelope") or (value["event"] if isinstance(value.get("event"), dict) else value)


def _posted(
    body: bytes, sample: Sample, sources: Mapping[str, SourceConfig], *, structured: bool = False
) -> tuple[Envelope, ...]:
    """Take a request through the gateway's steps behind the signature."""
    source = _source(sample, sources, _said(body) if structured else None)
    headers = {name.lower(): text for name, text in sample.headers.items()}
    if structured:
        headers["content-type"] = "application/cloudevents+json"
    headers.setdefault("content-type", "application/json")
    config = sources.get(source)
    if config is None:
        return (_plain(body, source, sample, headers),)
    route = offline_route(source, config)
    raw = RawRequest(
        signed=SignedRequest.of(headers, body, "POST", f"http://localhost{route.path}"),
        path_params=dict(sample.path),
        query_string=urlencode(sample.query).encode(),
        received_at=sample.at or datetime.now(UTC),
    )
    accepted = "optional" if structured and route.cloudevents == "off" else route.cloudevents
    found = unwrap(AuthenticRequest(raw, None), route.kept, accepted)
    normals = found if isinstance(found, tuple) else (found,)
    envelopes = (identify(normal, route, "", None) for normal in normals)
    changed = {"traceparent": None} | ({"type": sample.type} if sample.type else {})
    if structured and sample.at is None:
        return tuple(_as_said(envelope, changed) for envelope in envelopes)
    return tuple(envelope.model_copy(update=changed) for envelope in envelopes)


def _as_said(envelope: Envelope, changed: dict[str, Any]) -> Envelope:
    """A CloudEvent in a file was received when it says it happened, unless --at says otherwise."""
    return envelope.model_copy(update=changed | {"received_at": envelope.time})


def _plain(body: bytes, source: str, sample: Sample, headers: dict[str, str]) -> Envelope:
    """An event of a schedule: no sender, so nothing to take apart."""
    return _envelope(source, sample.type or "schedule.ticked", sample.at, body, headers=headers)


def _argo(value: Any, sample: Sample, sources: Mapping[str, SourceConfig]) -> Envelope:
    """An event as an Argo sensor has it: `context`, and `data` with header and body where it was a webhook."""
    if not isinstance(value, dict):
        raise _wrong("an Argo event is an object with `context` and `data`")
    context = value.get("context") or {}
    headers: dict[str, str] = {}
    data = value.get("data")
    if isinstance(data, str) and "data_raw" not in value:
        data = json.loads(base64.b64decode(data))
    if isinstance(data, dict) and "body" in data:
        listed = data.get("header") or data.get("headers") or {}
        headers = {name.lower(): text[0] if isinstance(text, list) else text for name, text in listed.items()}
        data = data["body"]
    body = str(value["data_raw"]).encode() if "data_raw" in value else b""
    if "data" in value:
        body = json.dumps(data, ensure_ascii=False).encode()
    at = datetime.fromisoformat(context["time"]) if context.get("time") else sample.at
    origin = (
        CloudEventOrigin(id=context.get("id") or "argo", source=context["source"]) if context.get("source") else None
    )
    return _envelope(
        _source(sample, sources, None),
        sample.type or context.get("type") or "webhook.received",
        at,
        body,
        id=context.get("id") or "argo",
        subject=context.get("subject"),
        datacontenttype=context.get("datacontenttype") or "application/json",
        headers=headers,
        cloudevent=origin,
    )


def _envelope(source: str, kind: str, at: datetime | None, body: bytes, **more: Any) -> Envelope:
    encoding, text = pack_body(body)
    moment = at or datetime.now(UTC)
    fields = {"id": sha256_hex(body)[:32], "datacontenttype": "application/json"} | more
    return Envelope(
        source=source,
        type=kind,
        time=moment,
        received_at=moment,
        body_encoding=encoding,
        body=text,
        body_sha256=sha256_hex(body),
        **fields,
    )


def _said(body: bytes) -> str | None:
    value = json.loads(body)
    return value.get("source") if isinstance(value, dict) and isinstance(value.get("source"), str) else None


def _source(sample: Sample, sources: Mapping[str, SourceConfig], said: str | None) -> str:
    if sample.source is not None:
        return sample.source
    if said in sources:
        return str(said)
    if len(sources) == 1:
        return next(iter(sources))
    raise _wrong(f"which source sent it? Name it with --source; there are {', '.join(sources) or 'none'}")


def _short(error: Exception) -> str:
    text = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {text[0]}"[:200]


def _wrong(message: str) -> RejectedInput:
    return RejectedInput(ErrorCode.INPUT_INVALID, message)
