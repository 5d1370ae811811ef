"""The trace a sender says its request belongs to, where it is valid W3C trace context; else the event gets a new one.

Flow: **tracing** → span → receive … identify puts it into the envelope.
"""

import re
from collections.abc import Mapping, Sequence

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_MEMBER = re.compile(r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,256}", re.ASCII)
_NOTHING = {"0" * 32, "0" * 16}
MAX_STATE = 512  # characters; what W3C Trace Context asks everybody to carry
MAX_MEMBERS = 32


def incoming_trace(headers: Sequence[tuple[bytes, bytes]]) -> tuple[str | None, str | None]:
    """Return (traceparent, tracestate) of a request; a broken or doubled parent counts as none, and then the state."""
    parents = [value for name, value in headers if name == b"traceparent"]
    parent = _valid_parent(parents) if parents else None
    if parent is None:
        return None, None
    return parent, _valid_state([value for name, value in headers if name == b"tracestate"])


def event_trace(extensions: Mapping[str, object]) -> tuple[str | None, str | None]:
    """Return (traceparent, tracestate) of a CloudEvent's Distributed Tracing extension, by the same rules."""
    names = ("traceparent", "tracestate")
    texts = ((name, extensions[name]) for name in names if name in extensions)
    return incoming_trace([(name.encode(), str(value).encode("utf-8", "replace")) for name, value in texts])


def _valid_parent(parents: list[bytes]) -> str | None:
    if len(parents) != 1:
        return None
    text = parents[0].decode("latin-1").strip()
    match = _PARENT.fullmatch(text) if len(text) <= 256 else None
    if match is None:
        return None
    version, trace, span, flags, rest = match.groups()
    if version == "ff" or trace in _NOTHING or span in _NOTHING or (version == "00" and rest):
        return None
    return f"00-{trace}-{span}-{flags}"  # what a later version adds is not ours to forward


def _valid_state(states: list[bytes]) -> str | None:
    members = [part.strip() for value in states for part in value.decode("latin-1").split(",")]
    members = [member for member in members if member]
    keys = [member.partition("=")[0] for member in members]
    text = ",".join(members)
    if not members or len(members) > MAX_MEMBERS or len(text) > MAX_STATE or len(set(keys)) != len(keys):
        return None
    return text if all(map(_MEMBER.fullmatch, members)) else None
