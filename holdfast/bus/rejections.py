"""The log of refused requests: the stream REJECTED, which forgets the oldest; nothing waits for it or needs it.

Flow: a refusal → gateway/rejections.py → **publish**; and: **newest_rejections** → `holdfast rejected list`.
"""

from datetime import datetime, timedelta

from pydantic import ValidationError

from holdfast import ids
from holdfast.bus.backwards import backwards
from holdfast.bus.connect import Bus
from holdfast.bus.publish import MESSAGE_ID, Publisher
from holdfast.bus.streams import REJECTED, source_token
from holdfast.contracts.rejections import MAX_RECORD, Rejection

PUBLISH_WITHIN = timedelta(seconds=2)


async def publish_rejection(bus: Bus, record: Rejection) -> None:
    """Keep one record. Raises Unavailable, and RejectedInput for one that is too large."""
    raw = record.model_dump_json(exclude_none=True).encode()
    if len(raw) > MAX_RECORD:
        raw = record.model_copy(update={"header_names": (), "headers": {}}).model_dump_json().encode()
    await bus.part(Publisher).publish(
        f"rejected.{source_token(record.source)}",
        raw,
        {MESSAGE_ID: ids.fingerprint("rejected", ids.sha256_hex(raw))},
        expected=REJECTED,
        timeout=PUBLISH_WITHIN,
    )


async def newest_rejections(
    bus: Bus, *, since: datetime, source: str | None = None, code: str | None = None, limit: int = 100
) -> list[Rejection]:
    """Return at most `limit` records, the newest first. Raises Unavailable."""
    subject = "rejected.*" if source is None else f"rejected.{source_token(source)}"
    found: list[Rejection] = []
    async for raw in backwards(bus, REJECTED, subject, since):
        try:
            record = Rejection.model_validate_json(raw.data)
        except ValidationError:
            continue
        if (source is None or record.source == source) and (code is None or record.code == code):
            found.append(record)
            if len(found) == limit:
                break
    return found
