"""What every kind of action gives and gets: one attempt, and what came of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from holdfast.domain.events import Envelope


@dataclass(frozen=True, slots=True)
class Shipment:
    """One attempt's cargo: the event, under which identity it goes out, and the trace it belongs to."""

    delivery: str  # the Idempotency-Key: equal for every attempt
    event: Envelope
    traceparent: str | None
    tracestate: str | None
    chunks: AsyncIterator[bytes] | None = None  # of a body that lies elsewhere
    answer_wanted: bool = False  # the beginning of the target's answer belongs to the receipt


@dataclass(frozen=True, slots=True)
class Receipt:
    """The target took it: a line for people, and JSON data."""

    summary: str
    result: Any = None
