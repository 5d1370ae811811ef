"""Lets a request pass only when it is proven to come from the sender, on raw bytes, before anything is parsed.

Flow: receive → **authenticate** → normalise → identify → publish.
"""

import hmac

from gateway.beside import beside
from gateway.certificates import Certificates
from gateway.requests import AuthenticRequest, RawRequest
from holdfast.domain.signatures import Refused, Verifier
from holdfast.errors import ErrorCode, RejectedInput

_NOBODYS_KEY = bytes(32)


async def authenticate(raw: RawRequest, verifier: Verifier | None, certificates: Certificates) -> AuthenticRequest:
    """Verify; `None` is a source declared `dangerous_unverified`.

    Raises RejectedInput `signature.…`, and Unavailable `signature.key_unavailable` where the sender signs with a
    certificate that cannot be had now.
    """
    if verifier is None:
        return AuthenticRequest(raw, None)
    address = verifier.key_address(raw.signed)
    certificate = await certificates.get(address) if address is not None else None
    verdict = await beside(len(raw.body), verifier.verify, raw.signed, raw.received_at, certificate)
    if isinstance(verdict, Refused):
        raise RejectedInput(verdict.code, verdict.reason)
    return AuthenticRequest(raw, verdict.id)


def refuse_unknown(raw: RawRequest) -> RejectedInput:
    """Return the error for a path of no source, after the work a wrong signature would have cost."""
    hmac.digest(_NOBODYS_KEY, raw.body, "sha256")
    return RejectedInput(ErrorCode.SOURCE_UNKNOWN, "There is no such source.")
