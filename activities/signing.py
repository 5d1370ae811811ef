"""Signing what goes out, by Standard Webhooks: the id of the delivery, the time of the attempt, the bytes sent.

The engine is the one that verifies what comes in. With several secrets there is one signature of each, so that a
receiver that knows either believes it. https://github.com/standard-webhooks/standard-webhooks
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from holdfast.domain.presets import STANDARD_WEBHOOKS
from holdfast.domain.schemes import SignedRequest
from holdfast.domain.signatures import Verifier
from holdfast.errors import ErrorCode, RejectedInput, TransientFailure


def signature_headers(secrets: Sequence[str], message_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """Return the three headers. Raises TransientFailure `target.misconfigured` for a secret that is no such key."""
    request, headers, signatures = SignedRequest.of({}, body), {}, []
    for number, secret in enumerate(secrets):
        try:
            made = Verifier(STANDARD_WEBHOOKS.scheme, [secret], timedelta(0)).sign(request, now, message_id)
        except RejectedInput as error:
            # transient, like a secret that is missing: another one mends it
            what = f"sign: secret {number + 1}: {error.message}"
            raise TransientFailure(ErrorCode.TARGET_MISCONFIGURED, what) from None
        signatures.append(made["webhook-signature"])
        headers = made
    return {**headers, "webhook-signature": " ".join(signatures)}
