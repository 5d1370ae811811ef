"""The log of refused requests: the stream REJECTED, which forgets the oldest; nothing waits for it or needs it.

Flow: a refusal → gateway/rejections.py → **publish**; and: **newest_rejections** → `holdfast rejected list`.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from pydantic import ValidationError

from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.errors import classify
from holdfast.bus.lookup import Raw, read
from holdfast.bus.publish import MESSAGE_ID, Publisher
from holdfast.bus.streams import REJECTED, source_token
from holdfast.contracts.rejections import MAX_RECORD, Rejection

PUBLISH_WITHIN = timedelta(seconds=2)
READ_WITHIN = timedelta(seconds=10)
WINDOW = 256  # sequences looked through at first, from the end; then twice as many


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
    async for raw in _backwards(bus, subject, since):
        try:
            record = Rejection.model_validate_json(raw.data)
        except ValidationError:
            continue
        if (source is None or record.source == source) and (code is None or record.code == code):
            found.append(record)
            if len(found) == limit:
                break
    return found


async def _backwards(bus: Bus, subject: str, since: datetime) -> AsyncIterator[Raw]:
    """Iterate over the messages of `subject` from the newest, in windows that grow, until one is older than `since`."""
    try:
        state = (await bus.jetstream.stream_info(REJECTED)).state
    except Exception as error:
        raise classify(error) from error
    high, size = state.last_seq + 1, WINDOW
    while high > state.first_seq:
        low = max(high - size, state.first_seq)
        window = [raw async for raw in _window(bus, subject, low, high)]
        for raw in reversed(window):
            if raw.stored_at < since:
                return
            yield raw
        high, size = low, size * 2


async def _window(bus: Bus, subject: str, low: int, high: int) -> AsyncIterator[Raw]:
    async for raw in read(bus, REJECTED, subject, after=low - 1, within=READ_WITHIN):
        if raw.sequence >= high:
            return
        yield raw
