"""Patterns: the CEL they compile to decides exactly as a plain reading of the pattern does."""

import ipaddress
import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.domain.expressions import EVENT, MAX_GENERATED, Found
from holdfast.domain.patterns import OPERATORS, OR, compile_pattern

WORDS = st.sampled_from(["a", "A", "ab", "abc", "b*", "", "10.1.2.3", "ß", 'q"\\'])
NUMBERS = st.sampled_from([0, 1, -2, 2.5, 1e300, 7])
LEAVES = st.none() | st.booleans() | NUMBERS | WORDS
NAMES = st.sampled_from(["a", "b", "x-y"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
TEXTS = WORDS | st.lists(WORDS, min_size=1, max_size=2)
OPERATOR = st.one_of(
    st.builds(lambda v: {"prefix": v}, TEXTS),
    st.builds(lambda v: {"suffix": {"equals-ignore-case": v}}, WORDS),
    st.builds(lambda v: {"equals-ignore-case": v}, TEXTS),
    st.builds(lambda v: {"anything-but": v}, LEAVES | st.lists(LEAVES, min_size=1, max_size=3)),
    st.builds(lambda v: {"anything-but": {"prefix": v}}, TEXTS),
    st.builds(lambda v: {"exists": v}, st.booleans()),
    st.builds(lambda v: {"wildcard": v}, st.sampled_from(["a*", "*b*", "a\\*", "*", "a.c"])),
    st.builds(lambda low, high: {"numeric": [">=", low, "<", high]}, NUMBERS, NUMBERS),
    st.just({"cidr": "10.0.0.0/8"}),
)
ALTERNATIVES = LEAVES | OPERATOR | st.lists(LEAVES | OPERATOR, min_size=1, max_size=3)
OBJECTS = st.recursive(
    st.dictionaries(NAMES, ALTERNATIVES, min_size=1, max_size=2),
    lambda inner: (
        st.dictionaries(NAMES, ALTERNATIVES | inner, min_size=1, max_size=2)
        | st.builds(lambda one, two: {OR: [one, two]}, inner, inner)
    ),
    max_leaves=5,
)


@settings(max_examples=400, deadline=None)
@given(pattern=OBJECTS, data=VALUES)
def test_a_pattern_decides_as_it_reads(pattern: dict[str, Any], data: Any) -> None:
    """Whatever the pattern and the event, the compiled CEL is true or false, and what the model says."""
    expression = EVENT.compile(compile_pattern({"data": pattern}), limit=MAX_GENERATED)
    result = expression.evaluate(EVENT.bind(event={"data": data}))
    assert isinstance(result, Found), (result, json.dumps(pattern))
    assert result.value is field({"data": data}, "data", pattern), (expression.source, data)


def holds(pattern: dict[str, Any], value: Any) -> bool:
    """All fields of a pattern hold for an object."""
    return all(
        any(holds(one, value) for one in inner) if name == OR else field(value, name, inner)
        for name, inner in pattern.items()
    )


def field(value: Any, name: str, pattern: Any) -> bool:
    """One field holds; one that is not there holds for `exists: false` alone."""
    nested = isinstance(pattern, dict) and not set(pattern) & set(OPERATORS)
    if not isinstance(value, dict) or name not in value:
        return holds_absent(pattern) if not nested else all(absent(key, inner) for key, inner in pattern.items())
    items = value[name] if isinstance(value[name], list) else [value[name]]
    if nested:
        return any(
            holds(pattern, one) if isinstance(one, dict) else all(absent(key, inner) for key, inner in pattern.items())
            for one in items
        )
    alternatives = pattern if isinstance(pattern, list) else [pattern]
    if any(isinstance(one, dict) and one.get("exists") is True for one in alternatives):
        return True
    return any(alternative(one, item) for item in items for one in alternatives)


def absent(name: str, pattern: Any) -> bool:
    """A field holds where there is no object to have it."""
    if name == OR:
        return any(all(absent(key, inner) for key, inner in one.items()) for one in pattern)
    if isinstance(pattern, dict) and not set(pattern) & set(OPERATORS):
        return all(absent(key, inner) for key, inner in pattern.items())
    return holds_absent(pattern)


def holds_absent(pattern: Any) -> bool:
    """`exists: false` is among the alternatives."""
    alternatives = pattern if isinstance(pattern, list) else [pattern]
    return any(isinstance(one, dict) and one.get("exists") is False for one in alternatives)


def same(wanted: Any, seen: Any) -> bool:
    """Equal, and of one kind: true is not 1."""
    return (type(wanted) is type(seen) and wanted == seen) or (number(wanted) and number(seen) and wanted == seen)


def number(value: Any) -> bool:
    """A number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def alternative(pattern: Any, seen: Any) -> bool:  # noqa: C901 - one case per operator
    """One alternative holds for one value."""
    if not isinstance(pattern, dict):
        return same(pattern, seen)
    ((name, argument),) = pattern.items()
    words = argument if isinstance(argument, list) else [argument]
    match name:
        case "exists":
            return bool(argument)
        case "anything-but" if isinstance(argument, dict):
            return not alternative(argument, seen)
        case "anything-but":
            return not any(same(one, seen) for one in words)
        case "numeric":
            return number(seen) and argument[1] <= seen < argument[3]
        case "cidr":
            return isinstance(seen, str) and seen == "10.1.2.3" and ipaddress.ip_address(seen).is_private
    if not isinstance(seen, str):
        return False
    match name:
        case "prefix":
            return any(seen.startswith(one) for one in words)
        case "suffix":
            return seen.lower().endswith(argument["equals-ignore-case"].lower())
        case "equals-ignore-case":
            return any(seen.lower() == one.lower() for one in words)
    glob = {"a*": "a.*", "*b*": ".*b.*", "a\\*": "a\\*", "*": ".*", "a.c": "a\\.c"}[argument]
    return re.fullmatch(glob, seen, re.DOTALL) is not None
