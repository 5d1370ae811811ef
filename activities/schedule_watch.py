"""The activity `watch_schedules`: every tick that never ran becomes a dead letter, once; a redrive publishes it late.

Flow: ScheduleWatch → **watch_schedules** → stream DEAD_LETTERS → escalate.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from activities.boundary import boundary
from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.publish import publish_dead_letter
from holdfast.clock import Clock, rfc3339
from holdfast.contracts import names
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.schedule_watch import Watched, WatchState
from holdfast.contracts.scheduled import tick_event_id
from holdfast.domain.deadletters import Stage
from holdfast.errors import ErrorCode
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal.connect import TemporalClient
from holdfast.temporal.missed_ticks import MissedTick, look, ticking_schedules

log = logging.getLogger(__name__)

TIMEOUT = timedelta(seconds=8)
TOLD = {
    ErrorCode.SCHEDULE_MISSED: "Temporal was away when it was due, and for longer than catch_up allows; it never ran",
    ErrorCode.SCHEDULE_SKIPPED: "the tick before was still being published, and the overlap policy gave this one up",
    ErrorCode.SCHEDULE_LOST: "it was due and never ran: Temporal could not start it, or somebody removed its run",
}


@dataclass(frozen=True, slots=True)
class ScheduleWatcher:
    """Looks at every schedule that starts `ScheduledEvent` on our task queue, whoever made it."""

    bus: Bus
    metrics: Metrics
    clock: Clock

    @activity.defn(name=names.WATCH_SCHEDULES)
    async def watch_schedules(self, given: WatchState) -> WatchState:
        """Look once, and return what is known now; what was missed is on the bus by then. Tried for ever."""
        with boundary(never_give_up=True):
            return await self.watch(activity.client(), given)

    async def watch(self, client: TemporalClient, given: WatchState) -> WatchState:
        """Look once. Raises Unavailable."""
        now = self.clock.now()
        since = given.since or now
        seen: dict[str, Watched] = {}
        again_soon = False
        for name in await ticking_schedules(client, given.schedules):
            before = given.schedules.get(name)
            try:
                found = await look(client, name, before, now=now, since=since)
            except (KeyError, ValueError, OverflowError) as error:  # one that cannot be understood hides no other
                log.exception("schedules.unwatchable", extra={"schedule": name, "reason": type(error).__name__})
                if before is not None:
                    seen[name] = before
                continue
            if found is None:
                continue
            await self._name(found.missed)
            if found.unclear:
                after = rfc3339(before.until) if before else ""
                until = rfc3339(found.watched.until)
                log.error(
                    "schedules.miscounted",
                    extra={"schedule": name, "count": found.unclear, "after": after, "until": until},
                )
            seen[name] = found.watched
            again_soon = again_soon or found.again_soon
        return WatchState(since=since, schedules=seen, again_soon=again_soon)

    async def _name(self, missed: Sequence[MissedTick]) -> None:
        async def one(tick: MissedTick) -> None:
            record = self._record(tick)
            stored = await publish_dead_letter(self.bus, record, timeout=TIMEOUT)
            if stored.duplicate:
                return
            self.metrics.dead_lettered("", Stage.SCHEDULE, tick.code)
            self.metrics.tick_missed(record.source, tick.code.removeprefix("schedule."))
            log.error(
                "schedules.tick_missed", extra={"schedule": record.source, "tick": record.event_id, "code": tick.code}
            )

        await asyncio.gather(*(one(tick) for tick in missed))

    def _record(self, missed: MissedTick) -> DeadLetterRecord:
        event_id = tick_event_id(missed.due)
        return DeadLetterRecord(
            id=ids.tick_id(missed.tick.schedule, event_id),
            stage=Stage.SCHEDULE,
            code=missed.code,
            message=f"the tick of {rfc3339(missed.due)} was not published: {TOLD[missed.code]}",
            at=self.clock.now(),
            source=missed.tick.schedule,
            event_id=event_id,
            event_type=missed.tick.type,
            tick=missed.tick,
            workflow_id=missed.workflow_id,
        )
