"""How full a stream is and where time cuts it, and purging up to a sequence: what the janitor needs of the bus."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from holdfast.bus.connect import Bus
from holdfast.bus.errors import of_reply
from holdfast.bus.lookup import read
from holdfast.bus.requests import Requests
from holdfast.bus.streams import ConsumerPlan

CALL = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class StreamFill:
    """State of a stream; sequences from 1, sizes in bytes."""

    messages: int
    bytes: int
    first: int
    last: int
    max_bytes: int
    forgets: bool = False  # its policy removes messages: when they are acknowledged, when it is full, or with time


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a consumer has before it: not handed out yet, and handed out but not settled."""

    pending: int
    ack_pending: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a consumer has come: everything up to `floor` is settled; `idle`: everything that there is."""

    floor: int
    idle: bool

    def past(self, sequence: int) -> bool:
        """Whether everything stored before `sequence` is settled. `sequence` itself must be stored already."""
        return self.idle or self.floor >= sequence - 1


async def progress_of(bus: Bus, plan: ConsumerPlan) -> Progress:
    """Return how far a consumer has come. Raises Unavailable."""
    info = await _call(bus, f"CONSUMER.INFO.{plan.stream}.{plan.name}")
    idle = info["num_pending"] == 0 and info["num_ack_pending"] == 0
    return Progress(int(info["ack_floor"]["stream_seq"]), idle)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a consumer has come, in stream sequences: what was handed out, and up to where all is settled."""

    delivered: int
    settled: int


async def reach_of(bus: Bus, plan: ConsumerPlan) -> Reach:
    """Return how far a consumer has come. Raises Unavailable."""
    info = await _call(bus, f"CONSUMER.INFO.{plan.stream}.{plan.name}")
    return Reach(info["delivered"]["stream_seq"], info["ack_floor"]["stream_seq"])


async def fill_of(bus: Bus, stream: str) -> StreamFill:
    """Return how full a stream is. Raises Unavailable."""
    info = await _call(bus, f"STREAM.INFO.{stream}")
    state, config = info["state"], info["config"]
    forgets = config.get("retention") != "limits" or config.get("discard") == "old" or bool(config.get("max_age"))
    return StreamFill(
        state["messages"], state["bytes"], state["first_seq"], state["last_seq"], config["max_bytes"], forgets
    )


async def backlog_of(bus: Bus, plan: ConsumerPlan) -> Backlog:
    """Return what a consumer has before it. Raises Unavailable."""
    info = await _call(bus, f"CONSUMER.INFO.{plan.stream}.{plan.name}")
    return Backlog(info["num_pending"], info["num_ack_pending"])


async def first_after(bus: Bus, stream: str, moment: datetime, fill: StreamFill) -> int:
    """Return the first sequence stored at or after `moment`, by bisection; `fill.last` + 1 where there is none."""
    low, high = fill.first, fill.last + 1
    while low < high:
        middle = (low + high) // 2
        # a gap at `middle` answers with the next message there is
        found = await anext(read(bus, stream, ">", after=middle - 1), None)
        if found is not None and found.stored_at < moment:
            low = found.sequence + 1
        else:
            high = middle
    return low


async def purge_up_to(bus: Bus, stream: str, keep_from: int) -> int:
    """Remove everything before sequence `keep_from`; return how many messages went. Raises Unavailable."""
    reply = await _call(bus, f"STREAM.PURGE.{stream}", {"seq": keep_from})
    return int(reply.get("purged", 0))


async def purge_subject(bus: Bus, stream: str, subject: str, *, before: int | None = None) -> int:
    """Remove the messages of one subject, those before sequence `before` where given. Raises Unavailable."""
    question: dict[str, Any] = {"filter": subject} | ({} if before is None else {"seq": before})
    reply = await _call(bus, f"STREAM.PURGE.{stream}", question)
    return int(reply.get("purged", 0))


async def subjects_of(bus: Bus, stream: str, pattern: str) -> list[str]:
    """Return the subjects that have messages. Raises Unavailable."""
    found: list[str] = []
    while True:
        info = await _call(bus, f"STREAM.INFO.{stream}", {"subjects_filter": pattern, "offset": len(found)})
        page = list((info["state"].get("subjects") or {}).keys())
        found += page
        if not page or len(found) >= info.get("total", 0):
            return found


async def _call(bus: Bus, api: str, question: dict[str, Any] | None = None) -> dict[str, Any]:
    body = b"" if question is None else json.dumps(question).encode()
    reply, refusal = of_reply(await bus.part(Requests).request(f"$JS.API.{api}", body, timeout=CALL))
    if refusal is not None:
        raise refusal
    return reply or {}
