"""The notification as JSON for programs (`webhook`, `nats`), and its signature by Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import json
from datetime import datetime

from activities.notifiers.texts import Text
from holdfast.clock import rfc3339
from holdfast.contracts.notifications import Notification
from holdfast.ids import fingerprint


def document(given: Notification, text: Text) -> bytes:
    """Return `{"type", "timestamp", "data"}`; the same bytes for every attempt."""
    data = given.model_dump(mode="json") | {"title": text.title, "text": "\n".join(text.lines), "link": text.link}
    whole = {"type": f"holdfast.escalation.{given.about}", "timestamp": rfc3339(given.at), "data": data}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def message_id(given: Notification) -> str:
    """Return what names this notification, the same for every attempt, without a dot."""
    return "msg_" + fingerprint("notification", given.id)


def signature_headers(secret: str, given: Notification, body: bytes, now: datetime) -> dict[str, str]:
    """Return the three headers of Standard Webhooks. A secret that is not `whsec_` and base64 is taken as it is."""
    key, plain = secret.encode(), secret.removeprefix("whsec_")
    if plain != secret:
        try:
            key = base64.b64decode(plain, validate=True)
        except (binascii.Error, ValueError):
            key = plain.encode()
    seconds = str(int(now.timestamp()))
    signed = b".".join((message_id(given).encode(), seconds.encode(), body))
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": message_id(given), "webhook-timestamp": seconds, "webhook-signature": f"v1,{digest}"}
