"""Reading a body as data: strict JSON, forms and text, each within limits, each failing in one way.

The bytes themselves are never changed; this is only what expressions look at.
"""

import json
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from holdfast.errors import ErrorCode, RejectedInput

MAX_DEPTH = 64  # levels; deeper JSON is an attack or an accident, and recursion ends near 1,000
_FORM = "application/x-www-form-urlencoded"


def media_type(content_type: str | None) -> str:
    """`application/json` from `Application/JSON; charset=utf-8`; empty where there is none."""
    return (content_type or "").partition(";")[0].strip().lower()


def is_json(content_type: str | None) -> bool:
    """Whether the type names JSON: `application/json`, `text/json` or anything with the suffix `+json`."""
    kind = media_type(content_type)
    return kind in {"application/json", "text/json"} or kind.endswith("+json")


def read_data(body: bytes, content_type: str | None) -> tuple[bool, Any]:
    """Return (found, data); a body that is no data (binary, empty, broken JSON) is (False, None), never an error."""
    kind = media_type(content_type)
    try:
        if is_json(content_type):
            return True, parse_json(body)
        if kind == _FORM:
            return True, _form(body)
        if not kind:
            return _sniff(body)
        if kind.startswith("text/"):
            return True, body.decode("utf-8")
    except (RejectedInput, UnicodeDecodeError, ValueError):
        return False, None
    return False, None


def parse_json(body: bytes) -> Any:
    """Parse strict JSON. Raises RejectedInput `request.malformed` for anything else.

    Refused: NaN and infinities, numbers too long to read, more than 64 levels, lone surrogates.
    """
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RejectedInput(ErrorCode.REQUEST_MALFORMED, "the body is not valid JSON") from error
    _check(value)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check(root: Any) -> None:
    stack = [(root, 1)]
    while stack:
        value, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise RejectedInput(ErrorCode.REQUEST_MALFORMED, f"the JSON is nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            for key, item in value.items():
                _check_text(key)
                stack.append((item, depth + 1))
        elif isinstance(value, list):
            stack.extend((item, depth + 1) for item in value)
        elif isinstance(value, str):
            _check_text(value)
        elif isinstance(value, float) and value in (float("inf"), float("-inf")):
            raise RejectedInput(ErrorCode.REQUEST_MALFORMED, "a number is too large for JSON")


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise RejectedInput(ErrorCode.REQUEST_MALFORMED, "a text holds a lone surrogate") from error


def _form(body: bytes) -> dict[str, str | list[str]]:
    """Fields of a form; a name that comes more than once becomes a list, in order."""
    fields: dict[str, str | list[str]] = {}
    for name, value in parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=1_000):
        held = fields.get(name)
        if held is None:
            fields[name] = value
        elif isinstance(held, list):
            held.append(value)
        else:
            fields[name] = [held, value]
    return fields


def _sniff(body: bytes) -> tuple[bool, Any]:
    """Read a body that came without a type: JSON where it is JSON, else text where it is text."""
    if not body:
        return False, None
    try:
        return True, parse_json(body)
    except RejectedInput:
        return True, body.decode("utf-8")
