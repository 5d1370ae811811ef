r"""Paths of gjson, which Argo's filters and parameters are written in, over parsed JSON.

`a.b.0`, `a.#`, `a.#.name`, `a.#(name=="x").id`, `a.#(n>3)#`, wildcards `*` and `?`, `\.` for a dot in a name, `|`,
`[a,b]` and `{"x":a}`, and the modifiers in MODIFIERS. A wildcard takes the first name in alphabetical order.
"""

import fnmatch
import re
from collections.abc import Callable
from typing import Any

MISSING: Any = type("Missing", (), {"__repr__": lambda _: "MISSING"})()
_QUERY = re.compile(r"(?P<path>.*?)\s*(?P<op>==|!=|<=|>=|!%|<|>|%|=)\s*(?P<value>.*)", re.DOTALL)
MODIFIERS: dict[str, Callable[[Any], Any]] = {
    "this": lambda value: value,
    "valid": lambda value: value,
    "ugly": lambda value: value,
    "pretty": lambda value: value,
    "reverse": lambda value: value[::-1] if isinstance(value, list) else value,
    "keys": lambda value: sorted(value) if isinstance(value, dict) else [],
    "values": lambda value: [value[key] for key in sorted(value)] if isinstance(value, dict) else value,
    "flatten": lambda value: (
        [one for item in value for one in (item if isinstance(item, list) else [item])]
        if isinstance(value, list)
        else value
    ),
}


def find(value: Any, path: str) -> Any:
    """Return what is at a path, or MISSING. Raises ValueError for a path that cannot be read."""
    if not path:
        return MISSING
    if path[0] in "[{":
        end = _closing(path, 0)
        return _then(_many(value, path[: end + 1]), path[end + 1 :])
    if path[0] == "@":
        name, rest = _component(path[1:])
        if name.partition(":")[0] not in MODIFIERS:
            raise ValueError(f"the modifier @{name} is not known")
        return _then(MODIFIERS[name.partition(":")[0]](value), rest)
    if path[0] == "#":
        return _array(value, path)
    name, rest = _component(path)
    return _then(_step(value, name), rest)


def plain_path(path: str) -> list[str] | None:
    """The names of a path that is only names and indices, else None: it can be written as plain CEL."""
    if not path or re.search(r"[#@*?|\[\]{}!~]", path) or path[0] == ".":
        return None
    names, rest = [], path
    while rest:
        name, rest = _component(rest)
        if not name:
            return None
        names.append(re.sub(r"\\(.)", r"\1", name))
        rest = rest[1:]
    return None if path.endswith(".") else names


def _then(value: Any, rest: str) -> Any:
    if not rest or value is MISSING:
        return value
    if rest[0] not in ".|":
        raise ValueError(f"cannot read the path at {rest!r}")
    return find(value, rest[1:])


def _component(path: str) -> tuple[str, str]:
    """Split the first name off; the rest begins with its separator."""
    position = 0
    while position < len(path):
        if path[position] == "\\":
            position += 2
            continue
        if path[position] in ".|":
            break
        position += 1
    return path[:position], path[position:]


def _step(value: Any, name: str) -> Any:
    plain = re.sub(r"\\(.)", r"\1", name)
    if isinstance(value, list):
        return value[int(plain)] if plain.isdigit() and int(plain) < len(value) else MISSING
    if not isinstance(value, dict):
        return MISSING
    if re.search(r"(?<!\\)[*?]", name):
        pattern = plain.replace("[", "[[]")
        return next((value[key] for key in sorted(value) if fnmatch.fnmatchcase(key, pattern)), MISSING)
    return value.get(plain, MISSING)


