"""`default(field, value)`: the one thing CEL cannot say in a function, because an absent field fails before the call.

It is written out as plain CEL before compiling: `default(event.data.a, 1)` is `event.data.a` where the event has it
and it is not null, else `1`.
"""

import re

from holdfast.errors import ErrorCode, RejectedInput

_CALL = re.compile(r"(?<![\w.])default\s*\(")
_STEP = re.compile(r"\s*(?:\.\s*([A-Za-z_]\w*)|\[\s*(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|\d+)\s*\])\s*")
_ROOT = re.compile(r"\s*([A-Za-z_]\w*)\s*")
_TEXT = re.compile(
    r'[rRbB]{0,2}("""(?:[^\\]|\\.)*?"""|'
    r"'''(?:[^\\]|\\.)*?'''|"
    r'"(?:[^"\\]|\\.)*"|'
    r"'(?:[^'\\]|\\.)*')",
    re.DOTALL,
)
_OPEN, _CLOSE = "([{", ")]}"


def expand(source: str) -> str:
    """Write every `default(…)` out. Raises RejectedInput `config.invalid`."""
    position = 0
    while (call := find_call(source, position)) is not None:
        start, inner = call
        parts, end = arguments(source, inner)
        if len(parts) != 2:
            raise _wrong("default() takes two arguments: a field and a value")
        written = _written(parts[0], expand(parts[1]))
        source = source[:start] + written + source[end:]
        position = start + len(written)
    return source


def find_call(source: str, position: int) -> tuple[int, int] | None:
    """Return where the next `default(` begins and where its arguments do, outside of texts."""
    strings = text_spans(source)
    for found in _CALL.finditer(source, position):
        if not any(start <= found.start() < end for start, end in strings):
            return found.start(), found.end()
    return None


def text_spans(source: str) -> list[tuple[int, int]]:
    """Return where the string literals of an expression stand."""
    return [found.span() for found in _TEXT.finditer(source)]


def arguments(source: str, start: int) -> tuple[list[str], int]:
    """Split the arguments that begin at `start`; returns them and the position after the closing parenthesis."""
    parts, end = split_top(source, start, ",")
    if end >= len(source):
        raise _wrong("a parenthesis is not closed")
    return parts, end + 1


def split_top(source: str, start: int, separator: str) -> tuple[list[str], int]:
    """Split at a separator outside of texts and brackets, up to an unmatched closing bracket or the end."""
    spans = dict(text_spans(source[start:]))
    parts, depth, begin, position = [], 0, start, start
    while position < len(source):
        if position - start in spans:
            position = start + spans[position - start]
            continue
        char = source[position]
        if char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            if depth == 0:
                break
            depth -= 1
        elif depth == 0 and source.startswith(separator, position):
            parts.append(source[begin:position])
            position += len(separator)
            begin = position
            continue
        position += 1
    return [*parts, source[begin:position]], position


def _written(field: str, value: str) -> str:
    root = _ROOT.match(field)
    if root is None:
        raise _not_a_field(field)
    at, path, checks = root.end(), root.group(1), []
    while at < len(field):
        step = _STEP.match(field, at)
        if step is None:
            raise _not_a_field(field)
        at, name, key = step.end(), step.group(1), step.group(2)
        if key is not None and key.isdigit():
            checks.append(f"type({path}) == list && {path}.size() > {key}")
        else:
            checks.append(f"type({path}) == map && {key or chr(34) + name + chr(34)} in {path}")
        path += f".{name}" if name else f"[{key}]"
    if not checks:
        raise _not_a_field(field)
    return f"({' && '.join(checks)} && {path} != null ? {path} : {value.strip()})"


def _not_a_field(field: str) -> RejectedInput:
    return _wrong(f"default() takes a field such as event.data.name first, not {field.strip()!r}")


def _wrong(message: str) -> RejectedInput:
    return RejectedInput(ErrorCode.CONFIG_INVALID, message)
