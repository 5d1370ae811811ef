"""A webhook's body as a CloudEvent, in any of the three modes, as its sender would write it.

Flow: wish → **cloudevent** → request → `holdfast send`.
"""

import base64
import json
from datetime import datetime
from typing import Any, Literal

from holdfast.clock import rfc3339

Mode = Literal["binary", "structured", "batch"]
SOURCE = "urn:holdfast:send"

_TYPES = {"structured": "application/cloudevents+json", "batch": "application/cloudevents-batch+json"}


def as_cloudevent(
    mode: Mode, body: bytes, content_type: str, attributes: dict[str, str]
) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the event; in a batch it is alone."""
    if mode == "binary":
        return {"content-type": content_type} | {f"ce-{name}": value for name, value in attributes.items()}, body
    event: dict[str, Any] = {**attributes, "datacontenttype": content_type}
    try:
        event["data"] = json.loads(body)
    except (ValueError, RecursionError):
        event["data_base64"] = base64.b64encode(body).decode()
    document = [event] if mode == "batch" else event
    return {"content-type": _TYPES[mode]}, json.dumps(document).encode()


def attributes_of(event_id: str, event_type: str | None, now: datetime) -> dict[str, str]:
    """Return the attributes that every CloudEvent has, and its time."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCE,
        "type": event_type or "test.event",
        "time": rfc3339(now),
    }
