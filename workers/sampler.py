"""What nobody counts as it changes: queue depth, open dead letters, the audit log's fill; every ten seconds."""

import asyncio
import logging
from datetime import timedelta

from temporalio.client import Client

from holdfast.bus.connect import Bus
from holdfast.bus.lookup import event_streams
from holdfast.bus.retention import backlog_of, fill_of
from holdfast.bus.streams import AUDIT, dispatcher_of
from holdfast.errors import HoldfastError
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal.case_list import count_open

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=10)


async def sample(bus: Bus, client: Client, metrics: Metrics) -> None:
    """Sample for ever; what cannot be seen keeps its last value."""
    while True:
        try:
            backlogs = [await backlog_of(bus, dispatcher_of(stream)) for stream in await event_streams(bus)]
            metrics.queue_depth(sum(each.pending for each in backlogs), sum(each.ack_pending for each in backlogs))
        except HoldfastError as error:
            log.debug("sample.queue_depth", extra={"code": error.code})
        try:
            metrics.dead_letters_open(await count_open(client))
        except HoldfastError as error:
            log.debug("sample.dead_letters_open", extra={"code": error.code})
        try:
            fill = await fill_of(bus, AUDIT)
            metrics.audit_fill(fill.bytes / fill.max_bytes if fill.max_bytes > 0 else 0.0)
        except HoldfastError as error:
            log.debug("sample.audit_fill", extra={"code": error.code})
        await asyncio.sleep(EVERY.total_seconds())
