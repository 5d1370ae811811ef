"""`stop_when`: a schedule whose ticks keep failing is paused before the next one, with a note, and somebody is told.

Flow: publish_tick → **stop** → dead letter `schedule.stopped`, then the pause.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.publish import publish_dead_letter
from holdfast.clock import Clock
from holdfast.contracts import names
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.scheduled import PublishTickInput, tick_event_id
from holdfast.domain.deadletters import Stage
from holdfast.domain.expressions import TICKS, Absent, Failed, Found
from holdfast.errors import ErrorCode, PermanentFailure, RejectedInput
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal.connect import TemporalClient
from holdfast.temporal.schedule_calls import describe, stop
from holdfast.temporal.schedule_facts import action_memo
from holdfast.temporal.tick_outcomes import TickOutcomes, tick_outcomes

log = logging.getLogger(__name__)

TIMEOUT = timedelta(seconds=5)
_EVER = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stops:
    """Stops schedules."""

    bus: Bus
    metrics: Metrics
    clock: Clock

    async def stop(self, client: TemporalClient, given: PublishTickInput) -> str:
        """Return why this tick is held back, its schedule paused by then; or nothing where it may go on.

        Raises PermanentFailure `filter.failed` where the expression cannot be worked out; Unavailable.
        """
        expression, event_id = given.tick.stop_when, tick_event_id(given.nominal)
        found = await describe(client, given.schedule_id)
        if found is None or expression is None:
            return ""
        mark = f"stop_when at {event_id}: "
        if found.schedule.state.paused and (found.schedule.state.note or "").startswith(mark):
            return found.schedule.state.note or ""  # the attempt before this one, whose answer was lost
        since = await action_memo(client, found.schedule, names.MEMO_COUNTED_SINCE)
        counted = await tick_outcomes(
            client, given.schedule_id, given.tick.schedule, datetime.fromisoformat(since) if since else _EVER
        )
        if not holds(expression, counted):
            return ""
        note = f"{mark}{expression} ({counted.failed} failed, {counted.succeeded} succeeded)"
        await publish_dead_letter(self.bus, self._record(given, note), timeout=TIMEOUT)
        await stop(client, given.schedule_id, note, self.clock.now())
        self.metrics.dead_lettered("", Stage.SCHEDULE, ErrorCode.SCHEDULE_STOPPED)
        self.metrics.schedule_stopped(given.tick.schedule)
        log.error("schedules.stopped", extra={"schedule": given.tick.schedule, "reason": note})
        return note

    def _record(self, given: PublishTickInput, note: str) -> DeadLetterRecord:
        event_id = tick_event_id(given.nominal)
        return DeadLetterRecord(
            id=ids.tick_id(given.tick.schedule, event_id),
            stage=Stage.SCHEDULE,
            code=ErrorCode.SCHEDULE_STOPPED,
            message=f"the schedule is paused and this tick was held back: {note}",
            at=self.clock.now(),
            source=given.tick.schedule,
            event_id=event_id,
            event_type=given.tick.type,
            tick=given.tick,
            workflow_id=given.workflow_id,
        )


def holds(expression: str, counted: TickOutcomes) -> bool:
    """Whether `expression` is true of the counts. Raises PermanentFailure `filter.failed`."""
    seen = {"failed": counted.failed, "succeeded": counted.succeeded, "failed_in_a_row": counted.failed_in_a_row}
    try:
        found = TICKS.compile(expression).evaluate(TICKS.bind(ticks=seen))
    except RejectedInput as error:
        raise PermanentFailure(ErrorCode.FILTER_FAILED, f"stop_when: {error.message}") from error
    match found:
        case Found(bool(value)):
            return value
        case Found(value):
            reason = f"is {type(value).__name__}, not a bool"
        case Absent(reason) | Failed(reason):
            pass
    raise PermanentFailure(ErrorCode.FILTER_FAILED, f"stop_when: {expression}: {reason}")
