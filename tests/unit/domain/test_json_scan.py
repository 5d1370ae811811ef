import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.bodies import parse_json
from holdfast.domain.events import Data
from holdfast.domain.json_scan import MAX_DEPTH, MAX_VALUES, scan
from holdfast.domain.large_bodies import data_of
from holdfast.domain.needs import field_path, needs
from holdfast.errors import ErrorCode, RejectedInput

LONG = 200_000  # more than is looked at in one step

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=30,
)
FRAGMENTS = st.sampled_from(
    [
        *(b"{", b"}", b"[", b"]", b",", b":", b'"', b'"a"', b'"a":1', b"1", b"-", b"0", b"1e999", b"01", b"null"),
        *(b"nul", b"NaN", b" ", b"\\", b"\n", b'"\\ud800"', b'"\\ud83d\\ude00"', b"\x00", b"\xff", b"1.", b"9" * 4_301),
    ]
)


def accepts(read: Any, body: bytes) -> bool:
    """Whether a reader takes a body; any other way to refuse than RejectedInput is a failure of the test."""
    try:
        read(body)
    except RejectedInput as error:
        return error.code is not ErrorCode.REQUEST_MALFORMED
    return True


@given(st.lists(FRAGMENTS, max_size=12).map(b"".join) | st.binary(max_size=50))
def test_it_is_as_strict_as_the_parser(body: bytes) -> None:
    """A body of one size is not accepted where the same at another size is refused."""
    if not body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) and b"\x00" not in body[:4]:
        assert accepts(scan, body) == accepts(parse_json, body)


@given(values, st.booleans())
def test_what_is_json_is_accepted_and_read_whole_where_all_is_wanted(value: Any, plain: bool) -> None:
    """The path () is the whole body, exactly as the parser reads it."""
    body = json.dumps(value, ensure_ascii=plain, indent=1 if plain else None).encode("utf-8", "surrogatepass")
    if accepts(parse_json, body):
        assert scan(body, [()]) == parse_json(body)
        scan(body)


@given(st.dictionaries(st.sampled_from("abc"), values, max_size=3), st.lists(st.sampled_from("abc"), max_size=3))
def test_what_stands_at_a_path_is_what_the_whole_has_there(value: dict[str, Any], path: list[str]) -> None:
    """Picked out or walked to: the same value, or nothing in both."""
    body = json.dumps(value).encode()
    if accepts(parse_json, body):
        whole, picked = parse_json(body), scan(body, [tuple(path)])
        for step in path:
            if not isinstance(whole, dict):
                break
            whole, picked = whole.get(step), picked.get(step)
        assert picked == whole


@pytest.mark.parametrize(
    "body",
    [
        {"k" * LONG: "v" * LONG, "b": ["x" * LONG, "\n" * LONG]},
        {"é" * LONG: 1},
        [" " * LONG, 1],
        [1] * LONG,
        [{}] * LONG,
        {str(number): number for number in range(LONG)},
    ],
    ids=["long texts", "no ASCII", "spaces", "numbers", "objects", "keys"],
)
def test_what_is_longer_than_a_step_is_read(body: Any) -> None:
    """Texts, runs and objects may be of any length."""
    for ascii_only in (True, False):
        scan(json.dumps(body, ensure_ascii=ascii_only).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"1," * MAX_VALUES + b"1]",
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b'{"a":1,' + b'"b":[],' * 3 + b'"c":1}',
        b'{"a":1,"\\u0061":2}',
        b'{"' + b"a" * LONG + b'":1,"' + b"a" * LONG + b'":2}',
        b'"' + b"a" * LONG + b"\\ud800" + b'"',
        b'["' + b"a" * LONG + b'"',
        b"[" + b" " * LONG,
        b"[" + b"9" * LONG + b"]",
        b'"' + b"a" * LONG + b"\xed\xa0\x80" + b'"',
    ],
)
def test_what_is_no_strict_json_is_refused(body: bytes) -> None:
    """Too much, too deep, twice the same key, half characters, no end: each is 400."""
    assert not accepts(scan, body)


@pytest.mark.parametrize(
    ("expression", "paths"),
    [
        ("event.data.a.b == 1", {("a", "b")}),
        ("event.type == 'push'", set()),
        ("event.data['a'] == 1", {()}),
        ("event.data.a['b'] == 1", {("a",)}),
        ("event.data.items.exists(i, i.id == 1)", {("items",)}),
        ("event.data.a.startsWith('event.data.b')", {("a",)}),
        ("size(event.data) > 1", {()}),
        ("has(event.data.a) && event.subject == event.data.c", {("a",), ("c",)}),
        ("event", {()}),
        ("[event][0].data.a", {()}),
        ("event['data'].a", {()}),
        ("my.event.data.a", set()),
    ],
)
def test_what_an_expression_reads_is_told_from_its_text(expression: str, paths: set[tuple[str, ...]]) -> None:
    """Rather too much than too little."""
    assert needs([expression]) == paths


def test_a_path_ends_where_a_list_begins() -> None:
    """What is in a list is picked with the whole list."""
    assert field_path(("a", "0", "b")) == ("a",)
    assert field_path(("+", "b")) == ()


def test_data_of_a_large_body_is_what_is_asked_for() -> None:
    """JSON by its type or its look; forms and texts whole; anything else is no data."""
    body = b'{"a": {"b": 1, "c": 2}, "d": [1]}'
    assert data_of(body, "application/json", [("a", "b")]) == Data(found=True, value={"a": {"b": 1}})
    assert data_of(body, None, [("d", "x")]) == Data(found=True, value={"d": [1]})
    assert data_of(b"a=1", "application/x-www-form-urlencoded", [("a",)]) == Data(found=True, value={"a": "1"})
    assert data_of(b"\xff", "application/octet-stream", [("a",)]) == Data()
    assert data_of(b"{", "application/json", [("a",)]) == Data()
    assert data_of(body, "application/json", []) == Data()
