"""`match:` — patterns over the event, in the manner of EventBridge, compiled to CEL that can never fail.

    match:
      type: [push, release]                    one of them
      data:
        ref: {prefix: refs/heads/}
        action: [opened, {anything-but: closed}]
        amount: {numeric: [">", 0, "<=", 5]}

All fields must hold; a list is "one of"; a list in the event matches where one of its elements does. A field that the
event does not have matches nothing but `{exists: false}`.
"""

import ipaddress
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from holdfast.domain.json_scan import Path
from holdfast.errors import ErrorCode, RejectedInput

OR = "$or"
_COMPARES = {"=": "==", "==": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TEXTS = frozenset({"id", "source", "type", "time", "subject", "datacontenttype"})
_MAPS = frozenset({"headers", "path", "query"})
_ROOTS = _TEXTS | _MAPS | {"data", "cloudevent", "extensions", "data_error"}
MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Clause:
    """One field of a pattern: its dotted path, the pattern as written, and the CEL it became."""

    path: str
    pattern: str
    cel: str


def compile_pattern(pattern: dict[str, Any]) -> str:
    """Return the CEL of a whole pattern. Raises RejectedInput `config.invalid` naming the field."""
    clauses(pattern)
    return " && ".join(f"({_fields({name: inner}, 'event', (), 0)})" for name, inner in pattern.items())


def clauses(pattern: dict[str, Any]) -> tuple[Clause, ...]:
    """Return each field of a pattern by itself; all of them must hold. Raises RejectedInput `config.invalid`."""
    if not isinstance(pattern, dict) or not pattern:
        raise _wrong("match", "must name fields of the event, like `type: push`")
    unknown = sorted(str(name) for name in pattern if name not in _ROOTS and name != OR)
    if unknown:
        raise _wrong(unknown[0], f"an event has no such field; it has {', '.join(sorted(_ROOTS))}")
    return tuple(
        Clause(".".join(path), json.dumps(leaf, ensure_ascii=False, default=str), _fields(alone, "event", (), 0))
        for path, leaf, alone in _leaves(pattern, ())
    )


def data_paths(pattern: dict[str, Any]) -> frozenset[Path]:
    """Return the paths below `event.data` that a pattern reads; `()` is all of it; nothing: it is not read."""
    found: set[Path] = set()
    for path, _, alone in _leaves(pattern, ()):
        if OR in path:
            found |= {()} if '"data"' in json.dumps(alone, default=str) else set()
        elif path[0] == "data":
            found.add(path[1:])
    return frozenset(found)


def _leaves(pattern: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, dict[str, Any]]]:
    """Every field by itself: its path, what is asked of it, and the pattern that asks nothing else."""
    for name, inner in pattern.items():
        here = (*path, str(name))
        if name != OR and _is_nested(inner) and inner and len(here) < MAX_DEPTH:
            yield from _leaves(inner, here)
        else:
            alone: Any = {name: inner}
            for parent in reversed(path):
                alone = {parent: alone}
            yield here, inner, alone


def _fields(pattern: dict[str, Any], var: str, path: tuple[str, ...], depth: int) -> str:
    """CEL that is true where all fields of a pattern hold for the object `var`; `var` may be anything."""
    if depth > MAX_DEPTH:
        raise _wrong(".".join(path), f"is deeper than {MAX_DEPTH} levels")
    terms = []
    for name, inner in pattern.items():
        here = (*path, str(name))
        if name == OR:
            if not isinstance(inner, list) or not inner or not all(isinstance(one, dict) and one for one in inner):
                raise _wrong(".".join(here), "takes a list of patterns")
            terms.append("(" + " || ".join(f"({_fields(one, var, here, depth + 1)})" for one in inner) + ")")
            continue
        key = _key(str(name), path)
        field = f"{var}[{key}]"
        holds = _value(inner, field, here, depth + 1)
        if _holds_for_nothing(inner):
            terms.append(f"(!({key} in {var}) || {holds})")
        else:
            terms.append(f"{key} in {var} && {holds}")
    return " && ".join(terms)


