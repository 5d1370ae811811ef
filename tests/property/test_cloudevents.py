import contextlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from activities.cloudevents import encode_value
from gateway.cloudevents import unwrap
from gateway.identify import identify
from gateway.requests import AuthenticRequest, RawRequest
from gateway.routes import compile_route
from holdfast.domain.cloudevents import mode_of, read_batch, read_binary, read_structured
from holdfast.domain.events import decode_envelope
from holdfast.domain.rfc3339 import read_rfc3339
from holdfast.domain.schemes import SignedRequest
from holdfast.domain.sources import SourceConfig
from holdfast.errors import RejectedInput
from holdfast.settings.secrets import Secrets
from tests.property.test_events import json_values

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CONFIG = SourceConfig.model_validate({"dangerous_unverified": True, "event": {"cloudevents": "optional"}})
ROUTE = compile_route("src", CONFIG, Secrets(Path(), {}))
TYPES = st.sampled_from(
    ["application/cloudevents+json", "application/cloudevents-batch+json", "application/cloudevents", "text/plain", ""]
)

_ODD: list[object] = ["1.0", "1", "/s", "", "2026-01-02T03:04:05Z", "MQ==", None, True, 7, 2**40, 1.5, {}, []]
attribute = st.sampled_from(_ODD)
anything = st.dictionaries(
    st.sampled_from(["id", "source", "specversion", "type", "time", "data", "data_base64", "ext"])
    | st.text(max_size=3),
    attribute | json_values,
    max_size=8,
)
likely = st.fixed_dictionaries(
    {"specversion": st.just("1.0"), "id": st.text(min_size=1), "source": st.just("/s"), "type": st.just("t")},
    optional={
        "data": json_values,
        "data_base64": st.just("AP8="),
        "time": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
        "subject": st.text(min_size=1),
        "datacontenttype": st.sampled_from(["application/json", "text/plain", "a/b+json"]),
        "ext": st.text() | st.booleans() | st.integers(-(2**31), 2**31 - 1),
    },
)
header = st.tuples(
    st.sampled_from([b"ce-id", b"ce-source", b"ce-specversion", b"ce-type", b"ce-time", b"ce-x", b"ce-"]),
    st.binary(max_size=20) | st.sampled_from([b"1.0", b"%41", b"%c0%a0", b'"a\\"b"', b'"', b"%"]),
)


@given(st.lists(header, max_size=8), TYPES, st.binary(max_size=200) | (anything | st.lists(anything)).map(json.dumps))
@example([], "application/cloudevents+json", b'{"data": ' + b"[" * 100_000)
@example([], "application/cloudevents-batch+json", b'\xef\xbb\xbf[{"id":"1"}]')
def test_no_request_raises_anything_foreign(
    headers: list[tuple[bytes, bytes]], content_type: str, body: bytes | str
) -> None:
    """Whatever comes, each reader returns events or refuses with a code."""
    raw = body.encode() if isinstance(body, str) else body
    with contextlib.suppress(RejectedInput):
        mode_of(content_type, [name for name, _ in headers])
    with contextlib.suppress(RejectedInput):
        read_binary(headers, content_type, raw)
    with contextlib.suppress(RejectedInput):
        read_structured(raw)
    with contextlib.suppress(RejectedInput):
        read_batch(raw, 10)


@given(st.lists(likely, max_size=4), st.sampled_from([None, 1]))
def test_what_is_accepted_can_be_stored_and_looked_at(documents: list[dict[str, object]], indent: int | None) -> None:
    """Every event of a batch passes through its envelope whole: identity, time, data, byte for byte."""
    body = json.dumps(documents, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    request = SignedRequest.of({"Content-Type": "application/cloudevents-batch+json"}, body)
    try:
        events = unwrap(AuthenticRequest(RawRequest(request, {}, b"", NOW), None), ROUTE.kept, "required")
    except RejectedInput:
        return
    assert isinstance(events, tuple)
    for document, normal in zip(documents, events, strict=True):
        envelope = decode_envelope(identify(normal, ROUTE, TRACE, None).encode())
        assert envelope.cloudevent is not None
        assert envelope.raw_body == normal.body
        assert (envelope.cloudevent.id, envelope.subject) == (document["id"], document.get("subject"))
        assert envelope.cloudevent.extensions == {k: v for k, v in document.items() if k == "ext"}
        kind = document.get("datacontenttype", "application/json")
        if document.get("data") is not None and kind != "text/plain":
            assert json.loads(envelope.raw_body) == document["data"]
        assert envelope.view()["cloudevent"]["source"] == "/s"


@given(st.text(st.characters(blacklist_categories=["Cc", "Cs", "Cn"]), min_size=1))
def test_a_header_gives_back_what_was_encoded(value: str) -> None:
    """Encoded as Holdfast sends attributes, a value is read as it was; one round of decoding and no second."""
    sent = {"ce-id": value, "ce-source": "/s", "ce-specversion": "1.0", "ce-type": "t", "ce-subject": value}
    event = read_binary([(name.encode(), encode_value(text).encode()) for name, text in sent.items()], None, b"")
    assert (event.id, event.subject) == (value, value)


@given(
    st.from_regex(
        re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII), fullmatch=True
    )
)
@example("0001-01-01T00:00:00+23:59")
@example("9999-12-31T23:59:60Z")
def test_a_timestamp_is_read_or_not(text: str) -> None:
    """No spelling of the form raises; what is read is aware and can be moved to UTC."""
    moment = read_rfc3339(text)
    assert moment is None or moment.tzinfo is UTC


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_moment_is_read_as_it_is(moment: datetime) -> None:
    """With Z, with an offset, in small letters."""
    for text in (moment.isoformat(), moment.isoformat().replace("+00:00", "Z"), moment.isoformat().lower()):
        assert read_rfc3339(text) == moment
