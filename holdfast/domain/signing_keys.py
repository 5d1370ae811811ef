"""Secrets as people hold them (`whsec_…`, PEM, hex, plain text) turned into keys, once, when a process starts."""

import base64
import binascii
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, RSAPublicNumbers

from holdfast.domain.schemes import KeyFormat, Scheme
from holdfast.errors import ErrorCode, RejectedInput

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey
PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey

_SEED = 32  # bytes; an Ed25519 private key may come as the seed alone or with the public key behind it
_MIN_RSA = 2_048  # bits
MAX_SET = 100  # keys of one set that was fetched

_FORMS: dict[KeyFormat, str] = {
    "text": "a secret is text",
    "hex": "this sender's secret is written in hex",
    "base64": "this sender's secret is written in base64",
    "standard-webhooks": "a secret of Standard Webhooks is base64, mostly after whsec_, or an Ed25519 key after whpk_"
    " or whsk_",
    "public": "this sender's key is a public key or certificate in PEM, or a public key in base64 or hex"
    " (Ed25519, ECDSA P-256, RSA from 2048 bits)",
    "jwt": "a key for JSON Web Tokens is a shared secret, a public key or certificate in PEM, or a JSON Web Key Set",
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key; which field is set says what it can do. Never shown."""

    secret: bytes = field(default=b"", repr=False)  # HMAC key, or the token itself
    public: PublicKey | None = field(default=None, repr=False)
    private: PrivateKey | None = field(default=None, repr=False)
    kid: str | None = None  # its name in a JSON Web Key Set


def read_key(scheme: Scheme, secret: str | bytes) -> Key:
    """Read one secret. Raises RejectedInput `config.invalid`, without the secret, where it is not of the form."""
    return read_keys(scheme, secret)[0]


def read_keys(scheme: Scheme, secret: str | bytes) -> tuple[Key, ...]:
    """Read one secret, which may be a set of several keys. Raises as `read_key` does."""
    if isinstance(secret, bytes):
        return (Key(secret=secret),)
    if scheme.key_format == "text":
        return (Key(secret=secret.encode()),)
    try:
        return _read(scheme.key_format, secret)
    except (ValueError, KeyError, TypeError, binascii.Error, UnsupportedAlgorithm) as error:
        raise RejectedInput(ErrorCode.CONFIG_INVALID, _FORMS[scheme.key_format]) from error


def read_key_set(raw: bytes) -> tuple[Key, ...]:
    """Read the public keys of a set that was fetched; others in it are left out. Raises ValueError where it is none.

    A shared secret in a published set is no secret, so it is never a key.
    """
    document = json.loads(raw)
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("no JSON Web Key Set")  # noqa: TRY004 - one kind of error for whatever is wrong
    found: list[Key] = []
    for entry in entries[:MAX_SET]:
        try:
            if entry.get("use", "sig") == "sig" and entry["kty"] != "oct":
                found.append(_web_key(entry))
        except (ValueError, KeyError, TypeError, AttributeError, UnsupportedAlgorithm):
            continue
    return tuple(found)


def certificate_key(pem: bytes, now: datetime) -> Key | None:
    """Return the key of a certificate that is valid at `now`; None for anything else."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return None
        return Key(public=_known(certificate.public_key()))
    except (ValueError, UnsupportedAlgorithm):
        return None


def _read(form: KeyFormat, text: str) -> tuple[Key, ...]:
    match form:
        case "hex":
            return (Key(secret=_nonempty(bytes.fromhex(text))),)
        case "base64":
            return (Key(secret=_nonempty(base64.b64decode(text, validate=True))),)
        case "standard-webhooks":
            return (_standard(text),)
        case "jwt" if text.lstrip().startswith("{"):
            document = json.loads(text)
            return tuple(_web_key(entry) for entry in _entries(document))
        case "jwt" if "-----BEGIN" not in text:
            return (Key(secret=text.encode()),)
        case _:
            return (_asymmetric(text.strip()),)


def _entries(document: dict[str, Any]) -> list[dict[str, str]]:
    """Return the keys of a set, or the only one, bare or as Plaid's API wraps it."""
    return document["keys"] if "keys" in document else [document.get("key", document)]


def _standard(secret: str) -> Key:
    kind, mark, rest = secret.partition("_")
    if not mark or kind not in {"whsec", "whpk", "whsk"}:
        kind, rest = "whsec", secret
    raw = _nonempty(base64.b64decode(rest + "=" * (-len(rest) % 4), validate=True))
    if kind == "whpk":
        return Key(public=Ed25519PublicKey.from_public_bytes(raw))
    if kind == "whsk":
        private = Ed25519PrivateKey.from_private_bytes(raw[:_SEED])
        return Key(public=private.public_key(), private=private)
    return Key(secret=raw)


def _asymmetric(text: str) -> Key:
    if "PRIVATE KEY-----" in text:
        private = serialization.load_pem_private_key(text.encode(), None)
        if not isinstance(private, PrivateKey):
            raise ValueError("another kind of key")
        return Key(public=_known(private.public_key()), private=private)
    if text.startswith("-----BEGIN CERTIFICATE"):
        return Key(public=_known(x509.load_pem_x509_certificate(text.encode()).public_key()))
    if text.startswith("-----BEGIN"):
        return Key(public=_known(serialization.load_pem_public_key(text.encode())))
    raw = bytes.fromhex(text) if len(text) == 2 * _SEED else base64.b64decode(text, validate=True)
    if len(raw) == _SEED:
        return Key(public=Ed25519PublicKey.from_public_bytes(raw))
    return Key(public=_known(serialization.load_der_public_key(raw)))


def _known(key: Any) -> PublicKey:
    if isinstance(key, Ed25519PublicKey):
        return key
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    if isinstance(key, RSAPublicKey) and key.key_size >= _MIN_RSA:
        return key
    raise ValueError("another kind of key")


def _web_key(entry: dict[str, str]) -> Key:
    """Read one entry of a JSON Web Key Set (RFC 7517): `oct`, `RSA`, `EC` on P-256 or `OKP` with Ed25519."""
    kid = entry.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise ValueError("a key's name is a text")
    match entry["kty"]:
        case "oct":
            return Key(secret=_nonempty(_base64url(entry["k"])), kid=kid)
        case "RSA":
            numbers = RSAPublicNumbers(_number(entry["e"]), _number(entry["n"]))
            return Key(public=_known(numbers.public_key()), kid=kid)
        case "EC" if entry["crv"] == "P-256":
            point = EllipticCurvePublicNumbers(_number(entry["x"]), _number(entry["y"]), SECP256R1())
            return Key(public=point.public_key(), kid=kid)
        case "OKP" if entry["crv"] == "Ed25519":
            return Key(public=Ed25519PublicKey.from_public_bytes(_base64url(entry["x"])), kid=kid)
        case _:
            raise ValueError("another kind of key")


def _number(text: str) -> int:
    return int.from_bytes(_base64url(text), "big")


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _nonempty(raw: bytes) -> bytes:
    if not raw:
        raise ValueError("empty")
    return raw
