"""What every kind of action gives and gets: one attempt, and what came of it."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from holdfast.domain.events import Envelope

MAX_RESULT = 16_384  # bytes of JSON that a delivery keeps of what its action gave back


@dataclass(frozen=True, slots=True)
class Shipment:
    """One attempt's cargo: the event, under which identity it goes out, and the trace it belongs to."""

    delivery: str  # the Idempotency-Key: equal for every attempt
    event: Envelope
    traceparent: str | None
    tracestate: str | None
    chunks: AsyncIterator[bytes] | None = None  # of a body that lies elsewhere
    answer_wanted: bool = False  # the beginning of the target's answer belongs to the receipt
    body: bytes | None = None  # all of a body that lies elsewhere, where it was asked for whole


@dataclass(frozen=True, slots=True)
class Receipt:
    """The target took it: a line for people, and JSON data."""

    summary: str
    result: Any = None


def kept(value: Any) -> Any:
    """Return what is kept of a result: all of it up to MAX_RESULT bytes of JSON, else a note that it was larger."""
    try:
        size = len(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (TypeError, ValueError):
        return {"omitted": f"a {type(value).__name__}, which is no JSON"}
    return value if size <= MAX_RESULT else {"omitted": f"{size} bytes, at most {MAX_RESULT} are kept"}
