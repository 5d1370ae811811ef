"""The trace an event belongs to: the sender's, where it sent a valid W3C trace context, else a new one."""

import re
import secrets

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_MEMBER = re.compile(r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,256}", re.ASCII)
_NOTHING = {"0" * 32, "0" * 16}
MAX_STATE = 512  # characters; what W3C Trace Context asks everybody to carry
MAX_MEMBERS = 32


def trace_context(parents: list[bytes], states: list[bytes]) -> tuple[str, str | None]:
    """Return (traceparent, tracestate) from the values of these headers; a broken or doubled parent is replaced."""
    parent = _valid_parent(parents)
    if parent is None:
        return new_traceparent(), None
    return parent, _valid_state(states)


def new_traceparent() -> str:
    """Start a trace, not sampled: whether to record it is for whoever records."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


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
