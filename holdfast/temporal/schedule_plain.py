"""Schedules and plans as JSON data: what `--json` prints and what the admin API answers."""

from typing import Any
from zoneinfo import ZoneInfo

from holdfast.clock import rfc3339
from holdfast.temporal.schedule_views import ScheduleView
from holdfast.temporal.schedules import PlanEntry


def plain_plan(entry: PlanEntry) -> dict[str, Any]:
    """Return one entry for scripts."""
    return {
        "name": entry.name,
        "change": str(entry.change),
        "reason": entry.reason,
        "paused": entry.paused,
        "note": entry.note,
        "timezone": entry.timezone,
        "next_runs": [rfc3339(moment) for moment in entry.next_runs],
        "next_runs_local": [moment.astimezone(ZoneInfo(entry.timezone)).isoformat() for moment in entry.next_runs],
        "differences": [{"field": one.field, "now": one.now, "wanted": one.wanted} for one in entry.differences],
        "daylight_saving": [
            {"local_time": odd.wall.isoformat(), "kind": odd.kind, "runs": [rfc3339(run) for run in odd.runs]}
            for odd in entry.oddities
        ],
    }


def plain_view(view: ScheduleView) -> dict[str, Any]:
    """Return one schedule for scripts."""
    return {
        "name": view.name,
        "owned": view.owned,
        "paused": view.paused,
        "note": view.note,
        "timezone": view.timezone,
        "times": view.times,
        "overlap": view.overlap,
        "catch_up": view.catch_up,
        "runs_left": view.runs_left,
        "counts": {"ran": view.ran, "missed": view.missed, "skipped": view.skipped, "dropped": view.dropped},
        "recent_runs": [{"due": rfc3339(run.due), "workflow_id": run.workflow_id} for run in view.recent],
        "next_runs": [rfc3339(moment) for moment in view.next_runs],
    }
