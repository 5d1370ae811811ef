import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.domain.presets import BEARER, GITHUB, STANDARD_WEBHOOKS, preset_of
from holdfast.domain.schemes import HeaderNames, Mark, Scheme, SignedRequest
from holdfast.domain.signatures import Refused, Verdict, Verified, Verifier
from holdfast.domain.sources import TimestampConfig, VerifyConfig
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput
from tests.conftest import SHARED

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FIVE_MINUTES = timedelta(minutes=5)
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
GITHUB_SECRET = "It's a Secret to Everybody"
GITHUB_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

# https://github.com/standard-webhooks/standard-webhooks, the libraries' own test
STANDARD = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
STANDARD_BODY = b'{"test": 2432232314}'
STANDARD_TIME = datetime.fromtimestamp(1614265330, UTC)


def github(headers: dict[str, str], body: bytes = b"Hello, World!", *secrets: str) -> Verdict:
    """Verify as GitHub."""
    return Verifier(GITHUB.scheme, secrets or [GITHUB_SECRET], FIVE_MINUTES).verify(
        SignedRequest.of(headers, body), NOW
    )


def standard(headers: dict[str, str], now: datetime = STANDARD_TIME, body: bytes = STANDARD_BODY) -> Verdict:
    """Verify as a Standard Webhooks receiver."""
    return Verifier(STANDARD_WEBHOOKS.scheme, [WHSEC], FIVE_MINUTES).verify(SignedRequest.of(headers, body), now)


def code(verdict: Verdict) -> ErrorCode | None:
    """Return the code of a refusal."""
    return verdict.code if isinstance(verdict, Refused) else None


def test_githubs_own_example_holds_and_nothing_near_it() -> None:
    """The published signature verifies; missing, cut, prefixless, sha1 and doubled ones do not."""
    assert github({"X-Hub-Signature-256": GITHUB_SIGNATURE}) == Verified()
    assert github({"X-Hub-Signature-256": GITHUB_SIGNATURE}, b"Hello, World!", "other", GITHUB_SECRET) == Verified()
    assert code(github({})) is ErrorCode.SIGNATURE_MISSING
    for wrong in ("", "sha256=", GITHUB_SIGNATURE[:-1], GITHUB_SIGNATURE[7:], "sha1=" + GITHUB_SIGNATURE[7:], "é"):
        assert code(github({"X-Hub-Signature-256": wrong})) is ErrorCode.SIGNATURE_INVALID
    doubled = SignedRequest((*SignedRequest.of({"x-hub-signature-256": GITHUB_SIGNATURE}, b"").headers,) * 2, b"")
    assert code(Verifier(GITHUB.scheme, ["x"], FIVE_MINUTES).verify(doubled, NOW)) is ErrorCode.SIGNATURE_INVALID


def test_standard_webhooks_sign_id_time_and_body() -> None:
    """The published example verifies under both header names; another id, a missing or stale time do not."""
    assert standard(STANDARD) == Verified("msg_p5jXN8AQM9LWM0D4loKWxJek")
    svix = {name.replace("webhook", "svix"): value for name, value in STANDARD.items()}
    assert standard(svix) == Verified("msg_p5jXN8AQM9LWM0D4loKWxJek")
    several = {**STANDARD, "webhook-signature": f"v1,AAAA v2,zzz {STANDARD['webhook-signature']}"}
    assert standard(several) == Verified("msg_p5jXN8AQM9LWM0D4loKWxJek")
    assert code(standard({**STANDARD, "webhook-id": "msg_other"})) is ErrorCode.SIGNATURE_INVALID
    assert code(standard({k: v for k, v in STANDARD.items() if k != "webhook-id"})) is ErrorCode.SIGNATURE_MISSING
    assert isinstance(standard(STANDARD, STANDARD_TIME + FIVE_MINUTES), Verified)
    for away in (FIVE_MINUTES + timedelta(seconds=1), -FIVE_MINUTES - timedelta(seconds=1)):
        assert code(standard(STANDARD, STANDARD_TIME + away)) is ErrorCode.SIGNATURE_STALE


