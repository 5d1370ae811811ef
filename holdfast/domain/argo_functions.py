"""Argo Events' reading of values, for imported triggers: `argo.text`, `argo.number`, `argo.bool`, `argo.get` and kin.

An Argo data filter coerces what it finds (text to number, anything to truth); a filter that was imported must keep
deciding as it did. `docs/argo.md` has the table.
"""

import math
import re
from typing import Any

from holdfast.domain.functions import Function, compact
from holdfast.domain.gjson import MISSING, find

ABSENT = "UNKNOWN: argo: absent"
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TRUE = frozenset({"1", "t", "true"})


def text(value: Any) -> str:
    """What a string filter compares: texts as they are, null as nothing, lists and objects as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else compact(value)


def number(value: Any) -> Any:
    """What a number filter compares. Raises LookupError where it is none: false, as for an absent field."""
    if value is None or isinstance(value, bool):
        return int(bool(value))
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        found = float(value)
        return int(found) if found.is_integer() and abs(found) < 2**53 else found
    raise LookupError("argo: absent: this is no number")


def truth(value: Any) -> bool:
    """What a bool filter compares: numbers by being non-zero, texts by saying so, everything else false."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value != 0
    return isinstance(value, str) and value.lower() in _TRUE


def get(value: Any, path: str) -> Any:
    """Value at a gjson path. Raises LookupError where there is none."""
    found = find(value, path)
    if found is MISSING:
        raise LookupError(f"argo: absent: nothing at {path}")
    return found


def exists(value: Any, path: str) -> bool:
    """Whether there is anything at a gjson path."""
    return find(value, path) is not MISSING


def payload(event: dict[str, Any]) -> Any:
    """The payload as an Argo sensor sees it: header, body, metadata; or the event's data where it already is that."""
    data = event.get("data")
    if isinstance(data, dict) and ({"body", "header", "headers"} & data.keys()):
        return data
    laid_out = {
        "header": {
            "-".join(part.capitalize() for part in name.split("-")): [value] for name, value in event["headers"].items()
        },
        "body": data,
        "metadata": {},
    }
    if isinstance(data, dict):
        return {name: value for name, value in laid_out.items() if name != "body"} | data | {"body": data}
    return laid_out if "data" in event else {}


def named(value: Any, name: str) -> Any:
    """The field whose name, with `-` read as `_`, is `name`. Raises LookupError where there is none."""
    if isinstance(value, dict):
        for key in (name, *sorted(value)):
            if key in value and key.replace("-", "_") == name:
                return value[key]
    raise LookupError(f"argo: absent: no field {name}")


def calculate(operator: str, left: Any, right: Any) -> Any:
    """Arithmetic of govaluate, expr and Lua: whole numbers and fractions mixed, `+` joins texts."""
    if operator in {"+", ".."} and (isinstance(left, str) or isinstance(right, str)):
        return text(left) + text(right)
    if any(isinstance(side, bool) or not isinstance(side, int | float) for side in (left, right)):
        raise ValueError(f"cannot calculate {type(left).__name__} {operator} {type(right).__name__}")
    match operator:
        case "+":
            result = left + right
        case "-":
            result = left - right
        case "*":
            result = left * right
        case "/":
            result = left / right
        case "%":
            result = math.fmod(left, right)
        case _:
            result = float(left) ** float(right)
    return int(result) if isinstance(result, float) and result.is_integer() and abs(result) < 2**53 else result


def library() -> tuple[Function, ...]:
    """Return every function of the namespace `argo`."""
    rows = (
        ("argo.text", ("dyn",), "string", text),
        ("argo.number", ("dyn",), "dyn", number),
        ("argo.bool", ("dyn",), "bool", truth),
        ("argo.get", ("dyn", "string"), "dyn", get),
        ("argo.exists", ("dyn", "string"), "bool", exists),
        ("argo.payload", ("map",), "dyn", payload),
        ("argo.named", ("dyn", "string"), "dyn", named),
        ("argo.calculate", ("string", "dyn", "dyn"), "dyn", calculate),
    )
    return tuple(Function(name, parameters, returns, run, "", "") for name, parameters, returns, run in rows)
