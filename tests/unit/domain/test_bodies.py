import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.bodies import parse_json
from holdfast.domain.events import MAX_TEXT_BODY, pack_body
from holdfast.domain.json_scan import MAX_VALUES
from holdfast.errors import ErrorCode, RejectedInput

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_what_is_json_is_read_as_it_is(value: object) -> None:
    """Both with escapes and without."""
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}x",
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b"[-1e999]",
        b"9" * 5000,
        b"[" * 100_000,
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        rb'"\ud800"',
        rb'{"\udfff": 1}',
        b'"\xed\xa0\x80"',
        b"\xff\xfe\x00",
        b"'a'",
        b'{"a": 1, "a": 2}',
        rb'{"id": 1, "i\u0064": 2}',
        b'[{"x": {"a": 1, "b": 2, "a": 1}}]',
    ],
)
def test_what_is_not_json_fails_in_one_way(body: bytes) -> None:
    """Broken, endless, deep or unspeakable: `request.malformed`, and nothing else is ever raised."""
    with pytest.raises(RejectedInput) as caught:
        parse_json(body)
    assert caught.value.code is ErrorCode.REQUEST_MALFORMED


def test_64_levels_are_read_and_brackets_in_texts_are_no_levels() -> None:
    """The bound is on nesting, not on how many brackets there are."""
    parse_json(b"[" * 64 + b"]" * 64)
    parse_json(b'"' + b"[{" * 500 + b'"')
    parse_json(b"[" + b",".join([b"[{}]"] * 500) + b"]")
    assert parse_json(rb'"\ud83d\ude00"') == "\U0001f600"


def test_as_many_keys_as_values_may_be_are_read_and_colons_in_texts_are_no_keys() -> None:
    """The bound is on keys, wherever they stand, not on what looks like one."""
    objects = [b'{"a":1}'] * MAX_VALUES
    parse_json(json.dumps([":" * MAX_VALUES * 6]).encode())
    with pytest.raises(RejectedInput, match=f"more than {MAX_VALUES} keys"):
        parse_json(b"[" + b",".join([*objects, b'{"one":"more"}']) + b"]")


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_a_packed_body_is_the_same_bytes_and_readable_where_it_can_be(body: bytes) -> None:
    """Text stays text; binary and control characters become base64."""
    import base64

    encoding, text = pack_body(body)
    assert (text.encode() if encoding == "text" else base64.b64decode(text)) == body
    if body.isascii() and body.decode().isprintable():
        assert encoding == "text"


@pytest.mark.parametrize("fill", [b'"', b"\\", b"\n", b"\x01", b"\x7f", b"\xff", "é".encode(), b'"x'])
def test_no_body_outgrows_the_record(fill: bytes) -> None:
    """Escaped as JSON, a megabyte of anything stays under the bound."""
    body = (fill * 1_048_576)[:1_048_576]
    assert len(json.dumps(pack_body(body)[1], ensure_ascii=False).encode()) <= MAX_TEXT_BODY + 2
