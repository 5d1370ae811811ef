"""Reading CloudEvents 1.0 out of HTTP, strictly: binary, structured and batched, each valid or refused, never guessed.

An absent id is not invented and a broken value not repaired: an event that comes again would not be recognised.
`data` keeps its bytes: out of a structured event it is the very text that stood there, numbers and spaces and all.
Rules: https://github.com/cloudevents/spec/tree/v1.0.2/cloudevents (spec.md, http-protocol-binding.md, json-format.md).
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NoReturn

from holdfast.domain.bodies import JSON, is_json, json_text, media_type, parse_json
from holdfast.domain.rfc3339 import read_rfc3339
from holdfast.errors import ErrorCode, RejectedInput

Extension = bool | int | str

MAX_TYPE = 256  # characters, as in the envelope
MAX_VALUE = 4_096  # characters of any other attribute
MAX_ATTRIBUTES = 100

_REQUIRED = ("id", "source", "specversion", "type")
_OPTIONAL = ("datacontenttype", "dataschema", "subject", "time")
_PREFIX = b"ce-"
_NAME = re.compile(r"[a-z0-9]+", re.ASCII)
_INT32 = range(-(2**31), 2**31)
_SPACE = re.compile(r"[ \t\n\r]*")
_STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_NOT_URI = re.compile(r"[\s<>\"{}|\\^`]|%(?![0-9A-Fa-f]{2})")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_MEDIA_TYPE = re.compile(r"[\w!#$%&'*+.^`|~-]+/[\w!#$%&'*+.^`|~-]+ *(;.*)?", re.ASCII)


class Mode(StrEnum):
    """How an HTTP request carries CloudEvents."""

    BINARY = "binary"
    STRUCTURED = "structured"
    BATCHED = "batched"


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One valid CloudEvent. `data` is empty where there is none."""

    id: str
    source: str
    type: str
    subject: str | None
    time: datetime | None  # UTC
    datacontenttype: str | None
    dataschema: str | None
    extensions: dict[str, Extension]
    data: bytes
    in_headers: bool = False  # the attributes came as headers


def mode_of(content_type: str | None, names: Iterable[bytes]) -> Mode | None:
    """Tell the mode: by Content-Type, else binary where every required `ce-` header is there; None: no CloudEvent.

    `names` are the request's header names in lower case. Raises RejectedInput `request.unsupported_media_type` for an
    event format that is not JSON.
    """
    kind = media_type(content_type)
    if kind.startswith("application/cloudevents-batch"):
        return _json_format(kind, "application/cloudevents-batch", Mode.BATCHED)
    if kind.startswith("application/cloudevents"):
        return _json_format(kind, "application/cloudevents", Mode.STRUCTURED)
    held = set(names)
    return Mode.BINARY if all(b"ce-" + name.encode() in held for name in _REQUIRED) else None


def read_binary(headers: Sequence[tuple[bytes, bytes]], content_type: str | None, body: bytes) -> CloudEvent:
    """Read attributes from `ce-` headers; the body is the data. Raises RejectedInput `request.malformed`."""
    found: dict[str, Any] = {}
    for raw_name, raw_value in headers:
        if not raw_name.startswith(_PREFIX):
            continue
        name = raw_name[len(_PREFIX) :].decode("latin-1")
        if name == "datacontenttype":
            _refuse("ce-datacontenttype must not be sent: Content-Type says it")
        if name in found:
            _refuse(f"there is more than one ce-{_shown(name)} header")
        found[name] = _header_value(name, raw_value)
    return replace(_event(found, content_type, body), in_headers=True)


def read_structured(body: bytes) -> CloudEvent:
    """Read one event in JSON. Raises RejectedInput `request.malformed`."""
    if not isinstance(parse_json(body), dict):
        _refuse("a structured CloudEvent is a JSON object")
    text = json_text(body)
    members, _ = _members(text, _skip(text, 0))
    return _from_members(members)


def read_batch(body: bytes, limit: int) -> tuple[CloudEvent, ...]:
    """Read a batch, all or nothing. Raises RejectedInput `request.malformed`; `request.too_large` past `limit`."""
    whole = parse_json(body)
    if not isinstance(whole, list):
        _refuse("a batch of CloudEvents is a JSON array")
    if len(whole) > limit:
        raise RejectedInput(ErrorCode.REQUEST_TOO_LARGE, f"A batch may hold {limit} events; this one has {len(whole)}.")
    text = json_text(body)
    at = _skip(text, 0) + 1
    events: list[CloudEvent] = []
    for number, value in enumerate(whole):
        if not isinstance(value, dict):
            _refuse(f"event {number} of the batch is no JSON object")
        members, at = _members(text, _skip(text, at))
        at = _skip(text, at) + 1  # past the comma, or the end
        try:
            events.append(_from_members(members))
        except RejectedInput as error:
            raise RejectedInput(error.code, f"Event {number} of the batch: {error.message}") from error
    return tuple(events)


def _json_format(kind: str, prefix: str, mode: Mode) -> Mode:
    if kind not in {prefix, f"{prefix}+json"}:
        raise RejectedInput(
            ErrorCode.REQUEST_UNSUPPORTED_MEDIA_TYPE, "CloudEvents are read in the JSON format only: send +json."
        )
    return mode


