"""What keeps a durable consumer from its messages, and which message waits the longest.

Flow: Sweep → **stranded** → alert.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.bus.connect import Bus
from holdfast.bus.errors import of_reply
from holdfast.bus.lookup import read
from holdfast.bus.requests import Requests
from holdfast.bus.streams import ConsumerPlan
from holdfast.domain.events import decode_envelope
from holdfast.errors import ErrorCode, RejectedInput

CALL = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The oldest message that is not settled. `source` and `event_id` are empty where it is no event."""

    sequence: int
    stored_at: datetime
    source: str
    event_id: str


@dataclass(frozen=True, slots=True)
class ConsumerHealth:
    """How a consumer stands. `settled`: it is done with everything up to this sequence."""

    settled: int
    pending: int
    ack_pending: int
    redelivered: int
    fault: str  # why nothing is handed out; empty where it is
    oldest: Waiting | None


async def health_of(bus: Bus, plan: ConsumerPlan) -> ConsumerHealth:
    """Look at one consumer. Raises Unavailable; RejectedInput `not_found` where it is missing."""
    api = f"$JS.API.CONSUMER.INFO.{plan.stream}.{plan.name}"
    info, refusal = of_reply(await bus.part(Requests).request(api, b"", timeout=CALL))
    if refusal is not None:
        if refusal.code == ErrorCode.BUS_MISCONFIGURED:  # no such consumer or stream
            raise RejectedInput(ErrorCode.NOT_FOUND, f"consumer {plan.name} of {plan.stream}: {refusal.message}")
        raise refusal
    info = info or {}
    settled = int(info["ack_floor"]["stream_seq"])
    pending, ack_pending = int(info["num_pending"]), int(info["num_ack_pending"])
    fault = f"paused until {info['config'].get('pause_until', 'somebody resumes it')}" if info.get("paused") else ""
    oldest = await _oldest(bus, plan, settled) if pending or ack_pending else None
    return ConsumerHealth(settled, pending, ack_pending, int(info.get("num_redelivered", 0)), fault, oldest)


async def _oldest(bus: Bus, plan: ConsumerPlan, settled: int) -> Waiting | None:
    """Return the first message past the ack floor: the floor stops right before what is not settled."""
    raw = await anext(read(bus, plan.stream, ">", after=settled), None)
    if raw is None:
        return None
    try:
        event = decode_envelope(raw.data)
    except RejectedInput:
        return Waiting(raw.sequence, raw.stored_at, "", "")
    return Waiting(raw.sequence, raw.stored_at, event.source, event.id)
