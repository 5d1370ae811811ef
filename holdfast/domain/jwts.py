"""JSON Web Tokens as signatures: HS256, RS256 and ES256 under an allow-list, with claims that bind body and address.

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
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from holdfast.domain.schemes import JwtRules, SignedRequest
from holdfast.domain.signing_keys import Key

MAX_TOKEN = 8_192  # bytes
_MAX_TIME = 1e12  # Unix seconds

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


def issue(key: Key, rules: JwtRules, request: SignedRequest, now: datetime, identity: str) -> str | None:
    """Make a token that `judge` takes; None where the key is no shared secret."""
    if not key.secret or "HS256" not in rules.algorithms:
        return None
    seconds = int(now.timestamp())
    claims: dict[str, Any] = {"iat": seconds, "nbf": seconds, "exp": seconds + 60, "jti": identity}
    claims |= {"iss": rules.issuers[0]} if rules.issuers else {}
    claims |= {"aud": rules.audiences[0]} if rules.audiences else {}
    if rules.body_claim is not None and request.body:
        claims[rules.body_claim] = hashlib.sha256(request.body).hexdigest()
    if rules.url_claim is not None and request.urls:
        claims[rules.url_claim] = hashlib.sha256(request.urls[0].encode()).hexdigest()
    pieces = [json.dumps(piece, separators=(",", ":")).encode() for piece in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signed = b".".join(_write(piece) for piece in pieces)
    return (signed + b"." + _write(hmac.digest(key.secret, signed, "sha256"))).decode()


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
    for key in keys:  # every one, without an early exit
        found |= _signature_holds(str(algorithm), key, signed, signature)
    return claims if found else None


def _signature_holds(algorithm: str, key: Key, signed: bytes, signature: bytes) -> bool:
    public = key.public
    try:
        if algorithm == "HS256" and key.secret:
            return hmac.compare_digest(hmac.digest(key.secret, signed, "sha256"), signature)
        if algorithm == "RS256" and isinstance(public, RSAPublicKey):
            public.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
            return True
        if algorithm == "ES256" and isinstance(public, EllipticCurvePublicKey) and len(signature) == 64:
            numbers = (int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
            public.verify(encode_dss_signature(*numbers), signed, ECDSA(hashes.SHA256()))
            return True
    except InvalidSignature:
        return False
    return False


def _belongs(claims: Mapping[str, Any], rules: JwtRules) -> bool:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
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
