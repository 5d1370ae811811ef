"""What is kept of a refused request: whatever the request holds, the record is bounded and has no secret in it."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.rejections import REFUSED_BODY, described, query_names, safe_path
from holdfast.contracts.rejections import Rejection

AT = datetime(2026, 1, 2, tzinfo=UTC)
SECRET = "s3cr3t" * 8
NAMES = st.sampled_from([b"authorization", b"cookie", b"x-hub-signature-256", b"x-api-key", b"x-anything"])


def scope(**more: Any) -> dict[str, Any]:
    """An ASGI scope."""
    return {
        "method": "POST",
        "raw_path": b"/hooks/x",
        "query_string": b"",
        "headers": [],
        "client": ("10.0.0.1", 1234),
        **more,
    }


@given(
    headers=st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=2_000)), max_size=80),
    path=st.binary(max_size=3_000),
    query=st.binary(max_size=3_000),
    body=st.one_of(st.none(), st.binary(max_size=500)),
    method=st.text(max_size=300),
)
def test_any_request_can_be_described(
    headers: list[tuple[bytes, bytes]], path: bytes, query: bytes, body: bytes | None, method: str
) -> None:
    """No foreign exception; a record that can be written, read again, and that is small."""
    given_scope = scope(headers=headers, raw_path=path, query_string=query, method=method, **{REFUSED_BODY: body})
    record = described("_unknown", None, given_scope, AT)
    text = record.model_dump_json()
    assert Rejection.model_validate_json(text) == record
    assert len(record.header_names) <= 50
    assert len(record.path) <= 200
    assert record.size == (len(body) if body is not None else record.size)


@given(
    names=st.lists(NAMES, min_size=1, max_size=5), where=st.sampled_from(["header", "path", "query", "alone", "body"])
)
def test_a_secret_is_in_no_record(names: list[bytes], where: str) -> None:
    """Wherever it stands in a request, it does not stand in what is kept."""
    secret = SECRET.encode()
    given_scope = {
        "header": scope(headers=[(name, secret) for name in names]),
        "path": scope(raw_path=b"/hooks/" + secret),
        "query": scope(query_string=b"token=" + secret),
        "alone": scope(query_string=secret),
        "body": scope(**{REFUSED_BODY: secret}),
    }[where]
    assert SECRET not in described("_unknown", None, given_scope, AT).model_dump_json()


def test_what_helps_people_is_kept() -> None:
    """A misspelt path, the names of fields and headers, harmless values."""
    headers = [(b"user-agent", b"curl/8"), (b"content-type", b"application/json"), (b"x-signature", b"abc")]
    record = described("_unknown", None, scope(headers=headers, raw_path=b"/hooks/githbu"), AT)
    assert record.path == "/hooks/githbu"
    assert record.headers == {"user-agent": "curl/8", "content-type": "application/json"}
    assert record.header_names == ("user-agent", "content-type", "x-signature")
    assert query_names(b"a=1&b=2&a=3&=4&c") == ("a", "b", "…")
    assert safe_path(b"/hooks/" + b"a" * 41 + b"/x") == "/hooks/…/x"
