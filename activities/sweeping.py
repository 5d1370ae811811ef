"""The activities of a sweep: from when on to look, looking at one part, and telling what was found.

Flow: Sweep → **plan_sweep** → **sweep_part** (runs, running, bus) → **tell_sweep**. Repeating one changes nothing.
"""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from activities.boundary import boundary
from activities.sweep_bus import BusSweep
from activities.sweep_cases import CaseSweep
from activities.sweep_running import RunningSweep
from activities.sweep_runs import RunSweep
from holdfast.bus.connect import Bus
from holdfast.clock import Clock
from holdfast.contracts import names
from holdfast.contracts.sweeping import (
    MOST_NAMED,
    Finding,
    PartResult,
    SweepInput,
    SweepPartInput,
    SweepResult,
    SweepWindow,
)
from holdfast.domain.sweeping import Answer, SweeperConfig
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal.connect import TemporalClient
from holdfast.temporal.housekeeping import last_completed

log = logging.getLogger(__name__)

OVERLAP = timedelta(minutes=10)  # visibility lags; what is looked at twice is answered once
FURTHEST = timedelta(days=6)  # below the shortest retention, 7 d: past it a case may be gone because it was closed


@dataclass(frozen=True, slots=True)
class Sweeps:
    """Looks at Temporal and at the bus, with the worker's own connections."""

    bus: Bus
    metrics: Metrics
    clock: Clock
    config: SweeperConfig

    @activity.defn(name=names.PLAN_SWEEP)
    async def plan_sweep(self, given: SweepInput) -> SweepWindow:
        """Return what to look at: from a little before the last sweep that ended well began. Tried for ever."""
        with boundary(never_give_up=True):
            return await self.plan(activity.client(), given)

    @activity.defn(name=names.SWEEP_PART)
    async def sweep_part(self, given: SweepPartInput) -> PartResult:
        """Look at one part. Tried for ever: what was answered before is recognised."""
        with boundary(never_give_up=True):
            return await self.look(activity.client(), given)

    @activity.defn(name=names.TELL_SWEEP)
    async def tell_sweep(self, given: SweepResult) -> None:
        """Log and count the findings that ask for somebody."""
        for finding in given.findings:
            if finding.answer is Answer.NONE:
                continue
            self.metrics.swept(finding.kind, finding.answer)
            log.warning(
                "sweep.found",
                extra={
                    "kind": finding.kind,
                    "answer": finding.answer,
                    "workflow_id": finding.workflow_id,
                    "source": finding.source,
                    "sequence": finding.sequence,
                    "detail": finding.detail,
                },
            )
        log.info("sweep.done", extra={"examined": given.examined, "found": given.found})

    async def plan(self, client: TemporalClient, given: SweepInput) -> SweepWindow:
        """Return the window. Raises Unavailable."""
        now = self.clock.now()
        furthest = now - FURTHEST
        if given.since is not None:
            return SweepWindow(since=given.since, until=now)
        last = await last_completed(client, names.SWEEP)
        since = furthest if last is None else max(furthest, last.started_at - OVERLAP)
        return SweepWindow(since=since, until=now)

    async def look(self, client: TemporalClient, given: SweepPartInput) -> PartResult:
        """Look at one part, with a sign of life per run. Raises Unavailable."""
        examined, found = 0, 0
        named: list[Finding] = []
        async for finding in self._findings(client, given):
            if activity.in_activity():
                activity.heartbeat()
            examined += 1
            if finding is not None:
                found += 1
                if len(named) < MOST_NAMED:
                    named.append(finding)
        return PartResult(examined=examined, found=found, findings=tuple(named))

    def _findings(self, client: TemporalClient, given: SweepPartInput) -> AsyncIterator[Finding | None]:
        since, config = given.window.since, self.config
        match given.part:
            case "runs":
                return _both(
                    RunSweep(client, self.bus, self.metrics, self.clock).findings(since), CaseSweep(client).findings()
                )
            case "running":
                return RunningSweep(client, self.bus, self.metrics, self.clock, config.deadline).findings()
            case "bus":
                sweep = BusSweep(client, self.bus, self.clock, config.stuck_after, config.deadline)
                return sweep.findings(since)


async def _both(
    first: AsyncIterator[Finding | None], second: AsyncIterator[Finding | None]
) -> AsyncIterator[Finding | None]:
    async for finding in first:
        yield finding
    async for finding in second:
        yield finding
