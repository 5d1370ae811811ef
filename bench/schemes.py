"""The cost of verifying one request, scheme by scheme: pure computation, no server."""

import hmac
import timeit
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from holdfast.domain.presets import PRESETS
from holdfast.domain.schemes import SignedRequest
from holdfast.domain.signatures import Verified, Verifier

ROUNDS = 2_000
BODY = b"a=" + b"x" * 1_022
URL = "https://hooks.example.com/hooks/x"


def verification_costs() -> Iterator[tuple[str, float, float]]:
    """Yield name, seconds to verify, and seconds of a bare HMAC, each for one request."""
    now = datetime.now(UTC)
    bare = timeit.timeit(lambda: hmac.digest(b"secret", BODY, "sha256"), number=ROUNDS) / ROUNDS
    for name, secret in _senders():
        verifier = Verifier(PRESETS[name].scheme, [secret], timedelta(minutes=5))
        plain = {"host": "x", "user-agent": "y", "content-type": "application/x-www-form-urlencoded", "accept": "*/*"}
        signed = verifier.sign(SignedRequest.of(plain, BODY, "POST", URL), now, "id-1")
        yield name, _timed(verifier, SignedRequest.of({**plain, **signed}, BODY, "POST", URL), now), bare


def _timed(verifier: Verifier, request: SignedRequest, now: datetime) -> float:
    verdict = verifier.verify(request, now)
    if not isinstance(verdict, Verified):
        raise RuntimeError(  # noqa: TRY004 - not a type that was handed in
            f"the request does not verify, so its cost says nothing: {verdict}"
        )
    return timeit.timeit(lambda: verifier.verify(request, now), number=ROUNDS) / ROUNDS


def _senders() -> Iterator[tuple[str, str]]:
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    yield from ((name, "secret") for name in ("bearer", "github", "stripe", "slack", "twilio", "hubspot-v3"))
    yield "standard-webhooks", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    yield "messagebird", "secret"
    yield "discord", Ed25519PrivateKey.generate().private_bytes(*form).decode()
    yield "sendgrid", ec.generate_private_key(ec.SECP256R1()).private_bytes(*form).decode()