def test_a_stale_time_is_judged_only_behind_a_signature() -> None:
    """A forger learns nothing about the clock: a wrong signature is invalid, however old its timestamp is."""
    forged = {**STANDARD, "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
    assert code(standard(forged)) is ErrorCode.SIGNATURE_INVALID


def test_too_many_signatures_in_one_header_are_not_tried() -> None:
    """Work before the sender is known is bounded, also when the right signature stands behind a thousand others."""
    many = " ".join([*["v1,AAAA"] * 1000, STANDARD["webhook-signature"]])
    assert code(standard({**STANDARD, "webhook-signature": many})) is ErrorCode.SIGNATURE_INVALID


def test_public_keys_verify_what_private_keys_signed() -> None:
    """v1a: `whsk_` signs, `whpk_` verifies and cannot sign; the two kinds of keys stand side by side."""
    raw = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    seed = raw.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    public = raw.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    private_text, public_text = (
        mark + serialization_text for mark, serialization_text in (("whsk_", _base64(seed)), ("whpk_", _base64(public)))
    )
    request = SignedRequest.of({}, STANDARD_BODY)
    signed = Verifier(STANDARD_WEBHOOKS.scheme, [private_text], FIVE_MINUTES).sign(request, NOW, "msg_1")
    assert signed["webhook-signature"].startswith("v1a,")
    receiver = Verifier(STANDARD_WEBHOOKS.scheme, [WHSEC, public_text], FIVE_MINUTES)
    assert receiver.verify(SignedRequest.of(signed, STANDARD_BODY), NOW) == Verified("msg_1")
    assert isinstance(receiver.verify(SignedRequest.of(signed, b"other"), NOW), Refused)
    with pytest.raises(RejectedInput, match="public key"):
        Verifier(STANDARD_WEBHOOKS.scheme, [public_text], FIVE_MINUTES).sign(request, NOW, "msg_1")


def _base64(raw: bytes) -> str:
    import base64

    return base64.b64encode(raw).decode()


@pytest.mark.parametrize("secret", ["whsec_", "whsec_***", "whpk_AAAA", "not base64 at all!"])
def test_a_secret_of_the_wrong_form_is_refused_without_being_shown(secret: str) -> None:
    """The error says what a secret looks like, and never what this one is."""
    with pytest.raises(RejectedInput) as caught:
        Verifier(STANDARD_WEBHOOKS.scheme, [secret], FIVE_MINUTES)
    assert secret.removeprefix("whsec_") == "" or secret not in str(caught.value)
    assert caught.value.code is ErrorCode.CONFIG_INVALID


def test_bearer_compares_the_token_and_only_the_scheme_has_no_case() -> None:
    """`bearer` in any case, then the exact token."""
    verifier = Verifier(BEARER.scheme, ["old", "T0ken"], FIVE_MINUTES)

    def verdict(value: str) -> Verdict:
        return verifier.verify(SignedRequest.of({"Authorization": value}, b""), NOW)

    assert verdict("Bearer T0ken") == verdict("bearer T0ken") == verdict("BEARER old") == Verified()
    for wrong in ("Bearer t0ken", "Bearer T0ken ", "Basic T0ken", "T0ken", "Bearer ", "Bearer é"):
        assert code(verdict(wrong)) is ErrorCode.SIGNATURE_INVALID


@pytest.mark.parametrize(
    ("unit", "written"), [("s", "1767323045"), ("ms", "1767323045000"), ("rfc3339", "2026-01-02T03:04:05.000Z")]
)
def test_hmac_takes_every_field_of_its_configuration(unit: str, written: str) -> None:
    """Header, algorithm, encoding, prefix, template, time unit and id: what is signed is what is verified."""
    config = VerifyConfig(
        preset="hmac",
        secrets=("env:X",),
        header="X-Sig",
        algorithm="sha512",
        encoding="base64",
        prefix="v9=",
        signed="{method}|{path}|{url}|{id}|{timestamp}|{body}",
        timestamp=TimestampConfig(header="X-Time", unit=unit),
        id_header="X-Id",
    )
    verifier = Verifier(preset_of(config).scheme, ["first", "second"], config.tolerance)
    url = "https://example.test/a/b?c=1"
    headers = verifier.sign(SignedRequest.of({}, b"body", "PUT", url), NOW, "id-7")
    assert headers["x-time"] == written
    assert headers["x-sig"].startswith("v9=")
    assert verifier.verify(SignedRequest.of(headers, b"body", "PUT", url), NOW) == Verified("id-7")
    for other in (
        SignedRequest.of(headers, b"bodY", "PUT", url),
        SignedRequest.of(headers, b"body", "POST", url),
        SignedRequest.of(headers, b"body", "PUT", url + "2"),
        SignedRequest.of({**headers, "x-id": "id-8"}, b"body", "PUT", url),
    ):
        assert code(verifier.verify(other, NOW)) is ErrorCode.SIGNATURE_INVALID


@pytest.mark.parametrize("text", ["", "now", "-5", "1e9", "99999999999999999999", "2026-01-02T03:04:05", "é", "\u0661"])
def test_a_signed_time_that_cannot_be_read_is_invalid(text: str) -> None:
    """Whatever a sender signs as its time, the answer is a verdict."""
    for unit in ("s", "ms", "rfc3339"):
        scheme = Scheme((HeaderNames("x-sig", "x-time"),), (Mark(),), "{timestamp}{body}", timestamp_unit=unit)
        verifier = Verifier(scheme, ["secret"], FIVE_MINUTES)
        import hashlib
        import hmac

        digest = hmac.new(b"secret", text.encode(), hashlib.sha256).hexdigest()
        verdict = verifier.verify(SignedRequest.of({"x-sig": digest, "x-time": text}, b""), NOW)
        assert code(verdict) in {ErrorCode.SIGNATURE_INVALID, ErrorCode.SIGNATURE_STALE}


def test_a_template_names_only_what_can_be_signed() -> None:
    """A misspelt part is an error of the configuration, not a literal that is signed for ever."""
    with pytest.raises(ValueError, match=r"\{bdoy\}"):
        VerifyConfig(preset="hmac", secrets=("env:X",), header="x", signed="{bdoy}{body}")


def _vectors() -> list[dict[str, object]]:
    file = SHARED / "signature_vectors.json"
    if not file.exists():
        return []
    return [v for v in json.loads(file.read_text()) if v["preset"] in {"github", "standard-webhooks", "hmac"}]


def test_the_public_vectors_are_judged_as_published() -> None:
    """Every published vector of these schemes verifies or fails as its source says."""
    vectors = _vectors()
    if not vectors:
        pytest.skip(f"the public signature vectors are not at {SHARED}")
    for vector in vectors:
        verdict = _judge(vector)
        assert isinstance(verdict, Verified) == (vector["expect"] == "ok"), (vector["id"], verdict)


def _judge(vector: dict[str, object]) -> Verdict:
    generic = vector.get("generic", {})
    assert isinstance(generic, dict)
    fields = {"algorithm" if key == "hash" else key: value for key, value in generic.items()}
    tolerance = timedelta(seconds=float(str(vector.get("tolerance", 300))))
    config = VerifyConfig(preset=vector["preset"], secrets=("env:X",), **fields)
    given = vector["secret"] if isinstance(vector["secret"], list) else [vector["secret"]]
    secrets = [bytes.fromhex(secret["hex"]) if isinstance(secret, dict) else str(secret) for secret in given]
    now = datetime.fromtimestamp(float(str(vector["now"])), UTC) if vector["now"] is not None else NOW
    headers = vector["headers"]
    assert isinstance(headers, dict)
    request = SignedRequest.of(headers, str(vector["body"]).encode())
    try:
        return Verifier(preset_of(config).scheme, secrets, tolerance).verify(request, now)
    except HoldfastError as error:
        pytest.fail(f"{vector['id']}: {error}")
