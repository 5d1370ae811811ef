"""Durations, sizes and rates as people write them (`500ms`, `10GiB`, `100/s`) as types for configuration models."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, ByteSize, PlainSerializer, WithJsonSchema

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+")


def parse_duration(value: Any) -> Any:
    """`1h30m` as a timedelta; a timedelta passes; a bare number is refused, because its unit would be a guess."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        try:
            return timedelta(seconds=sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(value)))
        except OverflowError as error:
            raise ValueError(f"{value!r} is too long a duration") from error
    raise ValueError(f"{value!r} is not a duration; write a number with a unit, like 500ms, 30s, 5m, 2h, 7d, or 1h30m")


def format_duration(value: timedelta) -> str:
    """The shortest exact text that `parse_duration` reads back."""
    milliseconds = round(value.total_seconds() * 1_000)
    if milliseconds == 0:
        return "0s"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["500ms", "30s", "5m", "1h30m", "7d"]}),
]

Size = ByteSize
"""Bytes: `128KiB`, `10GiB`, or a plain number of bytes."""

_RATE = re.compile(r"([1-9]\d{0,8})/(s|m|h|d)")


@dataclass(frozen=True, slots=True)
class RatePerTime:
    """So many of something in so long, as a long-term average."""

    count: int
    per: timedelta

    @property
    def per_second(self) -> float:
        """The same as a number per second."""
        return self.count / self.per.total_seconds()


def parse_rate(value: Any) -> Any:
    """`100/s`, `50/m` as a RatePerTime; a RatePerTime passes; a bare number is refused, because its time is missing."""
    if isinstance(value, RatePerTime):
        return value
    if isinstance(value, str) and (match := _RATE.fullmatch(value)):
        return RatePerTime(int(match[1]), timedelta(seconds=_UNITS[match[2]]))
    raise ValueError(f"{value!r} is not a rate; write a whole number per s, m, h or d, like 100/s or 50/m")


def format_rate(value: RatePerTime) -> str:
    """The text that `parse_rate` reads back."""
    unit = next(unit for unit, seconds in _UNITS.items() if seconds == value.per.total_seconds())
    return f"{value.count}/{unit}"


Rate = Annotated[
    RatePerTime,
    BeforeValidator(parse_rate),
    PlainSerializer(format_rate, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["100/s", "50/m", "1000/h"]}),
]
