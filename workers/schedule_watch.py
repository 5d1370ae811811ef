"""The watch for missed ticks is running: one workflow per namespace, started by whichever worker comes first.

Flow: gate → **keep_watch** → ScheduleWatch. Looked after for as long as the worker runs, for somebody may end it.
"""

import asyncio
import logging
from datetime import timedelta

from temporalio.client import Client

from holdfast.errors import HoldfastError
from holdfast.temporal.starts import start_watch
from workers.gate import Gate

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=5)
AGAIN = timedelta(seconds=5)


async def keep_watch(client: Client, gate: Gate) -> None:
    """Start the watch where it does not run, for ever."""
    while True:
        await gate.passable()
        wait = EVERY
        try:
            await start_watch(client)
        except HoldfastError as error:
            log.warning("schedules.watch_failed", extra={"code": error.code, "reason": error.message})
            wait = AGAIN
        await asyncio.sleep(wait.total_seconds())
