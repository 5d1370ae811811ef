"""Whatever the vocabulary of a described sender can say is signed, verified, and refused where it is changed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from holdfast.domain.presets import PRESETS, preset_of, verifier_of
from holdfast.domain.schemes import SignedRequest
from holdfast.domain.signatures import Refused, Verified
from holdfast.domain.verification import VerifyConfig
from holdfast.errors import ErrorCode

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FORM = {"content-type": "application/x-www-form-urlencoded"}
URL = "https://example.test/in/x?tenant=acme&b=2"


def described(**fields: Any) -> VerifyConfig:
    """Return a sender of one's own."""
    return VerifyConfig.model_validate({"preset": "custom", "secrets": ["env:X"], "header": "X-Sig", **fields})


@pytest.mark.parametrize("unit", ["s", "ms", "rfc3339", "imf"])
def test_every_unit_of_time_is_read_and_limited(unit: str) -> None:
    """What is signed now holds, and is stale beyond the tolerance, either way."""
    config = described(signed="{timestamp}.{body}", timestamp={"header": "X-At", "unit": unit}, tolerance="1m")
    verifier = verifier_of(config, ["k"])
    request = SignedRequest.of({}, b"{}")
    signed = SignedRequest.of(verifier.sign(request, NOW, "1"), b"{}")
    assert isinstance(verifier.verify(signed, NOW), Verified)
    for away in (timedelta(minutes=2), -timedelta(minutes=2)):
        verdict = verifier.verify(signed, NOW + away)
        assert isinstance(verdict, Refused)
        assert verdict.code is ErrorCode.SIGNATURE_STALE


@pytest.mark.parametrize("encoding", ["hex", "base64", "base64url"])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_fields_of_query_and_form_are_signed_parts(encoding: str, algorithm: str) -> None:
    """A changed, doubled or missing field is refused; one that may be absent may be absent, but not changed."""
    config = described(
        signed="{query:tenant}|{form:a}|{header:X-Other?}|{form:no?}",
        encoding=encoding,
        algorithm=algorithm,
        dangerous_unsigned_body=True,
    )
    verifier = verifier_of(config, ["k"])
    made = verifier.sign(SignedRequest.of(FORM, b"a=1", "POST", URL), NOW, "1")

    def holds(body: bytes = b"a=1", url: str = URL, other: dict[str, str] | None = None) -> bool:
        return isinstance(
            verifier.verify(SignedRequest.of({**FORM, **made, **(other or {})}, body, "POST", url), NOW), Verified
        )

    assert holds()
    assert holds(b"a=1&unsigned=2")
    for body in (b"a=2", b"a=1&a=1", b"", b"a=1&no=1"):
        assert not holds(body)
    assert not holds(url=URL.replace("acme", "acne"))
    assert not holds(other={"x-other": "1"})


def test_fields_without_the_body_are_said_to_be_dangerous() -> None:
    """A template that leaves the body out is refused, unless its author says so; then the body identifies nothing."""
    with pytest.raises(ValidationError, match="dangerous_unsigned_body"):
        described(signed="{form:a}")
    assert not preset_of(described(signed="{form:a}", dangerous_unsigned_body=True)).scheme.covers_body


def test_other_names_and_other_headers_lead_to_the_same_senders() -> None:
    """People know some senders by another name, and Okta lets them choose the header."""
    secrets = ("env:X",)
    assert VerifyConfig.model_validate({"preset": "whatsapp", "secrets": secrets}).preset == "meta"
    okta = preset_of(VerifyConfig(preset="okta", secrets=secrets, header="X-Okta-Key"))
    assert okta.scheme.headers[0].signature == "x-okta-key"
    assert okta.type_field == PRESETS["okta"].type_field


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"preset": "mtls", "header": "X-Cert"}, "mtls needs"),
        ({"preset": "mtls", "header": "kv:X:y", "names": ["a"]}, "plain header"),
        ({"preset": "mtls", "header": "X-Cert", "fingerprints": ["ab"]}, "SHA-256"),
        ({"preset": "ip-allow-list"}, "allow_ips"),
        ({"preset": "ip-allow-list", "allow_ips": ["example.com"]}, "no address or network"),
        ({"preset": "oidc"}, "needs `secrets`"),
        ({"preset": "oidc", "jwks_url": "http://issuer.example/keys"}, "pattern"),
        ({"preset": "oidc", "jwks_url": "https://user@issuer.example/keys"}, "pattern"),
        ({"preset": "oidc", "jwks_url": "https://issuer.example/keys", "secrets": ["env:X"]}, "remove one"),
        ({"preset": "google-pubsub"}, "audiences"),
        ({"preset": "eventgrid-entra", "audiences": ["x"]}, "issuers"),
        ({"preset": "github", "secrets": ["env:X"], "jwks_url": "https://issuer.example/keys"}, "only preset"),
    ],
)
def test_what_would_prove_nothing_does_not_load(fields: dict[str, Any], said: str) -> None:
    """Each mistake has its own words."""
    with pytest.raises(ValidationError, match=said):
        VerifyConfig.model_validate(fields)
