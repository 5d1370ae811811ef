"""What a CEL expression reads of `event.data`, told from its text: cautiously, more rather than less.

A large body is not built in memory; what stands at these paths is picked out of it (`json_scan.py`).
"""

import re
from collections.abc import Iterable

from holdfast.domain.json_scan import Path

WHOLE: Path = ()

_TEXT = re.compile(r"\"[^\"]*\"|'[^']*'")
_STEPS = r"\b((?:\s*\.\s*[A-Za-z_]\w*)*)\s*([\[(]?)"
_NAME = re.compile(r"[A-Za-z_]\w*")


def needs(expressions: Iterable[str]) -> frozenset[Path]:
    """Return the paths below `event.data` that the expressions read; `()` is all of it; nothing: it is not read."""
    return frozenset(path for expression in expressions for path in _paths(expression, "event"))


def needs_of(name: str, expressions: Iterable[str]) -> frozenset[Path]:
    """Return the same for `events.NAME.data` of a join."""
    return frozenset(path for one in expressions for path in _paths(one, rf"events\s*\.\s*{re.escape(name)}"))


def field_path(steps: Iterable[str]) -> Path:
    """Return the part of a preset's path that names keys of objects; from a list on, the value is read whole."""
    path: list[str] = []
    for step in steps:
        if step in {"*", "+"} or step.isdecimal():
            break
        path.append(step)
    return tuple(path)


def _paths(expression: str, root: str) -> Iterable[Path]:
    # an escape may hide the end of a text, so such an expression is read with its texts
    code = expression if "\\" in expression else _TEXT.sub('""', expression)
    for use in re.finditer(rf"(?<![\w.]){root}{_STEPS}", code):
        names = _NAME.findall(use.group(1))
        if use.group(2) == "(" and names:
            names.pop()  # a method of what stands before it
        elif use.group(2) == "[" and not names:
            yield WHOLE
            continue
        if not names or names[0] == "data":
            yield tuple(names[1:])
