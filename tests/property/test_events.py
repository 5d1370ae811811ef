import contextlib
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.bodies import parse_json, read_data
from holdfast.domain.events import Envelope, decode_envelope, pack_body
from holdfast.domain.expressions import EVENT, Absent, Failed, Found
from holdfast.errors import RejectedInput
from holdfast.ids import sha256_hex

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


def envelope(body: bytes, content_type: str | None = "application/json") -> Envelope:
    """An event with this body."""
    encoding, text = pack_body(body)
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return Envelope(
        id="1",
        source="s",
        type="t",
        time=now,
        received_at=now,
        datacontenttype=content_type,
        body_encoding=encoding,
        body=text,
        body_sha256=sha256_hex(body),
    )


@given(st.binary(max_size=2_000) | st.text(max_size=2_000).map(lambda t: t.encode("utf-8", "replace")))
def test_every_body_survives_byte_for_byte(body: bytes) -> None:
    """Whatever the bytes are, the record on the bus gives them back unchanged."""
    assert decode_envelope(envelope(body, None).encode()).raw_body == body


@given(st.binary(max_size=400))
def test_no_bytes_break_the_decoder(raw: bytes) -> None:
    """Bytes that are no envelope are refused with a code; nothing else ever comes out of the decoder."""
    with pytest.raises(RejectedInput):
        decode_envelope(raw)


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_changed_body_is_noticed(body: bytes, data: st.DataObject) -> None:
    """A body that does not fit its hash is refused: nothing half-written is delivered."""
    record = json.loads(envelope(body).encode())
    other = data.draw(st.binary(max_size=200).filter(lambda b: b != body))
    record["body_encoding"], record["body"] = pack_body(other)
    with pytest.raises(RejectedInput):
        decode_envelope(json.dumps(record).encode())


@given(st.binary(max_size=300), st.sampled_from(["application/json", "text/plain", None, "image/png", "a/b+json"]))
def test_reading_data_never_raises(body: bytes, content_type: str | None) -> None:
    """What is no data is absent; a parser's own error never escapes."""
    found, value = read_data(body, content_type)
    assert found or value is None


@given(st.binary(max_size=300))
def test_json_parser_raises_only_its_own_error(body: bytes) -> None:
    """Anything but strict JSON is `request.malformed`."""
    with contextlib.suppress(RejectedInput):
        parse_json(body)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b"NaN",
        b"[-Infinity]",
        b"1e999",
        b"9" * 5_000,
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b"\xff\xfe",
        b"",
        b"{'a': 1}",
    ],
)
def test_hostile_json_is_malformed(body: bytes) -> None:
    """Depth, constants, huge numbers, surrogates and broken encodings are the sender's fault, with one code."""
    with pytest.raises(RejectedInput, match=r"request\.malformed"):
        parse_json(body)


@given(json_values)
def test_an_expression_sees_the_data(value: object) -> None:
    """CEL gives back the JSON value it was given, up to numbers it can hold; it never raises, and never cuts a text."""
    result = EVENT.compile("event.data").evaluate(EVENT.bind(event={"data": value}))
    if "\\u0000" in json.dumps(value):
        assert isinstance(result, Failed)
        return
    assert isinstance(result, Found)
    assert result.value == pytest.approx(value) if isinstance(value, int | float) else True


@given(
    json_values, st.sampled_from(["event.data.a.b == 1", "event.data + 1", "event.data[3]", "event.data.matches('x')"])
)
def test_evaluation_is_total(value: object, source: str) -> None:
    """Any expression on any event ends in one of three results."""
    assert isinstance(EVENT.compile(source).evaluate(EVENT.bind(event={"data": value})), Found | Absent | Failed)


def test_forms_keep_repeated_fields_in_order() -> None:
    """`a=1&a=2` is a list; nothing of a form is dropped."""
    assert read_data(b"a=1&b=&a=2", "application/x-www-form-urlencoded; charset=utf-8") == (
        True,
        {"a": ["1", "2"], "b": ""},
    )
