"""`ScheduledEvent`: one tick of a schedule becomes one event on the bus; everything after it is the common way.

Flow: Temporal Schedule → **tick** → publish → dispatcher. Schedules made by hand work the same.
"""

from datetime import UTC, datetime

from temporalio import workflow
from temporalio.common import RawValue, SearchAttributeKey
from temporalio.exceptions import ActivityError

from holdfast.contracts import names
from holdfast.contracts.scheduled import PublishTickInput, ScheduledInput, ScheduledResult
from holdfast.ids import NAME
from workflows import calls, policies, records
from workflows.escalate import dead_letter, facts
from workflows.inputs import NOTHING, Unreadable, read_or_default
from workflows.outcomes import activity_failed, is_cancellation

MAX_SOURCE = 256  # characters of an event's source
_SCHEDULE = SearchAttributeKey.for_keyword("TemporalScheduledById")
_NOMINAL = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")  # set by Temporal on what a schedule starts


@workflow.defn(name=names.SCHEDULED_EVENT, failure_exception_types=policies.FAILURE_TYPES)
class ScheduledEvent:
    """One tick."""

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> ScheduledResult:
        """Publish the tick's event. Fails with type `dead_lettered` where it cannot be written."""
        given = read_or_default(ScheduledInput, raw)
        if isinstance(given, Unreadable):
            raise await dead_letter(records.of_unreadable(given, facts()))
        schedule_id = workflow.info().typed_search_attributes.get(_SCHEDULE) or ""
        if not given.schedule:  # made by hand without saying: the schedule's own name is the source
            given = given.model_copy(update={"schedule": schedule_id[:MAX_SOURCE]})
        nameless = not given.schedule
        if nameless or (not NAME.fullmatch(given.schedule) and not calls.patched("any-schedule-name")):
            refused = Unreadable("not a ScheduledInput: schedule: no name, and no schedule started this", "")
            raise await dead_letter(records.of_unreadable(refused, facts()))
        tick = PublishTickInput(
            tick=given, nominal=_nominal(), workflow_id=workflow.info().workflow_id, schedule_id=schedule_id
        )
        try:
            return await calls.publish_tick(tick)
        except ActivityError as error:
            if is_cancellation(error):
                raise
            outcome = activity_failed(error, number=1, at=facts().at).give_up(1)
        raise await dead_letter(records.of_tick(tick, outcome, facts()))


def _nominal() -> datetime:
    """Return when the tick was due, which jitter, catching up and retries do not move."""
    info = workflow.info()
    return (info.typed_search_attributes.get(_NOMINAL) or info.start_time).astimezone(UTC)
