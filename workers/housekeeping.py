"""Holdfast's own schedules are there, and every worker shows what the last custody report said.

Flow: gate → **keep_house** → schedules `holdfast-sweep` and `holdfast-custody`. Looked after while it runs.
"""

import asyncio
import logging
from datetime import timedelta

from temporalio.client import Client

from holdfast.contracts import names
from holdfast.contracts.custody import CustodyReport
from holdfast.domain.sweeping import SweeperConfig
from holdfast.errors import HoldfastError
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal.housekeeping import chores, ensure, last_completed, result_of
from workers.gate import Gate

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=5)
AGAIN = timedelta(seconds=5)
CALL = timedelta(seconds=10)


async def keep_house(client: Client, gate: Gate, metrics: Metrics, config: SweeperConfig) -> None:
    """Make the schedules where they are not, for ever."""
    while True:
        await gate.passable()
        wait = EVERY
        for chore in chores(sweep_every=config.every, custody_every=config.custody_every):
            try:
                change = await ensure(client, chore)
            except HoldfastError as error:
                reason = {"schedule": chore.schedule, "code": error.code, "reason": error.message}
                log.warning("housekeeping.failed", extra=reason)
                wait = AGAIN
                continue
            if change:
                log.info("housekeeping.scheduled", extra={"schedule": chore.schedule, "change": change})
        await show_custody(client, metrics)
        await asyncio.sleep(wait.total_seconds())


async def show_custody(client: Client, metrics: Metrics) -> None:
    """Show the last report's number, whichever worker made it; one that cannot be read keeps the last value."""
    try:
        last = await last_completed(client, names.CUSTODY, scheduled=names.CUSTODY_SCHEDULE)
        if last is None:
            return
        report = await result_of(client, last.workflow_id, CustodyReport, CALL, run_id=last.run_id)
    except HoldfastError as error:
        log.debug("sample.custody", extra={"code": error.code})
        return
    metrics.unaccounted({one.source: one.unaccounted for one in report.sources})
