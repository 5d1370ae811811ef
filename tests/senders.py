"""Be any sender: a request that its preset verifies, for tests that then spoil it."""

import base64
import functools
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from holdfast.domain import proofs
from holdfast.domain.components import Components
from holdfast.domain.material import render
from holdfast.domain.presets import PRESETS, preset_of
from holdfast.domain.schemes import Ecdsa, Place, Rsa, Scheme, SignedRequest
from holdfast.domain.signatures import Verdict, Verifier
from holdfast.domain.signing_keys import Key, read_key
from holdfast.domain.sources import VerifyConfig

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
URL = "https://example.test/in/x?a=1"
WIDE = timedelta(days=300_000)  # so that what is spoiled is refused for its signature and not for its age
DESCRIBED = {
    "convoy": VerifyConfig(preset="convoy", secrets=("env:X",)),
    "api-key": VerifyConfig(preset="api-key", secrets=("env:X",), header="query:key"),
    "oidc": VerifyConfig(preset="oidc", secrets=("env:X",), algorithms=("RS256",), issuers=("me",), audiences=("you",)),
    "jwt": VerifyConfig(preset="jwt", secrets=("env:X",), issuers=("me",), audiences=("you",), body_claim="sha256"),
    "hmac": VerifyConfig(preset="hmac", secrets=("env:X",), header="X-Sig", algorithm="sha512", prefix="v9="),
    "custom": VerifyConfig(
        preset="custom",
        secrets=("env:X",),
        header="X-Sig",
        algorithm="rsa-sha512",
        encoding="base64",
        signed="{method}{path}?{query}{header:X-More}{body}",
    ),
}
DESCRIBED |= {
    name: VerifyConfig(preset=name, secrets=("env:X",), issuers=("me",), audiences=("you",))
    for name in ("google-pubsub", "eventgrid-entra")
}
CONNECTED = {"mtls", "ip-allow-list"}
"""Presets by which nothing is sent: the connection is the proof."""
SENDERS = sorted({*PRESETS, *DESCRIBED})


@dataclass(frozen=True)
class Sent:
    """A request with what verifies it."""

    scheme: Scheme
    secrets: tuple[str, str]  # the one that signed, and another
    request: SignedRequest
    certificate: bytes | None

    def judge(
        self, request: SignedRequest | None = None, *, now: datetime = NOW, tolerance: timedelta = WIDE
    ) -> Verdict:
        """Verify the request, or another one in its place."""
        return self.judge_with(self.secrets[:1], request, now=now, tolerance=tolerance)

    def judge_with(
        self,
        secrets: tuple[str, ...],
        request: SignedRequest | None = None,
        *,
        now: datetime = NOW,
        tolerance: timedelta = WIDE,
    ) -> Verdict:
        """Verify by other secrets."""
        return _receiver(self.scheme, secrets, tolerance).verify(request or self.request, now, self.certificate)

    @property
    def timed(self) -> bool:
        """Whether the sender signs a time."""
        return self.scheme.headers[0].timestamp is not None

    def replaced(self, name: str, values: list[bytes]) -> SignedRequest:
        """Return the request with other values for a header."""
        kept = tuple((key, value) for key, value in self.request.headers if key.decode() != name)
        return replace(self.request, headers=(*kept, *((name.encode(), value) for value in values)))


@functools.cache
def _receiver(scheme: Scheme, secrets: tuple[str, ...], tolerance: timedelta) -> Verifier:
    return Verifier(scheme, secrets, tolerance)


def scheme_of(name: str) -> Scheme:
    """Return the scheme of a preset, also of those that a configuration describes."""
    return preset_of(DESCRIBED[name]).scheme if name in DESCRIBED else PRESETS[name].scheme


@functools.cache
def send(name: str, filler: str = "x", now: datetime = NOW) -> Sent:
    """Return a request of that sender; `filler` makes it another body, `now` another time."""
    scheme = scheme_of(name)
    secrets = (_secret(scheme, 1), _secret(scheme, 2))
    headers = {"content-type": "application/json", "x-more": "more"}
    headers |= {"content-type": "application/x-www-form-urlencoded"} if name == "twilio" else {}
    headers |= {"paypal-cert-url": "https://api.paypal.com/v1/notifications/certs/C-1"} if name == "paypal" else {}
    request = SignedRequest.of(headers, _body(name, filler, now), "POST", URL)
    if name == "paypal":
        request = _pay(scheme, request, secrets[0], now)
        return Sent(scheme, secrets, request, _certificate(now))
    if Place.of(scheme.headers[0].signature).kind == "header":
        made = Verifier(scheme, secrets, WIDE).sign(request, now, "id-1")
        added = SignedRequest.of(made, b"").headers
        return Sent(scheme, secrets, replace(request, headers=(*request.headers, *added)), None)
    return Sent(scheme, secrets, _sign_inside(scheme, request, secrets[0]), None)


