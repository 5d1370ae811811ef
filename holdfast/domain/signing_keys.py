"""Secrets as people hold them (`whsec_…`, `whpk_…`, plain text) turned into keys, once, when a process starts."""

import base64
import binascii
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from holdfast.domain.schemes import Scheme
from holdfast.errors import ErrorCode, RejectedInput

_SEED = 32  # bytes; an Ed25519 private key may come as the seed alone or with the public key behind it


@dataclass(frozen=True, slots=True)
class Key:
    """One key; which field is set says what it can do. Never shown."""

    secret: bytes = field(default=b"", repr=False)  # HMAC key, or the token itself
    public: Ed25519PublicKey | None = field(default=None, repr=False)
    private: Ed25519PrivateKey | None = field(default=None, repr=False)


def read_key(scheme: Scheme, secret: str | bytes) -> Key:
    """Read one secret. Raises RejectedInput `config.invalid`, without the secret, where it is not of the form."""
    if isinstance(secret, bytes):
        return Key(secret=secret)
    if scheme.key_format == "text":
        return Key(secret=secret.encode())
    try:
        return _standard(secret)
    except (ValueError, binascii.Error) as error:
        raise RejectedInput(
            ErrorCode.CONFIG_INVALID,
            "a secret of Standard Webhooks is base64, mostly after whsec_, or an Ed25519 key after whpk_ or whsk_",
        ) from error


def _standard(secret: str) -> Key:
    kind, mark, rest = secret.partition("_")
    if not mark or kind not in {"whsec", "whpk", "whsk"}:
        kind, rest = "whsec", secret
    raw = base64.b64decode(rest + "=" * (-len(rest) % 4), validate=True)
    if not raw:
        raise ValueError("empty")
    if kind == "whpk":
        return Key(public=Ed25519PublicKey.from_public_bytes(raw))
    if kind == "whsk":
        private = Ed25519PrivateKey.from_private_bytes(raw[:_SEED])
        return Key(public=private.public_key(), private=private)
    return Key(secret=raw)
