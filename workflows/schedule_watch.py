"""`ScheduleWatch`: one per namespace, looks at all schedules every half minute and names the ticks that never ran.

What it knows is its state, so neither a restart nor an outage makes it forget where it had got to.
Flow: worker's start → **watch** → watch_schedules → dead letters of stage schedule.
"""

from temporalio import workflow
from temporalio.common import RawValue

from holdfast.contracts import names
from holdfast.contracts.schedule_watch import WatchState
from workflows import calls, policies, records
from workflows.escalate import dead_letter, facts
from workflows.inputs import NOTHING, Unreadable, read_or_default


@workflow.defn(name=names.SCHEDULE_WATCH, failure_exception_types=policies.FAILURE_TYPES)
class ScheduleWatch:
    """The watch."""

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> None:
        """Look until cancelled; goes on as a new run before its history grows long."""
        state = read_or_default(WatchState, raw)
        if isinstance(state, Unreadable):
            raise await dead_letter(records.of_unreadable(state, facts()))
        for _ in range(policies.WATCH_ROUNDS):
            state = await calls.watch_schedules(state)
            await calls.pause(policies.WATCH_SOON if state.again_soon else policies.WATCH_EVERY)
            if workflow.info().is_continue_as_new_suggested():
                break
        calls.go_on(state)
