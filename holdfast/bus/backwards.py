"""Reading a log from its end: the newest first, in windows that grow, so that a few lines of a long log cost little."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from holdfast.bus.connect import Bus
from holdfast.bus.errors import classify
from holdfast.bus.lookup import Raw, read

READ_WITHIN = timedelta(seconds=10)
WINDOW = 256  # sequences looked through at first, from the end; then twice as many
WIDEST = 8_192  # sequences whose messages are in memory at a time


async def backwards(bus: Bus, stream: str, subject: str, since: datetime) -> AsyncIterator[Raw]:
    """Iterate over the messages of `subject`, the newest first, until one is older than `since`. Raises Unavailable."""
    try:
        state = (await bus.jetstream.stream_info(stream)).state
    except Exception as error:
        raise classify(error) from error
    high, size = state.last_seq + 1, WINDOW
    while high > state.first_seq:
        low = max(high - size, state.first_seq)
        window = [raw async for raw in _window(bus, stream, subject, low, high)]
        for raw in reversed(window):
            if raw.stored_at < since:
                return
            yield raw
        high, size = low, min(size * 2, WIDEST)


async def _window(bus: Bus, stream: str, subject: str, low: int, high: int) -> AsyncIterator[Raw]:
    async for raw in read(bus, stream, subject, after=low - 1, within=READ_WITHIN):
        if raw.sequence >= high:
            return
        yield raw
