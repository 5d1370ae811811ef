"""The methods of signing, one by one: does this text prove that the sender made this material, and its making.

Flow: material → **proofs** → signatures. Secrets are compared in constant time; a signature has one spelling.
"""

import base64
import binascii
import hashlib
import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from holdfast.domain.schemes import Algorithm, Digest, Ecdsa, Ed25519, Hmac, Mark, Rsa, Token
from holdfast.domain.signing_keys import Key


def holds(mark: Mark, key: Key, material: bytes, text: bytes) -> bool:
    """Whether `text` is the signature of `material` by `key`; never raises."""
    if isinstance(mark.method, Ed25519 | Ecdsa | Rsa):
        return key.public is not None and _public_holds(mark, key, material, text)
    if not key.secret:
        return False
    if isinstance(mark.method, Token):
        expected = base64.b64encode(key.secret) if mark.encoding == "base64" else key.secret
        # hashed first, so that the comparison does not tell the secret's length
        return hmac.compare_digest(hashlib.sha256(expected).digest(), hashlib.sha256(text).digest())
    expected = _hashed(mark, mark.method, key, material)
    # the text is compared, not what it decodes to: a signature has one spelling (hex: or the one in capitals)
    same = hmac.compare_digest(expected, text)
    if mark.encoding == "hex":
        return same | hmac.compare_digest(expected.upper(), text)
    return (same | hmac.compare_digest(expected.rstrip(b"="), text)) if mark.encoding == "base64url" else same


def make(mark: Mark, key: Key, material: bytes) -> str | None:
    """Return the signature as it is written behind the mark's prefix; None where the key is of another kind."""
    if isinstance(mark.method, Ed25519 | Ecdsa | Rsa):
        signature = _public_sign(mark, key, material)
        return _encode(mark, signature).decode() if signature is not None else None
    if not key.secret:
        return None
    if isinstance(mark.method, Token):
        return (base64.b64encode(key.secret) if mark.encoding == "base64" else key.secret).decode()
    return _hashed(mark, mark.method, key, material).decode()


def _hashed(mark: Mark, method: Hmac | Digest, key: Key, material: bytes) -> bytes:
    if isinstance(method, Digest):
        return _encode(mark, hashlib.new(method.algorithm, material).digest())
    return _encode(mark, hmac.digest(key.secret, material, method.algorithm))


def _encode(mark: Mark, raw: bytes) -> bytes:
    match mark.encoding:
        case "hex":
            return binascii.hexlify(raw)
        case "base64":
            return base64.b64encode(raw)
        case "base64url":
            return base64.urlsafe_b64encode(raw)


def _decode(mark: Mark, text: bytes) -> bytes | None:
    try:
        raw = _raw(mark, text)
    except (binascii.Error, ValueError):
        return None
    spelling = _encode(mark, raw)
    others = {"hex": spelling.upper(), "base64url": spelling.rstrip(b"=")}
    return raw if text in {spelling, others.get(mark.encoding, spelling)} else None


def _raw(mark: Mark, text: bytes) -> bytes:
    match mark.encoding:
        case "hex":
            return binascii.unhexlify(text)
        case "base64":
            return base64.b64decode(text, validate=True)
        case "base64url":
            return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _public_holds(mark: Mark, key: Key, material: bytes, text: bytes) -> bool:
    signature = _decode(mark, text)
    if signature is None:
        return False
    try:
        match mark.method, key.public:
            case Ed25519(), Ed25519PublicKey() as public:
                public.verify(signature, material)
            case Ecdsa(), EllipticCurvePublicKey() as public:
                public.verify(signature, material, ECDSA(hashes.SHA256()))
            case Rsa(algorithm), RSAPublicKey() as public:
                public.verify(signature, material, padding.PKCS1v15(), _hash(algorithm))
            case _:
                return False
    except (InvalidSignature, ValueError):
        return False
    return True


def _public_sign(mark: Mark, key: Key, material: bytes) -> bytes | None:
    match mark.method, key.private:
        case Ed25519(), Ed25519PrivateKey() as private:
            return private.sign(material)
        case Ecdsa(), EllipticCurvePrivateKey() as private:
            return private.sign(material, ECDSA(hashes.SHA256()))
        case Rsa(algorithm), RSAPrivateKey() as private:
            return private.sign(material, padding.PKCS1v15(), _hash(algorithm))
        case _:
            return None


def _hash(algorithm: Algorithm) -> hashes.HashAlgorithm:
    if algorithm == "sha1":
        return hashes.SHA1()  # noqa: S303 - version 1 of Amazon SNS, which topics still have by default
    return hashes.SHA256() if algorithm == "sha256" else hashes.SHA512()