def _value(pattern: Any, field: str, path: tuple[str, ...], depth: int) -> str:
    item = f"v{depth}"
    if _is_nested(pattern):
        if path[0] in _MAPS and len(path) == 1:  # always objects of texts
            return f"({_fields(pattern, field, path, depth)})"
        inside = _fields(pattern, item, path, depth)
        absent = "true" if all(_absent(name, inner) for name, inner in pattern.items()) else "false"
        return f"{_each(field)}.exists({item}, type({item}) == map ? {inside} : {absent})"
    alternatives = pattern if isinstance(pattern, list) else [pattern]
    if not alternatives:
        raise _wrong(".".join(path), "an empty list matches nothing")
    is_text = path[0] in _TEXTS or (path[0] in _MAPS and len(path) == 2)
    terms = [_alternative(one, field if is_text else item, path) for one in alternatives]
    if "true" in terms:
        return "true"
    terms = [term for term in terms if term != "false"] or ["false"]
    if is_text or terms == ["false"]:
        return "(" + " || ".join(terms) + ")"
    return f"{_each(field)}.exists({item}, {' || '.join(terms)})"


def _key(name: str, path: tuple[str, ...]) -> str:
    try:
        return _text(name.lower() if path == ("headers",) else name)  # names of headers are kept in lower case
    except ValueError as error:
        raise _wrong(".".join(path), str(error)) from None


def _each(field: str) -> str:
    return f"(type({field}) == list ? {field} : [{field}])"


def _is_nested(pattern: Any) -> bool:
    return isinstance(pattern, dict) and not (set(map(str, pattern)) & OPERATORS.keys())


def _absent(name: str, pattern: Any) -> bool:
    """Whether a field holds in an object that is none."""
    if name == OR:
        return any(all(_absent(key, inner) for key, inner in one.items()) for one in pattern)
    return _holds_for_nothing(pattern)


def _holds_for_nothing(pattern: Any) -> bool:
    if _is_nested(pattern):
        return all(_absent(name, inner) for name, inner in pattern.items())
    alternatives = pattern if isinstance(pattern, list) else [pattern]
    return any(isinstance(one, dict) and one.get("exists") is False for one in alternatives)


def _alternative(pattern: Any, item: str, path: tuple[str, ...]) -> str:
    if isinstance(pattern, dict):
        if not pattern or set(map(str, pattern)) - OPERATORS.keys():
            raise _wrong(".".join(path), f"in a list stand values and {', '.join(OPERATORS)}")
        try:
            terms = [OPERATORS[str(name)](argument, item) for name, argument in pattern.items()]
        except ValueError as error:
            raise _wrong(".".join(path), str(error)) from None
        return terms[0] if len(terms) == 1 else "(" + " && ".join(terms) + ")"
    if isinstance(pattern, list):
        raise _wrong(".".join(path), "a list in a list: write one list of alternatives")
    try:
        return _equals(pattern, item)
    except ValueError as error:
        raise _wrong(".".join(path), str(error)) from None


def _equals(value: Any, item: str) -> str:
    if value is None:
        return f"{item} == null"
    if isinstance(value, bool):
        return f"{item} == {'true' if value else 'false'}"
    if isinstance(value, int | float):
        return f"{item} == {_number(value)}"
    if isinstance(value, str):
        return f"{item} == {_text(value)}"
    raise ValueError(f"a {type(value).__name__} cannot be compared")


def _texts(argument: Any, name: str) -> list[str]:
    found = argument if isinstance(argument, list) else [argument]
    if not found or not all(isinstance(one, str) for one in found):
        raise ValueError(f"{name} takes a text or a list of texts")
    return found


def _by_text(name: str, term: Callable[[str, str], str]) -> Callable[[Any, str], str]:
    """An operator on texts; a list is "one of"."""

    def build(argument: Any, item: str) -> str:
        terms = " || ".join(term(item, one) for one in _texts(argument, name))
        return f"(type({item}) == string && ({terms}))"

    return build


