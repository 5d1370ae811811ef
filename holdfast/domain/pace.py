"""How fast an operation over many things goes: `50/s`, `10/m`, as people write it.

Flow: `--rate` → **Rate** → interval between two items.
"""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

_RATE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)/(s|m|h)")
_PER = {"s": 1.0, "m": 60.0, "h": 3_600.0}
FASTEST = 1_000.0  # a second; more than any worker does
SLOWEST = 1 / 3_600


def parse_rate(value: Any) -> Any:
    """`50/s` as items per second; a bare number is refused, because its unit would be a guess."""
    if isinstance(value, float):
        return value
    found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} is not a rate; write a number per unit, like 50/s, 10/m or 600/h")
    return float(found[1]) / _PER[found[2]]


def format_rate(per_second: float) -> str:
    """The text that `parse_rate` reads back, in the unit that makes it at least 1."""
    for unit in ("s", "m"):
        if per_second * _PER[unit] >= 1:
            return f"{round(per_second * _PER[unit], 3):g}/{unit}"
    return f"{round(per_second * 3_600, 3):g}/h"


def interval(per_second: float) -> timedelta:
    """Return the least time between two items."""
    return timedelta(seconds=1 / per_second)


Rate = Annotated[
    float,
    BeforeValidator(parse_rate),
    Field(ge=SLOWEST, le=FASTEST),
    PlainSerializer(format_rate, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["50/s", "10/m", "600/h"]}),
]