def _body(name: str, filler: str, now: datetime) -> bytes:
    fields: dict[str, object] = {"type": "a.b", "note": filler}
    match name:
        case "twilio":
            return f"CallSid=CA12&From=14158675309&Note={filler.encode().hex()}".encode()
        case "linear":
            fields["webhookTimestamp"] = int(now.timestamp() * 1000)
        case "mailgun":
            fields["signature"] = {"timestamp": str(int(now.timestamp())), "token": "t0ken", "signature": "@"}
        case "msgraph":
            fields["value"] = [{"clientState": "@"}, {"clientState": "@"}]
        case "adyen":
            item = {"pspReference": "79", "eventCode": "AUTHORISATION", "success": "true", "merchantReference": filler}
            fields["notificationItems"] = [
                {"NotificationRequestItem": {**item, "additionalData": {"hmacSignature": "@"}}}
            ]
        case "aws-sns":
            fields = {"Type": "Notification", "MessageId": "m-1", "TopicArn": "arn:t", "Message": filler}
            fields |= {"Timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "Signature": "@"}
            fields["SigningCertURL"] = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a.pem"
        case _:
            pass
    return json.dumps(fields).encode()


def _sign_inside(scheme: Scheme, request: SignedRequest, secret: str) -> SignedRequest:
    """Put the signature where no header is: into the query, or in place of the @ in the body."""
    names = scheme.headers[0]
    if names.signature.startswith("query:"):
        return replace(request, query=f"a=1&{names.signature.removeprefix('query:')}={secret}")
    components = Components(request)
    places = {"timestamp": names.timestamp, "id": names.id}
    found = {part: components.values(Place.of(place))[0] for part, place in places.items() if place is not None}
    material = render(scheme.template(), components, found, url="", secret=b"")
    written = proofs.make(scheme.marks[0], read_key(scheme, secret), material or b"")
    return replace(request, body=request.body.replace(b'"@"', json.dumps(written).encode()))


def _pay(scheme: Scheme, request: SignedRequest, secret: str, now: datetime) -> SignedRequest:
    """Sign as PayPal: by the key of the certificate, with the webhook's id in the material."""
    found = {"timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ").encode(), "id": b"id-1"}
    material = render(scheme.template(), Components(request), found, url="", secret=secret.encode())
    written = proofs.make(scheme.marks[0], Key(private=_rsa(1)), material or b"") or ""
    names = scheme.headers[0]
    added = {names.signature: written, str(names.timestamp): found["timestamp"].decode(), str(names.id): "id-1"}
    return replace(request, headers=(*request.headers, *SignedRequest.of(added, b"").headers))


def _secret(scheme: Scheme, seed: int) -> str:
    match scheme.key_format:
        case "hex":
            return bytes([seed] * 32).hex()
        case "standard-webhooks":
            return "whsec_" + base64.b64encode(bytes([seed] * 24)).decode()
        case "public":
            return _pem(scheme, seed)
        case "jwt" if scheme.jwt is not None and "HS256" not in scheme.jwt.algorithms:
            return _pem(scheme, seed)
        case _:
            return f"s3cret-{seed}"


def _pem(scheme: Scheme, seed: int) -> str:
    method = scheme.marks[0].method
    key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    algorithms = scheme.jwt.algorithms if scheme.jwt is not None else ()
    if isinstance(method, Ecdsa) or "ES256" in algorithms:
        key = ec.derive_private_key(seed + 10**9, ec.SECP256R1())
    elif isinstance(method, Rsa) or algorithms:
        key = _rsa(seed)
    else:
        key = Ed25519PrivateKey.from_private_bytes(bytes([seed] * 32))
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@functools.cache
def _rsa(seed: int) -> rsa.RSAPrivateKey:
    assert seed
    return rsa.generate_private_key(65_537, 2_048)


@functools.cache
def _certificate(now: datetime) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "messageverificationcerts.paypal.com")])
    built = (
        x509.CertificateBuilder(name, name, _rsa(1).public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(_rsa(1), hashes.SHA256())
    )
    return built.public_bytes(Encoding.PEM)
