"""Paths into JSON data, the same for signatures and for what an event is called.

A step is a key of an object or an index of a list; `*` is the only element of a list, `+` stands for all elements
where what follows has one value in all of them. So a path can never pick one of several things that differ.
"""

from collections.abc import Sequence
from typing import Any

MAX_ELEMENTS = 10_000  # of one list that `+` looks through


class Missing:
    """What a path that leads nowhere finds; None is a value."""


MISSING = Missing()


def walk(data: Any, steps: Sequence[str]) -> Any:
    """Return what stands at the end of the steps, or MISSING."""
    for index, step in enumerate(steps):
        if isinstance(data, dict):
            data = data.get(step, MISSING)
        elif not isinstance(data, list):
            return MISSING
        elif step == "+":
            return _agreed(data, steps[index + 1 :])
        elif step == "*":
            data = data[0] if len(data) == 1 else MISSING
        else:
            data = data[int(step)] if step.isdecimal() and len(step) < 6 and int(step) < len(data) else MISSING
    return data


def _agreed(elements: list[Any], rest: Sequence[str]) -> Any:
    if not 0 < len(elements) <= MAX_ELEMENTS:
        return MISSING
    first = walk(elements[0], rest)
    return first if all(walk(other, rest) == first for other in elements[1:]) else MISSING
