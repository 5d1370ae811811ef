"""Turns a proven request into data: the parsed body, the headers that are kept.

Flow: receive → authenticate → **normalise** → identify → publish. The first place that parses anything.
"""

from typing import Any
from urllib.parse import parse_qsl

from gateway.limits import MAX_QUERY_FIELDS
from gateway.requests import AuthenticRequest, NormalRequest, RawRequest
from holdfast.domain.bodies import is_json, parse_json
from holdfast.domain.json_scan import Path, scan
from holdfast.domain.large_bodies import INLINE
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.ids import sha256_hex


def normalise(
    authentic: AuthenticRequest, kept: frozenset[bytes], needs: frozenset[Path] = frozenset()
) -> NormalRequest:
    """Parse and select; of a large body only what stands at `needs`, though all of it is checked.

    Raises RejectedInput `request.malformed` where the body is not the JSON it claims to be.
    """
    raw = authentic.raw
    headers = kept_headers(raw, kept)
    content_type = headers.get("content-type")
    data: Any = None
    if is_json(content_type):
        data = parse_json(raw.body) if len(raw.body) <= INLINE else scan(raw.body, needs)
    return NormalRequest(
        authentic=authentic,
        content_type=content_type,
        headers=headers,
        query=query_of(raw.query_string),
        data=data,
        body=raw.body,
        body_sha256=sha256_hex(raw.body),
    )


def kept_headers(raw: RawRequest, kept: frozenset[bytes]) -> dict[str, str]:
    """Select headers; one that came twice is joined, as HTTP has it."""
    headers: dict[str, str] = {}
    for name, value in raw.signed.headers:
        if name in kept:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def query_of(query_string: bytes) -> dict[str, str]:
    """Decode a query string. Raises RejectedInput `request.malformed` where it has too many fields."""
    if not query_string:
        return {}
    try:
        pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError as error:
        raise RejectedInput(
            ErrorCode.REQUEST_MALFORMED, f"The query has more than {MAX_QUERY_FIELDS} fields."
        ) from error
    return dict(pairs)
