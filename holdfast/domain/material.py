"""Builds the bytes that a signature covers: a template over the request, and the few forms no template can spell.

Flow: components → **material** → signatures.
"""

import hashlib
import hmac
import re
import zlib
from collections.abc import Mapping

from holdfast.domain.components import Components
from holdfast.domain.schemes import Place

Template = tuple[tuple[bytes, str | None], ...]

_ADDRESS = re.compile(r"(?P<scheme>https?)://(?P<host>[^/?#]*?)(?::(?P<port>[0-9]+))?(?P<tail>[/?#].*)?")
_PORTS = {"https": "443", "http": "80"}

_DECODED = {
    "%3A": ":",
    "%2F": "/",
    "%3F": "?",
    "%40": "@",
    "%21": "!",
    "%24": "$",
    "%27": "'",
    "%28": "(",
    "%29": ")",
    "%2A": "*",
    "%2C": ",",
    "%3B": ";",
}
"""What HubSpot decodes: https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests"""

_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SNS = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
"""https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html"""


def render(
    template: Template, components: Components, found: Mapping[str, bytes], *, url: str, secret: bytes
) -> bytes | None:
    """Return the signed bytes; None where a part of them is not there or cannot be read in one way."""
    pieces: list[bytes] = []
    for literal, part in template:
        if literal:  # a single piece is not copied by the join: it may be a body of 25 MiB
            pieces.append(literal)
        if part is None:
            continue
        piece = _part(part, components, found, url, secret)
        if piece is None:
            return None
        pieces.append(piece)
    return b"".join(pieces)


def _part(part: str, components: Components, found: Mapping[str, bytes], url: str, secret: bytes) -> bytes | None:
    match part:
        case "timestamp" | "id":
            return found[part]
        case "url":
            return url.encode()
        case "secret":
            return secret
        case "form":
            return signed_form(components)
        case "sns":
            return signed_sns(components)
        case _ if ":" in part:
            return _field(part, components)
        case _:
            return _plain(part, components)


def _plain(part: str, components: Components) -> bytes | None:
    request = components.request
    match part:
        case "body":
            return request.body
        case "crc32":
            return str(zlib.crc32(request.body)).encode()
        case "method":
            return request.method.encode()
        case "path":
            return request.path.encode()
        case "query":
            return request.query.encode()
        case _:
            return None


def _field(part: str, components: Components) -> bytes | None:
    values = components.values(Place.of(part.removesuffix("?")))
    if len(values) > 1:
        return None
    return values[0] if values else (b"" if part.endswith("?") else None)


def signed_form(components: Components) -> bytes | None:
    """Twilio's form: names in order, each with its values. A body that is no form is bound by `bodySHA256` in the URL.

    https://www.twilio.com/docs/usage/security#validating-requests
    """
    digests = [value for name, value in components.query() if name == "bodySHA256"]
    if digests:
        # wherever the signed address names the body's hash it decides, or an empty form could take a JSON body's place
        actual = hashlib.sha256(components.request.body).hexdigest().encode()
        return b"" if len(digests) == 1 and hmac.compare_digest(actual, digests[0].encode()) else None
    fields = components.form()
    if fields is None:
        return None if components.request.body else b""
    return "".join(name + value for name, value in sorted(set(fields))).encode("utf-8")


def signed_sns(components: Components) -> bytes | None:
    """Build the lines that Amazon SNS signs: name and value of the fields that its kind of message has."""
    message = components.json()
    names = _SNS.get(str(message.get("Type"))) if isinstance(message, dict) else None
    if names is None:
        return None
    lines: list[bytes] = []
    for name in names:
        value = components.json_text(name)
        if value is None:
            if name == "Subject" and message.get(name) is None:
                continue
            return None
        lines += [name.encode(), value]
    return b"\n".join([*lines, b""])


def spellings(urls: tuple[str, ...], style: str) -> tuple[str, ...]:
    """Return the ways in which the sender may have written an address: with and without port, or partly decoded."""
    if style == "decoded":
        return tuple(dict.fromkeys([*urls, *(_decoded(url) for url in urls)]))
    if style == "ports":
        return tuple(dict.fromkeys([*urls, *(other for url in urls if (other := _other_port(url)))]))
    return urls


def _decoded(url: str) -> str:
    for code, character in _DECODED.items():
        url = url.replace(code, character).replace(code.lower(), character)
    return url


def _other_port(url: str) -> str | None:
    match = _ADDRESS.fullmatch(url)
    if match is None:
        return None
    scheme, host, tail = match["scheme"], match["host"], match["tail"] or ""
    return f"{scheme}://{host}{tail}" if match["port"] else f"{scheme}://{host}:{_PORTS[scheme]}{tail}"
