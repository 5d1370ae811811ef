"""Takes the CloudEvents out of a proven request: one, or a batch of them, each as if it had come alone.

Flow: receive → authenticate → **normalise** (of sources that accept CloudEvents) → identify → publish.
"""

from typing import Literal

from gateway.limits import MAX_BATCH, MAX_STRUCTURED
from gateway.normalise import kept_headers, normalise, query_of
from gateway.requests import AuthenticRequest, NormalRequest
from holdfast.domain.cloudevents import CloudEvent, Mode, mode_of, read_batch, read_binary, read_structured
from holdfast.domain.json_scan import Path
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.ids import sha256_hex

Acceptance = Literal["off", "optional", "required"]


def unwrap(
    authentic: AuthenticRequest,
    kept: frozenset[bytes],
    acceptance: Acceptance,
    needs: frozenset[Path] = frozenset(),
) -> NormalRequest | tuple[NormalRequest, ...]:
    """Return the one event of a request, or a tuple: the events of a batch, all of them valid.

    Raises RejectedInput `request.malformed` for an invalid CloudEvent, or none where one is required;
    `request.unsupported_media_type` for a format that is not JSON; `request.too_large` for too many.
    """
    if acceptance == "off":
        return normalise(authentic, kept, needs)
    raw = authentic.raw
    names = [name for name, _ in raw.signed.headers]
    content_types = raw.signed.header("content-type")
    content_type = content_types[0].decode("latin-1").strip() if content_types else None
    mode = mode_of(content_type, names)
    if mode is not None and len(content_types) > 1:
        raise RejectedInput(ErrorCode.REQUEST_MALFORMED, "there is more than one Content-Type")
    if mode in {Mode.STRUCTURED, Mode.BATCHED} and len(raw.body) > MAX_STRUCTURED:
        raise RejectedInput(
            ErrorCode.REQUEST_TOO_LARGE,
            f"A structured CloudEvent or a batch may have {MAX_STRUCTURED} bytes; send larger data in binary mode.",
        )
    match mode:
        case Mode.BINARY:
            return _normal(authentic, kept, read_binary(raw.signed.headers, content_type, raw.body))
        case Mode.STRUCTURED:
            return _normal(authentic, kept, read_structured(raw.body))
        case Mode.BATCHED:
            return tuple(_normal(authentic, kept, event) for event in read_batch(raw.body, MAX_BATCH))
    if acceptance == "required":
        raise RejectedInput(
            ErrorCode.REQUEST_MALFORMED,
            "this is no CloudEvent: neither Content-Type application/cloudevents+json (or -batch+json)"
            " nor all of ce-id, ce-source, ce-specversion and ce-type",
        )
    return normalise(authentic, kept, needs)


def _normal(authentic: AuthenticRequest, kept: frozenset[bytes], event: CloudEvent) -> NormalRequest:
    raw = authentic.raw
    return NormalRequest(
        authentic=authentic,
        content_type=event.datacontenttype,
        headers=kept_headers(raw, kept),
        query=query_of(raw.query_string),
        data=None,  # opaque to the gateway: data that is not the JSON it claims to be is still an event
        body=event.data,
        body_sha256=sha256_hex(event.data),
        cloudevent=event,
    )
