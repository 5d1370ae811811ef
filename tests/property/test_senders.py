"""Every preset: what is signed holds, and nothing near it does."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.domain.preset import Preset
from holdfast.domain.preset_names import PresetName
from holdfast.domain.presets import PRESETS
from holdfast.domain.schemes import SignedRequest
from holdfast.domain.signatures import Refused, Verified, Verifier
from holdfast.errors import ErrorCode
from tests.senders import CONNECTED, DESCRIBED, NOW, SENDERS, WIDE, Sent, scheme_of, send

BINDING = [name for name in SENDERS if scheme_of(name).signed_parts & {"body", "crc32"}]
"""Those whose signature covers every byte of the body. Not: tokens, forms, and those that sign some fields only."""
PARTLY = ["adyen", "aws-sns", "mailgun", "msgraph"]
"""Those that sign some fields of a JSON body."""


def test_the_configuration_names_every_preset() -> None:
    """What a person can write is what there is."""
    assert {*PRESETS, *DESCRIBED, *CONNECTED} == {*get_args(PresetName)}


def headers_of(sent: Sent) -> list[str]:
    """Headers that carry parts of the signature."""
    names = sent.scheme.headers[0]
    return [name for name in (names.signature, names.timestamp, names.id) if name is not None and ":" not in name]


@pytest.mark.parametrize("name", SENDERS)
def test_a_signed_request_holds_by_the_first_or_the_second_secret_alone(name: str) -> None:
    """Either of two secrets will do, so that one can be changed without a gap; another one alone will not."""
    sent = send(name)
    assert isinstance(sent.judge(), Verified), sent.judge()
    assert isinstance(sent.judge_with(sent.secrets), Verified)
    assert isinstance(sent.judge_with(sent.secrets[::-1]), Verified)
    assert isinstance(sent.judge_with(sent.secrets[1:]), Refused)


@pytest.mark.parametrize("name", BINDING)
def test_each_byte_of_the_body_counts(name: str) -> None:
    """Changing, adding or cutting any one byte of the body is refused."""
    sent = send(name)
    body = sent.request.body
    spoiled = [body[:index] + bytes([body[index] ^ 1]) + body[index + 1 :] for index in range(len(body))]
    for other in (*spoiled, body + b" ", body[:-1], b" " + body, b""):
        verdict = sent.judge(replace(sent.request, body=other))
        assert isinstance(verdict, Refused), other
        assert verdict.code in {ErrorCode.SIGNATURE_INVALID, ErrorCode.SIGNATURE_MISSING}


@pytest.mark.parametrize("name", SENDERS)
def test_each_byte_of_the_signature_counts(name: str) -> None:
    """Changing any one byte of any header that carries a part of the signature is refused, and so is a cut."""
    sent = send(name)
    for header in headers_of(sent):
        value = sent.request.header(header)[0]
        bare = value[:6].lower() in {b"bearer", b"basic "} and value.lower().startswith((b"bearer ", b"basic "))
        first = 7 if bare else 0  # the name of an HTTP scheme has no case
        spoiled = [
            value[:index] + bytes([value[index] ^ 1 << bit]) + value[index + 1 :]
            for index in range(first, len(value))
            for bit in (0, 7)
        ]
        for other in (*spoiled, value[:-1], b""):
            assert isinstance(sent.judge(sent.replaced(header, [other])), Refused), (header, other)


@pytest.mark.parametrize("name", PARTLY)
def test_signed_fields_count_where_only_fields_are_signed(name: str) -> None:
    """A changed signature or signed field is refused; so is a body in which a key comes twice."""
    sent = send(name)
    body = sent.request.body
    signature = {"adyen": "hmacSignature", "aws-sns": "Signature", "mailgun": "signature", "msgraph": "clientState"}
    field = {"adyen": "79", "aws-sns": "arn:t", "mailgun": "t0ken", "msgraph": "s3cret-1"}[name].encode()
    assert isinstance(sent.judge(replace(sent.request, body=body.replace(field, field[:-1] + b"!"))), Refused)
    for other in (
        body.replace(f'"{signature[name]}"'.encode(), b'"no"'),
        body.replace(b"{", b'{"type": 1, "type": 2, ', 1),
        b"[" * 100_000,
        b"\xff",
        b"null",
        b"",
    ):
        assert isinstance(sent.judge(replace(sent.request, body=other)), Refused)


def test_one_notification_with_another_secret_spoils_all_of_them() -> None:
    """Microsoft Graph sends several in one request: each must carry the secret."""
    sent = send("msgraph")
    half = sent.request.body.replace(b"s3cret-1", b"s3cret-9", 1)
    assert isinstance(sent.judge(replace(sent.request, body=half)), Refused)


def test_a_second_item_behind_adyens_signed_one_is_refused() -> None:
    """The signature covers one item, so there must be no other."""
    sent = send("adyen")
    more = sent.request.body.replace(b"]}", b', {"NotificationRequestItem": {}}]}')
    assert more != sent.request.body
    assert isinstance(sent.judge(replace(sent.request, body=more)), Refused)


@pytest.mark.parametrize("body", [b"CallSid=CA13&From=14158675309&Note=78", b"", b"CallSid=CA12", b"{}"])
def test_twilios_form_is_bound_to_its_fields(body: bytes) -> None:
    """Another form, an empty one, or a body of another type is refused."""
    sent = send("twilio")
    assert isinstance(sent.judge(replace(sent.request, body=body)), Refused)
    assert isinstance(sent.judge(sent.replaced("content-type", [b"text/plain"])), Refused)


@pytest.mark.parametrize("name", SENDERS)
def test_missing_and_doubled_headers_are_refused(name: str) -> None:
    """A part that is not there, or there twice (the same or another), proves nothing."""
    sent = send(name)
    for header in headers_of(sent):
        value = sent.request.header(header)[0]
        missing, doubled = sent.replaced(header, []), sent.replaced(header, [value, value])
        verdict = sent.judge(missing)
        assert isinstance(verdict, Refused)
        assert verdict.code is ErrorCode.SIGNATURE_MISSING
        assert isinstance(sent.judge(doubled), Refused)
        assert isinstance(sent.judge(sent.replaced(header, [b"x", value])), Refused)
    if sent.scheme.headers[0].signature.startswith("query:"):
        query = sent.request.query
        assert isinstance(sent.judge(replace(sent.request, query="a=1")), Refused)
        assert isinstance(sent.judge(replace(sent.request, query=f"{query}&{query}")), Refused)


@pytest.mark.parametrize("name", [name for name in SENDERS if scheme_of(name).headers[0].timestamp])
def test_old_and_future_times_are_refused_where_a_time_is_signed(name: str) -> None:
    """Up to the tolerance either way it holds, a second beyond it is stale."""
    sent, tolerance = send(name), timedelta(minutes=2)

    def judged(now: datetime) -> object:
        verdict = sent.judge(now=now, tolerance=tolerance)
        return verdict.code if isinstance(verdict, Refused) else None

    edge, beyond = tolerance - timedelta(seconds=1), tolerance + timedelta(seconds=2)
    assert judged(NOW + edge) is judged(NOW - edge) is None
    assert judged(NOW + beyond) is judged(NOW - beyond) is ErrorCode.SIGNATURE_STALE


@pytest.mark.parametrize("name", [name for name in SENDERS if scheme_of(name).jwt])
def test_tokens_end_begin_and_name_their_algorithm(name: str) -> None:
    """Expired and not yet valid are stale; `none`, another algorithm, and a doubled dot are invalid."""
    sent = send(name)
    for away in (timedelta(minutes=3), -timedelta(minutes=3)):
        verdict = sent.judge(now=NOW + away)
        assert isinstance(verdict, Refused)
        assert verdict.code is ErrorCode.SIGNATURE_STALE
    header = sent.scheme.headers[0].signature
    token = sent.request.header(header)[0]
    prefix, _, bare = token.rpartition(b" ")
    _, claims, signature = bare.split(b".")
    space = prefix + b" " if prefix else b""
    # {"alg":"none"}, {"alg":"HS512"}, {"alg":"HS256","crit":["x"]}, no object
    for head in (b"eyJhbGciOiJub25lIn0", b"eyJhbGciOiJIUzUxMiJ9", b"eyJhbGciOiJIUzI1NiIsImNyaXQiOlsieCJdfQ", b"W10"):
        for end in (signature, b""):
            assert isinstance(sent.judge(sent.replaced(header, [space + b".".join([head, claims, end])])), Refused)


@pytest.mark.parametrize("name", SENDERS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_junk_is_a_verdict_and_never_an_exception(name: str, data: st.DataObject) -> None:
    """Whatever stands in headers, query and body, verification returns, and refuses."""
    sent = send(name)
    names = [n for group in sent.scheme.headers for n in (group.signature, group.timestamp, group.id) if n]
    plain = sorted(
        {n.split(":")[1] if n.startswith("kv:") else n for n in names if not n.startswith(("json", "query"))}
    )
    values = st.binary(max_size=60) | st.sampled_from([b"v1=", b"t=1,v1=", b"Bearer ", b"a.b.c", b"v1a,AAAA", b"\xff"])
    headers = data.draw(st.lists(st.tuples(st.sampled_from([*plain, "content-type"]), values), max_size=6))
    bodies = st.binary(max_size=80) | st.sampled_from([b"[" * 5000, b'{"signature": {"timestamp": "\\ud800"}}', b"{}"])
    request = SignedRequest(
        tuple((key.encode(), value) for key, value in headers),
        data.draw(bodies),
        "POST",
        "/x",
        ("https://x/y",),
        data.draw(st.text(max_size=30)),
    )
    assert isinstance(Verifier(sent.scheme, sent.secrets, timedelta(1)).verify(request, NOW, b"junk"), Refused)


@pytest.mark.parametrize(
    "address",
    [
        "http://api.paypal.com/v1/notifications/certs/C-1",
        "https://api.paypal.com.evil.example/v1/notifications/certs/C-1",
        "https://evil.example/https://api.paypal.com/v1/notifications/certs/C-1",
        "https://user@evilpaypal.com/v1/notifications/certs/C-1",
        "https://api.paypal.com:8443/v1/notifications/certs/C-1",
        "https://api.paypal.com/v1/notifications/certs/C-1\n",
        "https://api.paypal.com/v1/notifications/certs/../../x",
        "https://169.254.169.254/v1/notifications/certs/C-1",
        "",
    ],
)
def test_a_certificate_from_elsewhere_is_neither_fetched_nor_believed(address: str) -> None:
    """Only the sender's own hosts, over https, at the path where certificates are."""
    sent = send("paypal")
    other = sent.replaced("paypal-cert-url", [address.encode()])
    assert isinstance(sent.judge(other), Refused)
    assert Verifier(sent.scheme, ["x"], WIDE).key_address(other) is None
    assert Verifier(sent.scheme, ["x"], WIDE).key_address(sent.request) is not None


def test_a_certificate_counts_only_while_it_is_valid() -> None:
    """An expired one, and what is none, verify nothing."""
    sent = send("paypal")
    assert isinstance(sent.judge(now=NOW + timedelta(hours=23)), Verified)
    assert isinstance(sent.judge(now=NOW + timedelta(hours=25)), Refused)
    assert isinstance(replace(sent, certificate=b"-----BEGIN CERTIFICATE-----\nAAAA").judge(), Refused)
    assert isinstance(replace(sent, certificate=None).judge(), Refused)


def test_every_preset_knows_what_its_events_are_called() -> None:
    """Type and subject come with each sender that has them; the rest is the three that carry anything."""

    def silent(preset: Preset) -> bool:
        return not (preset.type_header or preset.type_field or preset.subject_field)

    assert {name for name, preset in PRESETS.items() if silent(preset)} == {"bearer", "basic", "cloudevents"}
