"""A schedule as people want to see it: its state, what ran, what was missed, what comes next. Whoever made it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.client import Client, ScheduleActionExecutionStartWorkflow, ScheduleDescription

from holdfast.domain.quantities import format_duration
from holdfast.temporal.missed_ticks import ticking_schedules
from holdfast.temporal.schedule_calls import describe, existing, is_ticking
from holdfast.temporal.schedule_facts import listed_times
from holdfast.temporal.schedules import SHOWN_RUNS, is_ours
from holdfast.temporal.specs import from_temporal


@dataclass(frozen=True, slots=True)
class RecentRun:
    """A tick that ran: when it was due, and its workflow."""

    due: datetime
    workflow_id: str


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """One schedule. The counts are Temporal's, since it was made."""

    name: str
    owned: bool
    paused: bool
    note: str
    timezone: str
    times: str
    overlap: str
    catch_up: str
    runs_left: int | None
    ran: int
    missed: int
    skipped: int
    dropped: int
    recent: tuple[RecentRun, ...]
    next_runs: tuple[datetime, ...]


async def view_schedules(client: Client) -> tuple[ScheduleView, ...]:
    """Return every schedule that starts `ScheduledEvent` on our task queue. Raises Unavailable."""
    found = [await describe(client, name) for name in await ticking_schedules(client, ())]
    return tuple([await _view(one) for one in found if one is not None and is_ticking(one)])


async def view_schedule(client: Client, name: str) -> ScheduleView:
    """Return one schedule. Raises RejectedInput `not_found`; Unavailable."""
    return await _view(await existing(client, name))


async def _view(found: ScheduleDescription) -> ScheduleView:
    times, state, info, policy = (
        from_temporal(found.schedule.spec),
        found.schedule.state,
        found.info,
        found.schedule.policy,
    )
    return ScheduleView(
        name=found.id,
        owned=await is_ours(found),
        paused=state.paused,
        note=state.note or "",
        timezone=times.zone.key,
        times=listed_times(times.specs),
        overlap=policy.overlap.name.lower(),
        catch_up=format_duration(policy.catchup_window or timedelta(days=365)),
        runs_left=state.remaining_actions if state.limited_actions else None,
        ran=info.num_actions,
        missed=info.num_actions_missed_catchup_window,
        skipped=info.num_actions_skipped_overlap,
        dropped=found.raw_description.info.buffer_dropped,
        recent=tuple(
            RecentRun(one.scheduled_at, one.action.workflow_id)
            for one in info.recent_actions
            if isinstance(one.action, ScheduleActionExecutionStartWorkflow)
        ),
        next_runs=tuple(info.next_action_times[:SHOWN_RUNS]),
    )
