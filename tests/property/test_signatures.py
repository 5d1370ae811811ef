from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.presets import BEARER, GITHUB, STANDARD_WEBHOOKS
from holdfast.domain.schemes import HeaderNames, Hmac, Mark, Scheme, SignedRequest
from holdfast.domain.signatures import Refused, Verified, Verifier

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRIVATE = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
GENERIC = Scheme(
    (HeaderNames("x-sig", "x-time", "x-id"),),
    (Mark("v0=", Hmac("sha1"), "base64"),),
    "{id}:{timestamp}:{method}:{path}:{body}",
    timestamp_unit="ms",
)
CASES = ((GITHUB.scheme, "s"), (STANDARD_WEBHOOKS.scheme, WHSEC), (STANDARD_WEBHOOKS.scheme, PRIVATE), (GENERIC, "k"))
NAMES = [
    name.encode()
    for scheme in (GITHUB.scheme, STANDARD_WEBHOOKS.scheme, GENERIC)
    for names in scheme.headers
    for name in (names.signature, names.timestamp, names.id)
    if name is not None
]
TOKENS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


def verifier_of(case: int) -> Verifier:
    """Return a verifier that can also sign."""
    scheme, secret = CASES[case]
    # wide, so that a flipped bit of the timestamp is refused for its signature and not for its age
    return Verifier(scheme, [secret], timedelta(days=100_000))


@given(case=st.integers(0, 3), body=st.binary(max_size=300), message=TOKENS, data=st.data())
def test_what_is_signed_holds_and_one_bit_away_it_does_not(
    case: int, body: bytes, message: str, data: st.DataObject
) -> None:
    """Any single bit of the body, the signature, the timestamp or the id decides."""
    verifier = verifier_of(case)
    headers = SignedRequest.of(verifier.sign(SignedRequest.of({}, body), NOW, message), body).headers
    assert isinstance(verifier.verify(SignedRequest(headers, body), NOW), Verified)
    targets = [("body", body), *((name.decode(), value) for name, value in headers)]
    name, value = data.draw(st.sampled_from([target for target in targets if target[1]]))
    bit = data.draw(st.integers(0, len(value) * 8 - 1))
    flipped = bytes(byte ^ (1 << bit % 8) if index == bit // 8 else byte for index, byte in enumerate(value))
    if name == "body":
        changed = SignedRequest(headers, flipped)
    else:
        pairs = tuple((key, flipped if key.decode() == name else old) for key, old in headers)
        changed = SignedRequest(pairs, body)
    assert isinstance(verifier.verify(changed, NOW), Refused)


@given(
    case=st.integers(0, 3),
    headers=st.lists(
        st.tuples(
            st.sampled_from(NAMES),
            st.binary(max_size=80) | st.sampled_from([b"v1,", b"v1a,", b"sha256=", b"v0=", b"v1a," + b"A" * 88]),
        ),
        max_size=8,
    ),
    body=st.binary(max_size=50),
)
def test_junk_is_a_verdict_and_never_an_exception(case: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Whatever stands in the headers, verification returns, and refuses."""
    assert isinstance(verifier_of(case).verify(SignedRequest(tuple(headers), body), NOW), Refused)


@given(token=TOKENS, other=TOKENS)
def test_a_token_holds_only_as_itself(token: str, other: str) -> None:
    """Bearer: equal texts pass, all others do not."""
    verifier = Verifier(BEARER.scheme, [token], timedelta(0))
    verdict = verifier.verify(SignedRequest.of({"authorization": f"Bearer {other}"}, b""), NOW)
    assert isinstance(verdict, Verified) == (token == other)
