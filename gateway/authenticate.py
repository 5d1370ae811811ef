"""Lets a request pass only when it is proven to come from the sender, on raw bytes, before anything is parsed.

Flow: receive → **authenticate** → normalise → identify → publish.
"""

import hmac
from dataclasses import dataclass
from functools import partial

from gateway.beside import beside
from gateway.certificates import Certificates
from gateway.key_sets import KeySets
from gateway.requests import AuthenticRequest, RawRequest
from holdfast.domain.signatures import Fetched, Refused, Verifier
from holdfast.domain.signing_keys import Key
from holdfast.errors import ErrorCode, RejectedInput

_NOBODYS_KEY = bytes(32)


@dataclass(frozen=True, slots=True)
class Published:
    """Where senders publish what verifies them."""

    certificates: Certificates
    key_sets: KeySets

    async def fetched(self, verifier: Verifier, raw: RawRequest) -> Fetched:
        """Return what a request needs of it. Raises as `authenticate` does."""
        certificate: bytes | None = None
        keys: tuple[Key, ...] = ()
        source, address = verifier.scheme.key_source, verifier.key_address(raw.signed)
        if source is not None and address is not None:
            certificate = await self.certificates.get(address, source)
        if (wanted := verifier.key_set(raw.signed)) is not None:
            keys = await self.key_sets.get(*wanted)
        return Fetched(certificate, keys)


async def authenticate(raw: RawRequest, verifier: Verifier | None, published: Published) -> AuthenticRequest:
    """Verify; `None` is a source declared `dangerous_unverified`.

    Raises RejectedInput `signature.…` or `client.not_allowed`, and Unavailable `signature.key_unavailable` where the
    sender signs with a certificate or key that cannot be had now.
    """
    if verifier is None:
        return AuthenticRequest(raw, None)
    fetched = await published.fetched(verifier, raw)
    verdict = await beside(len(raw.body), partial(verifier.verify, fetched=fetched), raw.signed, raw.received_at)
    if isinstance(verdict, Refused):
        raise RejectedInput(verdict.code, verdict.reason)
    return AuthenticRequest(raw, verdict.id)


def refuse_unknown(raw: RawRequest) -> RejectedInput:
    """Return the error for a path of no source, after the work a wrong signature would have cost."""
    hmac.digest(_NOBODYS_KEY, raw.body, "sha256")
    return RejectedInput(ErrorCode.SOURCE_UNKNOWN, "There is no such source.")
