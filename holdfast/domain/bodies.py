"""Reading a body as data: strict JSON, forms and text, each within limits, each failing in one way.

The bytes themselves are never changed; this is only what expressions look at.
"""

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from holdfast.domain.json_scan import MAX_DEPTH, MAX_VALUES
from holdfast.errors import ErrorCode, RejectedInput

_LEAST_KEY = 5  # characters of the shortest key with its value, as in {"":1,"":1}
FORM = "application/x-www-form-urlencoded"


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
        if kind == FORM:
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

    Refused: NaN and infinities, numbers too long to read, a key that comes twice in one object (two readers would see
    two events in it), more than MAX_VALUES keys, more than MAX_DEPTH levels, lone surrogates.
    """
    text = json_text(body)
    try:
        value = JSON.decode(text)
    except (ValueError, RecursionError) as error:
        raise RejectedInput(ErrorCode.REQUEST_MALFORMED, "the body is not valid JSON") from error
    # every event is parsed once before it is answered, so what the text alone can rule out is not walked through
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    if len(text) > MAX_VALUES * _LEAST_KEY and text.count(":") > MAX_VALUES:
        _check_keys(value)
    if "\\u" in text:
        _check_surrogates(value)
    return value


def json_text(body: bytes) -> str:
    """`body` in the encoding that JSON's first bytes tell. Raises RejectedInput `request.malformed`."""
    try:
        return body.decode(json.detect_encoding(body))
    except ValueError as error:
        raise RejectedInput(ErrorCode.REQUEST_MALFORMED, "the body is not valid JSON") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is too large")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key comes twice in one object")
    return value


JSON = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_object)
"""Strict but for depth, keys and surrogates, which `parse_json` checks."""


def _check_depth(root: Any) -> None:
    level, depth = [root], 0
    while level := [item for value in level for item in _items(value) if isinstance(item, dict | list)]:
        depth += 1
        if depth >= MAX_DEPTH:
            raise RejectedInput(ErrorCode.REQUEST_MALFORMED, f"the JSON is nested deeper than {MAX_DEPTH} levels")


def _check_keys(root: Any) -> None:
    count, level = 0, [root]
    while level:
        count += sum(len(value) for value in level if isinstance(value, dict))
        if count > MAX_VALUES:
            raise RejectedInput(ErrorCode.REQUEST_MALFORMED, f"the JSON has more than {MAX_VALUES} keys")
        level = [item for value in level for item in _items(value) if isinstance(item, dict | list)]


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _check_surrogates(root: Any) -> None:
    """An escape may spell half a character, which no UTF-8 text can hold."""
    try:
        json.dumps(root, ensure_ascii=False).encode("utf-8")
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
