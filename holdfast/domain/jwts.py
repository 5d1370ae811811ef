"""JSON Web Tokens as signatures: HS…, RS…, PS256, ES256 and EdDSA under an allow-list.

Flow: components → **jwts** → signatures. The kind of key decides with the algorithm, so a public key can never be
taken for a shared secret, and `none` is no algorithm.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from holdfast.domain.schemes import JwtRules, SignedRequest
from holdfast.domain.signing_keys import Key

MAX_TOKEN = 8_192  # bytes
_MAX_TIME = 1e12  # Unix seconds

_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}

Fault = Literal["invalid", "stale"]


@dataclass(frozen=True, slots=True)
class Moment:
    """When a token is judged, and how far clocks may differ."""

    now: datetime
    leeway: timedelta


def judge(token: bytes, keys: Iterable[Key], rules: JwtRules, request: SignedRequest, moment: Moment) -> Fault | str:
    """Return what is wrong, or the token's `jti` (empty where it has none) after a space; never raises.

    The space keeps an id from being taken for a fault.
    """
    claims = _proven(token, keys, rules)
    if claims is None or not _belongs(claims, rules) or not _binds(claims, rules, request):
        return "invalid"
    if not _timely(claims, rules, moment):
        return "stale"
    identity = claims.get("jti")
    return f" {identity}" if isinstance(identity, str) and identity.isprintable() else " "


def key_name(token: bytes) -> str | None:
    """Return the name of the key that a token says it is signed with; None where it says none. Proves nothing."""
    header = _object(token.partition(b".")[0]) if len(token) <= MAX_TOKEN else None
    name = header.get("kid") if header is not None else None
    return name if isinstance(name, str) else None


def issue(key: Key, rules: JwtRules, request: SignedRequest, now: datetime, identity: str) -> str | None:
    """Make a token that `judge` takes; None where the key can sign by none of the algorithms."""
    algorithm = next((name for name in rules.algorithms if _signed_by(name, key, b"") is not None), None)
    if algorithm is None:
        return None
    seconds = int(now.timestamp())
    claims: dict[str, Any] = {"iat": seconds, "nbf": seconds, "exp": seconds + 60, "jti": identity}
    claims |= {"iss": rules.issuers[0]} if rules.issuers else {}
    claims |= {"aud": rules.audiences[0]} if rules.audiences else {}
    claims |= dict(rules.claims)
    if rules.body_claim is not None and request.body:
        claims[rules.body_claim] = hashlib.sha256(request.body).hexdigest()
    if rules.url_claim is not None and request.urls:
        claims[rules.url_claim] = hashlib.sha256(request.urls[0].encode()).hexdigest()
    header = {"alg": algorithm, "typ": "JWT", **({"kid": key.kid} if key.kid else {})}
    signed = b".".join(_write(json.dumps(piece, separators=(",", ":")).encode()) for piece in (header, claims))
    return (signed + b"." + _write(_signed_by(algorithm, key, signed) or b"")).decode()


def _signed_by(algorithm: str, key: Key, signed: bytes) -> bytes | None:
    match algorithm, key.private:
        case "HS256", None if key.secret:
            return hmac.digest(key.secret, signed, "sha256")
        case "RS256", RSAPrivateKey() as private:
            return private.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        case "ES256", EllipticCurvePrivateKey() as private:
            numbers = decode_dss_signature(private.sign(signed, ECDSA(hashes.SHA256())))
            return b"".join(number.to_bytes(32, "big") for number in numbers)
        case _:
            return None


def _proven(token: bytes, keys: Iterable[Key], rules: JwtRules) -> Mapping[str, Any] | None:
    signed, dot, written = token.rpartition(b".")
    pieces = signed.split(b".")
    if not dot or len(pieces) != 2 or len(token) > MAX_TOKEN:
        return None
    signature = _read(written)
    header, claims = (_object(piece) for piece in pieces)
    if signature is None or header is None or claims is None or "crit" in header:
        return None
    algorithm = header.get("alg")
    if algorithm not in rules.algorithms:
        return None
    found = False
    name = header.get("kid")
    for key in keys:  # every one, without an early exit
        if name is not None and key.kid is not None and name != key.kid:
            continue
        found |= _signature_holds(str(algorithm), key, signed, signature)
    return claims if found else None


def _signature_holds(algorithm: str, key: Key, signed: bytes, signature: bytes) -> bool:
    public = key.public
    try:
        match algorithm, public:
            case (("HS256" | "HS384" | "HS512"), None) if key.secret:
                return hmac.compare_digest(hmac.digest(key.secret, signed, f"sha{algorithm[2:]}"), signature)
            case (("RS256" | "RS384" | "RS512"), RSAPublicKey()):
                public.verify(signature, signed, padding.PKCS1v15(), _HASHES[algorithm[2:]])
            case "PS256", RSAPublicKey():
                salted = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
                public.verify(signature, signed, salted, hashes.SHA256())
            case "ES256", EllipticCurvePublicKey() if len(signature) == 64:
                numbers = (int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
                public.verify(encode_dss_signature(*numbers), signed, ECDSA(hashes.SHA256()))
            case "EdDSA", Ed25519PublicKey():
                public.verify(signature, signed)
            case _:
                return False
    except InvalidSignature:
        return False
    return True


def _belongs(claims: Mapping[str, Any], rules: JwtRules) -> bool:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if any(claims.get(name) != value for name, value in rules.claims):
        return False
    if any(all(claims.get(name) != value for name in names) for names, value in rules.any_claims):
        return False
    return (not rules.issuers or claims.get("iss") in rules.issuers) and (
        not rules.audiences or any(one in rules.audiences for one in audiences)
    )


def _binds(claims: Mapping[str, Any], rules: JwtRules, request: SignedRequest) -> bool:
    if rules.url_claim is not None:
        hashed = [hashlib.sha256(url.encode()).hexdigest() for url in request.urls]
        if not any(_same(claims.get(rules.url_claim), one) for one in hashed):
            return False
    if rules.body_claim is None or (not request.body and rules.body_claim not in claims):
        return True
    return _same(claims.get(rules.body_claim), hashlib.sha256(request.body).hexdigest())


def _same(claim: Any, expected: str) -> bool:
    return isinstance(claim, str) and hmac.compare_digest(claim.encode("utf-8", "replace"), expected.encode())


def _timely(claims: Mapping[str, Any], rules: JwtRules, moment: Moment) -> bool:
    now, leeway = moment.now.timestamp(), moment.leeway.total_seconds()
    expires, begins = claims.get("exp"), claims.get("nbf", claims.get("iat"))
    if expires is None:
        if rules.lasts:
            return False
    elif not _is_time(expires) or now > expires + leeway:
        return False
    if rules.max_age is not None:
        issued: Any = claims.get("iat")
        if not _is_time(issued) or now - issued > rules.max_age.total_seconds() + leeway:
            return False
    return begins is None or (_is_time(begins) and now >= begins - leeway)


def _is_time(value: Any) -> bool:
    # a whole number of hundreds of digits is JSON, and no float
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MAX_TIME


def _object(piece: bytes) -> Mapping[str, Any] | None:
    raw = _read(piece)
    try:
        value = json.loads(raw) if raw is not None else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _read(piece: bytes) -> bytes | None:
    try:
        raw = base64.b64decode(piece + b"=" * (-len(piece) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if _write(raw) == piece else None


def _write(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