def _header_value(name: str, raw: bytes) -> str:
    """Unquote, then decode percent escapes once."""
    value = raw.strip(b" \t")
    if value.startswith(b'"'):
        quoted = _QUOTED.fullmatch(value)
        if quoted is None:
            _refuse(f"ce-{_shown(name)} is not quoted to its end")
        value = re.sub(rb"\\(.)", rb"\1", quoted.group(1), flags=re.DOTALL)
    if _STRAY_PERCENT.search(value):
        _refuse(f"ce-{_shown(name)} holds a percent sign that escapes nothing; write it as %25")
    try:
        return _ESCAPE.sub(lambda match: bytes.fromhex(match.group(1).decode()), value).decode("utf-8")
    except UnicodeDecodeError:
        _refuse(f"ce-{_shown(name)} is not UTF-8")


def _members(text: str, at: int) -> tuple[dict[str, tuple[Any, str]], int]:
    """Return the members of the object at `at`, each with its own text, and where it ends. The text is known sound."""
    members: dict[str, tuple[Any, str]] = {}
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, at = JSON.raw_decode(text, at)
        begin = _skip(text, _skip(text, at) + 1)  # past the colon
        value, at = JSON.raw_decode(text, begin)
        members[key] = (value, text[begin:at])
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return members, at + 1


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _from_members(members: dict[str, tuple[Any, str]]) -> CloudEvent:
    found = {name: value for name, (value, _) in members.items() if value is not None}  # null is absent
    base64_data, data = found.pop("data_base64", None), found.pop("data", None)
    if base64_data is not None and data is not None:
        _refuse("data and data_base64 exclude each other")
    kind = found.pop("datacontenttype", None)
    if kind is not None and (not isinstance(kind, str) or not _MEDIA_TYPE.fullmatch(kind) or len(kind) > MAX_VALUE):
        _refuse("datacontenttype is no media type")
    if base64_data is not None:
        return _event(found, kind, _from_base64(base64_data))
    if data is None:
        return _event(found, kind, b"")
    if kind is None or is_json(kind):
        return _event(found, kind or "application/json", members["data"][1].encode("utf-8"))
    if not isinstance(data, str):
        _refuse("data that is not JSON by its datacontenttype must be a string, or data_base64")
    return _event(found, kind, data.encode("utf-8"))


def _from_base64(value: Any) -> bytes:
    if isinstance(value, str) and value.isascii():
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error:
            pass
    return _refuse("data_base64 is not Base64")


def _event(found: Mapping[str, Any], content_type: str | None, data: bytes) -> CloudEvent:
    if len(found) > MAX_ATTRIBUTES:
        _refuse(f"it has more than {MAX_ATTRIBUTES} attributes")
    for name in _REQUIRED:
        if name not in found:
            _refuse(f"the attribute {name} is missing")
    for name, value in found.items():
        _check(name, value)
    if found["specversion"] != "1.0":
        _refuse("specversion is not 1.0")
    moment = found.get("time")
    return CloudEvent(
        id=found["id"],
        source=found["source"],
        type=found["type"],
        subject=found.get("subject"),
        time=_time(moment) if moment is not None else None,
        datacontenttype=content_type,
        dataschema=found.get("dataschema"),
        extensions={name: value for name, value in found.items() if name not in _REQUIRED + _OPTIONAL},
        data=data,
    )


def _check(name: str, value: Any) -> None:
    known = name in _REQUIRED or name in _OPTIONAL
    if name == "data" or not _NAME.fullmatch(name):
        _refuse(f"{_shown(name)} is no name of an attribute: a-z and 0-9")
    if not known and (isinstance(value, bool) or (isinstance(value, int) and value in _INT32)):
        return
    if not isinstance(value, str) or (known and not value):
        _refuse(f"{_shown(name)} must be a text that is not empty" if known else f"{_shown(name)} has no allowed type")
    if len(value) > (MAX_TYPE if name == "type" else MAX_VALUE):
        _refuse(f"{_shown(name)} is too long")
    if _NOT_TEXT.search(value) or any(ord(c) & 0xFFFE == 0xFFFE for c in value if c > "\uffff"):
        _refuse(f"{_shown(name)} holds characters that no attribute may hold")
    rule = _RULES.get(name)
    if rule is not None and not rule(value):
        _refuse(f"{name} is not what it must be: {_MUST[name]}")


def _time(value: str) -> datetime:
    moment = read_rfc3339(value)
    if moment is None:
        _refuse("time is no RFC 3339 timestamp")
    return moment


_RULES: dict[str, Callable[[str], bool]] = {
    "source": lambda value: not _NOT_URI.search(value),
    "dataschema": lambda value: _SCHEME.match(value) is not None and not _NOT_URI.search(value),
    "type": str.isprintable,
}
_MUST = {"source": "a URI reference", "dataschema": "an absolute URI", "type": "printable"}


def _shown(name: str) -> str:
    """Return a sender's name for something as it can stand in an answer."""
    return name[:32] if name.isascii() and name.isprintable() else "(a name that cannot be shown)"


def _refuse(reason: str) -> NoReturn:
    raise RejectedInput(ErrorCode.REQUEST_MALFORMED, f"not a valid CloudEvent: {reason}")
