"""Which holdfast.yaml is in force: a worker tells its text to whoever may talk on the bus. It holds no secret.

Flow: `holdfast triggers backtest` → **running_file** → NATS → **Telling** in one of the workers.
"""

import asyncio
import contextlib
import zlib
from collections.abc import Callable
from datetime import timedelta

from nats.aio.client import Client
from nats.aio.msg import Msg

from holdfast.bus.asking import LOOK, QUEUE
from holdfast.bus.connect import Bus
from holdfast.bus.errors import classify
from holdfast.bus.requests import Requests
from holdfast.errors import ErrorCode, HoldfastError, Unavailable

SUBJECT = "holdfast.ask.configuration"
WITHIN = timedelta(seconds=5)
MAX_TEXT = 8_388_608  # bytes; a file is at most 4 MiB


async def running_file(bus: Bus) -> str:
    """Return the text of the file that a worker runs. Raises Unavailable where none answers."""
    try:
        raw = await bus.part(Requests).request(SUBJECT, b"", timeout=WITHIN)
        return zlib.decompressobj().decompress(raw, MAX_TEXT).decode()
    except Unavailable as error:
        raise Unavailable(
            ErrorCode.NOT_READY, "no worker says what it runs; name the file to compare with: --running FILE"
        ) from error
    except (zlib.error, ValueError) as error:
        raise Unavailable(ErrorCode.NOT_READY, "a worker gave an answer that cannot be read") from error


class Telling:
    """The worker's side."""

    def __init__(self, bus: Bus, text: Callable[[], str]) -> None:
        """`text` returns the file in force."""
        self._bus = bus
        self._text = text

    async def run(self) -> None:
        """Tell until cancelled, on whichever connection there is."""
        current: Client | None = None
        while True:
            with contextlib.suppress(HoldfastError):
                client = self._bus.client
                if client is not current:
                    await self._subscribe(client)
                    current = client
            await asyncio.sleep(LOOK.total_seconds())

    async def _subscribe(self, client: Client) -> None:
        try:
            await client.subscribe(SUBJECT, queue=QUEUE, cb=self._asked)
        except Exception as error:
            raise classify(error) from error

    async def _asked(self, message: Msg) -> None:
        with contextlib.suppress(Exception):  # whoever asked finds that nobody answered
            await self._bus.client.publish(message.reply, zlib.compress(self._text().encode()))