def _array(value: Any, path: str) -> Any:
    """`#`, `#.rest`, `#(query)` and `#(query)#`."""
    if path[1:2] in {"(", "["}:
        end = _closing(path, 1)
        query, rest = path[2:end], path[end + 1 :]
        every = rest.startswith("#")
        rest = rest[1:] if every else rest
        if not isinstance(value, list):
            return MISSING
        hits = [item for item in value if _satisfies(item, query)]
        if not every:
            return _then(hits[0], rest) if hits else MISSING
        return _each(hits, rest)
    if not isinstance(value, list):
        return MISSING
    rest = path[1:]
    return len(value) if not rest else _each(value, rest)


def _each(items: list[Any], rest: str) -> Any:
    if not rest:
        return items
    if rest[0] == "|":
        return find(items, rest[1:])
    inner, _, piped = _pipe(rest[1:])
    found = [one for one in (find(item, inner) for item in items) if one is not MISSING]
    return find(found, piped) if piped else found


def _pipe(path: str) -> tuple[str, str, str]:
    depth = 0
    for position, char in enumerate(path):
        depth += (char in "([{") - (char in ")]}")
        if char == "|" and depth == 0 and (position == 0 or path[position - 1] != "\\"):
            return path[:position], "|", path[position + 1 :]
    return path, "", ""


def _closing(path: str, start: int) -> int:
    depth, quoted, position = 0, False, start
    while position < len(path):
        char = path[position]
        if char == "\\":
            position += 2
            continue
        if char == '"':
            quoted = not quoted
        elif not quoted:
            depth += (char in "([{") - (char in ")]}")
            if depth == 0:
                return position
        position += 1
    raise ValueError("a bracket in the path is not closed")


def _parts(inner: str) -> list[str]:
    parts, depth, quoted, begin = [], 0, False, 0
    for position, char in enumerate(inner):
        if char == '"':
            quoted = not quoted
        elif not quoted:
            depth += (char in "([{") - (char in ")]}")
            if char == "," and depth == 0:
                parts.append(inner[begin:position])
                begin = position + 1
    return [part for part in (*parts, inner[begin:]) if part]


def _many(value: Any, path: str) -> Any:
    if path[0] == "[":
        found = (find(value, part) for part in _parts(path[1:-1]))
        return [one for one in found if one is not MISSING]
    result: dict[str, Any] = {}
    for part in _parts(path[1:-1]):
        named = re.fullmatch(r'"((?:[^"\\]|\\.)*)"\s*:\s*(.*)', part, re.DOTALL)
        name, inner = (named.group(1), named.group(2)) if named else (part.rpartition(".")[2], part)
        one = find(value, inner)
        if one is not MISSING:
            result[name] = one
    return result


def _satisfies(item: Any, query: str) -> bool:
    split = _QUERY.fullmatch(query)
    if split is None:
        return find(item, query.strip()) is not MISSING
    left = find(item, split["path"].strip()) if split["path"].strip() else item
    return left is not MISSING and _compare(left, split["op"], split["value"].strip())


def _compare(left: Any, operator: str, right: str) -> bool:
    wanted = _literal(right)
    if operator in {"%", "!%"}:
        hit = isinstance(left, str) and fnmatch.fnmatchcase(left, str(wanted).replace("[", "[[]"))
        return hit is (operator == "%")
    same_kind = (
        isinstance(left, bool) is isinstance(wanted, bool)
        and (isinstance(left, str) is isinstance(wanted, str))
        and ((left is None) is (wanted is None))
        and not isinstance(left, dict | list)
    )
    if operator in {"=", "=="}:
        return same_kind and bool(left == wanted)
    if operator == "!=":
        return not same_kind or bool(left != wanted)
    if not same_kind or left is None or isinstance(left, bool):
        return False
    return bool({"<": left < wanted, "<=": left <= wanted, ">": left > wanted, ">=": left >= wanted}[operator])


def _literal(text: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if text in {"true", "false", "null"}:
        return {"true": True, "false": False, "null": None}[text]
    try:
        return float(text) if re.search(r"[.eE]", text) else int(text)
    except ValueError:
        return text
