"""The one engine that checks and makes signatures, for every scheme: pure, offline, on raw bytes.

Flow: receive → **authenticate** → normalise. `holdfast send` signs with the same tables the gateway verifies with.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature

from holdfast.clock import rfc3339
from holdfast.domain.schemes import Ed25519, HeaderNames, Hmac, Mark, Scheme, SignedRequest, Token
from holdfast.domain.signing_keys import Key, read_key
from holdfast.errors import ErrorCode, RejectedInput

MAX_CANDIDATES = 16  # signatures in one header; each costs work before the sender is known
_UNIX = re.compile(rb"[0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class Verified:
    """The request is the sender's. `id` is the signed delivery id, where the scheme has one."""

    id: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The request is not proven; `code` is one of `signature.missing`, `.invalid`, `.stale`."""

    code: ErrorCode
    reason: str


Verdict = Verified | Refused


class Verifier:
    """A scheme with the secrets and the tolerance of one source."""

    __slots__ = ("_keys", "_needs_url", "_template", "_tolerance", "scheme")

    def __init__(self, scheme: Scheme, secrets: Iterable[str | bytes], tolerance: timedelta) -> None:
        self.scheme = scheme
        self._keys = tuple(read_key(scheme, secret) for secret in secrets)
        self._template = scheme.template()
        self._needs_url = "{url}" in scheme.signed
        self._tolerance = tolerance

    def verify(self, request: SignedRequest, now: datetime) -> Verdict:
        """Decide; never raises, whatever the request holds. Freshness is judged only once the signature holds."""
        names = next((names for names in self.scheme.headers if request.header(names.signature)), None)
        if names is None:
            return Refused(ErrorCode.SIGNATURE_MISSING, f"no {self.scheme.headers[0].signature} header")
        found: dict[str, bytes] = {}
        for part, name in (("signature", names.signature), ("timestamp", names.timestamp), ("id", names.id)):
            if name is None:
                continue
            values = request.header(name)
            if not values:
                return Refused(ErrorCode.SIGNATURE_MISSING, f"no {name} header")
            if len(values) > 1:
                return Refused(ErrorCode.SIGNATURE_INVALID, f"more than one {name} header")
            found[part] = values[0]
        if not self._signed(request, found):
            return Refused(ErrorCode.SIGNATURE_INVALID, "no signature matches")
        if "timestamp" in found:
            moment = _moment(found["timestamp"], self.scheme)
            if moment is None:
                return Refused(ErrorCode.SIGNATURE_INVALID, "the signed timestamp cannot be read")
            if abs(now - moment) > self._tolerance:
                return Refused(ErrorCode.SIGNATURE_STALE, "the signed timestamp is too far from now")
        return Verified(found["id"].decode("latin-1") if "id" in found else None)

    def _signed(self, request: SignedRequest, found: dict[str, bytes]) -> bool:
        candidates = self._candidates(found["signature"])
        holds = False
        for url in request.urls if self._needs_url else ("",):
            material = self._material(request, found, url)
            for mark, text in candidates:
                for key in self._keys:  # every one, without an early exit: timing tells nothing about which
                    holds |= _matches(mark, key, material, text)
        return holds

    def _candidates(self, header: bytes) -> list[tuple[Mark, bytes]]:
        separator = self.scheme.separator
        texts = [header] if separator is None else header.split(separator.encode())
        if len(texts) > MAX_CANDIDATES:
            return []
        return [(mark, text[len(mark.prefix) :]) for text in texts for mark in self.scheme.marks if _starts(text, mark)]

    def _material(self, request: SignedRequest, found: dict[str, bytes], url: str) -> bytes:
        pieces: list[bytes] = []
        for literal, part in self._template:
            pieces.append(literal)
            match part:
                case "body":
                    pieces.append(request.body)
                case "timestamp" | "id":
                    pieces.append(found[part])
                case "method":
                    pieces.append(request.method.encode())
                case "path":
                    pieces.append(request.path.encode())
                case "url":
                    pieces.append(url.encode())
                case _:
                    pass
        return b"".join(pieces)

    def sign(self, request: SignedRequest, now: datetime, message_id: str) -> dict[str, str]:
        """Headers that make `request` verifiable, by the first secret. Raises RejectedInput where it cannot sign."""
        names, key = self.scheme.headers[0], self._keys[0]
        found = {"timestamp": _written(now, self.scheme).encode(), "id": message_id.encode()}
        for mark in self.scheme.marks:
            signature = _make(mark, key, self._material(request, found, next(iter(request.urls), "")))
            if signature is not None:
                return _headers(names, found, mark.prefix + signature)
        raise RejectedInput(
            ErrorCode.CONFIG_INVALID, "the first secret is a public key: it can verify, but it cannot sign"
        )


def _headers(names: HeaderNames, found: dict[str, bytes], signature: str) -> dict[str, str]:
    headers = {names.signature: signature}
    if names.timestamp is not None:
        headers[names.timestamp] = found["timestamp"].decode()
    if names.id is not None:
        headers[names.id] = found["id"].decode()
    return headers


def _starts(text: bytes, mark: Mark) -> bool:
    prefix = mark.prefix.encode()
    head = text[: len(prefix)]
    return head.lower() == prefix.lower() if mark.any_case else head == prefix


def _matches(mark: Mark, key: Key, material: bytes, text: bytes) -> bool:
    if isinstance(mark.method, Ed25519):
        return key.public is not None and _ed25519_holds(key, material, text)
    if not key.secret:
        return False
    if isinstance(mark.method, Token):
        # hashed first, so that the comparison does not tell the secret's length
        return hmac.compare_digest(hashlib.sha256(key.secret).digest(), hashlib.sha256(text).digest())
    expected = _keyed(mark, mark.method, key, material)
    # the text is compared, not what it decodes to: a signature has one spelling (hex: or the one in capitals)
    holds = hmac.compare_digest(expected, text)
    return (holds | hmac.compare_digest(expected.upper(), text)) if mark.encoding == "hex" else holds


def _ed25519_holds(key: Key, material: bytes, text: bytes) -> bool:
    try:
        signature = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    if key.public is None or base64.b64encode(signature) != text:
        return False
    try:
        key.public.verify(signature, material)
    except InvalidSignature:
        return False
    return True


def _keyed(mark: Mark, method: Hmac, key: Key, material: bytes) -> bytes:
    digest = hmac.digest(key.secret, material, method.algorithm)
    return binascii.hexlify(digest) if mark.encoding == "hex" else base64.b64encode(digest)


def _make(mark: Mark, key: Key, material: bytes) -> str | None:
    """Return the signature as it is written behind the mark's prefix; None where the key is of another kind."""
    if isinstance(mark.method, Ed25519):
        return base64.b64encode(key.private.sign(material)).decode() if key.private is not None else None
    if not key.secret:
        return None
    if isinstance(mark.method, Token):
        return key.secret.decode()
    return _keyed(mark, mark.method, key, material).decode()


def _moment(text: bytes, scheme: Scheme) -> datetime | None:
    try:
        if scheme.timestamp_unit == "rfc3339":
            moment = datetime.fromisoformat(text.decode("ascii"))
            return moment if moment.tzinfo is not None else None
        if not _UNIX.fullmatch(text):
            return None
        return datetime.fromtimestamp(int(text) / (1_000 if scheme.timestamp_unit == "ms" else 1), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _written(now: datetime, scheme: Scheme) -> str:
    if scheme.timestamp_unit == "rfc3339":
        return rfc3339(now)
    seconds = now.timestamp()
    return str(int(seconds * 1_000) if scheme.timestamp_unit == "ms" else int(seconds))
