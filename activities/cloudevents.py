"""An event as CloudEvents headers (binary mode): the same for HTTP and for NATS.

Values are percent-encoded as the HTTP binding has it, so nothing from outside can end a header or start another.
"""

from holdfast.clock import rfc3339
from holdfast.domain.events import Envelope

_PLAIN = frozenset(map(chr, range(0x21, 0x7F))) - {'"', "%"}


def encode_value(value: str) -> str:
    """Percent-encode everything but printable ASCII without space, quote and percent (CloudEvents HTTP §3.1.3.2)."""
    return "".join(
        ch if ch in _PLAIN else "".join(f"%{byte:02X}" for byte in ch.encode("utf-8", "surrogatepass")) for ch in value
    )


def attributes(event: Envelope) -> dict[str, str]:
    """Return the event's attributes as `ce-…` headers."""
    headers = {
        "ce-specversion": event.specversion,
        "ce-id": event.id,
        "ce-source": event.source,
        "ce-type": event.type,
        "ce-time": rfc3339(event.time),
    }
    if event.subject is not None:
        headers["ce-subject"] = event.subject
    return {name: encode_value(value) for name, value in headers.items()}


def content_type(event: Envelope) -> str | None:
    """Return the event's own content type, if it can stand in a header."""
    value = event.datacontenttype
    return value if value and value.isascii() and value.isprintable() else None