def _ignoring_case(argument: Any) -> tuple[bool, Any]:
    if isinstance(argument, dict):
        if set(argument) != {"equals-ignore-case"}:
            raise ValueError("takes a text, or {equals-ignore-case: text}")
        return True, argument["equals-ignore-case"]
    return False, argument


def _ended(name: str, call: str) -> Callable[[Any, str], str]:
    def build(argument: Any, item: str) -> str:
        ignoring, wanted = _ignoring_case(argument)
        seen = f"lower({item})" if ignoring else item
        words = [one.lower() if ignoring else one for one in _texts(wanted, name)]
        return f"(type({item}) == string && ({' || '.join(f'{seen}.{call}({_text(one)})' for one in words)}))"

    return build


def _anything_but(argument: Any, item: str) -> str:
    if isinstance(argument, dict):
        if not argument or set(argument) - (OPERATORS.keys() - {"exists", "anything-but"}):
            raise ValueError("anything-but takes values or one of the other operators")
        return "!(" + " && ".join(OPERATORS[name](inner, item) for name, inner in argument.items()) + ")"
    values = argument if isinstance(argument, list) else [argument]
    if not values or any(isinstance(one, dict | list) for one in values):
        raise ValueError("anything-but takes values, or one operator like {prefix: …}")
    return "!(" + " || ".join(_equals(one, item) for one in values) + ")"


def _numeric(argument: Any, item: str) -> str:
    if not isinstance(argument, list) or not argument or len(argument) % 2:
        raise ValueError('numeric takes pairs, like [">", 0, "<=", 5]')
    terms = []
    for sign, bound in zip(argument[::2], argument[1::2], strict=True):
        if sign not in _COMPARES or isinstance(bound, bool) or not isinstance(bound, int | float):
            raise ValueError(f"numeric takes pairs of one of {', '.join(_COMPARES)} and a number")
        terms.append(f"{item} {_COMPARES[sign]} {_number(bound)}")
    return f"((type({item}) == int || type({item}) == double) && {' && '.join(terms)})"


def _exists(argument: Any, item: str) -> str:  # noqa: ARG001 - the signature of an operator
    if not isinstance(argument, bool):
        raise ValueError("exists takes true or false")  # noqa: TRY004 - told with the others
    return "true" if argument else "false"


def _cidr(argument: Any, item: str) -> str:
    networks = _texts(argument, "cidr")
    for network in networks:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise ValueError(f"cidr: {network!r} is no network, like 10.0.0.0/8") from None
    return "(" + " || ".join(f"cidr({item}, {_text(network)})" for network in networks) + ")"


def wildcard(pattern: str) -> str:
    r"""RE2 of a wildcard: `*` is any text, `\*` a star, everything else itself."""
    parts = re.split(r"(\\\*|\\\\|\*)", pattern)
    pieces = {"*": "(?s:.*)", "\\*": r"\*", "\\\\": r"\\"}
    return "^" + "".join(pieces.get(part) or _quoted(part) for part in parts) + "$"


def _quoted(text: str) -> str:
    return re.sub(r"([.^$|()\[\]{}*+?\\])", r"\\\1", text)


OPERATORS: dict[str, Callable[[Any, str], str]] = {
    "prefix": _ended("prefix", "startsWith"),
    "suffix": _ended("suffix", "endsWith"),
    "anything-but": _anything_but,
    "numeric": _numeric,
    "exists": _exists,
    "wildcard": _by_text("wildcard", lambda item, text: f"{item}.matches({_text(wildcard(text))})"),
    "cidr": _cidr,
    "equals-ignore-case": _by_text("equals-ignore-case", lambda item, text: f"lower({item}) == {_text(text.lower())}"),
}
"""Every operator: from its argument and the name of the value to CEL that is true or false, whatever the value is."""


def _number(value: float) -> str:
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return repr(int(value))
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a number must be finite")
    return repr(number)


def _text(value: str) -> str:
    if "\x00" in value:
        raise ValueError("a text with a NUL matches nothing")
    return json.dumps(value, ensure_ascii=False)


def _wrong(path: str, message: str) -> RejectedInput:
    return RejectedInput(ErrorCode.CONFIG_INVALID, f"{path}: {message}")
