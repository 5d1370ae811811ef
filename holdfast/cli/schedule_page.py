"""What `holdfast schedules` prints: each schedule, its next runs in its own time zone, and what is odd in them."""

from datetime import datetime
from zoneinfo import ZoneInfo

from rich.markup import escape
from rich.table import Table

from holdfast.cli.output import console
from holdfast.domain.occurrences import Oddity
from holdfast.temporal.schedule_views import ScheduleView
from holdfast.temporal.schedules import Change, PlanEntry

_ODD = {
    "skipped": "does not run that day",
    "doubled": "comes twice that day and runs twice",
    "once": "comes twice that day and runs once",
    "shifted": "does not exist that day and runs later",
}


def show_plan(entries: tuple[PlanEntry, ...]) -> None:
    """Print every schedule: what changes, and when it runs next."""
    if not entries:
        console().print("There are no schedules, neither in the file nor of Holdfast's in Temporal.")
        return
    for entry in entries:
        _show_entry(entry)


def _show_entry(entry: PlanEntry) -> None:
    hint = f"{entry.reason}; delete it with --prune" if entry.change is Change.ORPHAN else entry.reason
    state = f", paused{f' ({entry.note})' if entry.note else ''}" if entry.paused else ""
    out = console()
    out.print(f"[bold]{escape(entry.name)}[/bold]: {entry.change}{escape(state)}{escape(f' - {hint}' if hint else '')}")
    for one in entry.differences:
        out.print(escape(f"  {one.field}: {one.now or 'none'} → {one.wanted or 'none'}"))
    if entry.change is not Change.DELETE:
        out.print(escape(f"  next runs ({entry.timezone}{', once it is resumed' if entry.paused else ''}):"))
        for moment in entry.next_runs:
            out.print(escape(f"    {local(moment, entry.timezone)}"))
        if not entry.next_runs:
            out.print("    none")
    for odd in entry.oddities:
        out.print(escape(f"  daylight saving: {told(odd, entry.timezone)}"))


def told(odd: Oddity, timezone: str) -> str:
    """Return an oddity as a sentence: the local time, and what becomes of it."""
    runs = ", ".join(local(run, timezone)[11:] for run in odd.runs)
    return f"{odd.wall:%Y-%m-%d %H:%M:%S} {_ODD[odd.kind]}{f': {runs}' if runs else ''}"


def local(moment: datetime, timezone: str) -> str:
    """Return `2026-11-20 03:00:00 CET (02:00:00Z)`."""
    there = moment.astimezone(ZoneInfo(timezone))
    if timezone == "UTC":
        return f"{there:%Y-%m-%d %H:%M:%S} UTC"
    return f"{there:%Y-%m-%d %H:%M:%S %Z} ({moment:%H:%M:%SZ})"


def show_list(views: tuple[ScheduleView, ...]) -> None:
    """Print one line per schedule of Temporal that ticks."""
    if not views:
        console().print("There are no schedules in Temporal that start ScheduledEvent.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("schedule", "made by", "state", "next run", "ran", "missed", "skipped"):
        table.add_column(column, overflow="fold")
    for view in views:
        upcoming = local(view.next_runs[0], view.timezone) if view.next_runs else ""
        table.add_row(
            escape(view.name),
            "holdfast.yaml" if view.owned else "hand",
            "paused" if view.paused else "ticking",
            escape(upcoming),
            str(view.ran),
            str(view.missed),
            str(view.skipped + view.dropped),
        )
    console().print(table)


def show_view(view: ScheduleView) -> None:
    """Print one schedule whole."""
    out = console()
    paused = f"paused{f': {view.note}' if view.note else ''}" if view.paused else "ticking"
    out.print(f"[bold]{escape(view.name)}[/bold]: {escape(paused)}")
    out.print(f"  made by {'holdfast.yaml' if view.owned else 'hand'}; {escape(view.times)} ({escape(view.timezone)})")
    out.print(f"  overlap {view.overlap}, catch-up window {view.catch_up}")
    if view.runs_left is not None:
        out.print(f"  runs left: {view.runs_left}")
    out.print(
        f"  ran {view.ran}; missed {view.missed} (catch-up window), {view.skipped} (overlap), {view.dropped} (buffer)"
    )
    out.print("  recent runs:" if view.recent else "  no runs yet")
    for run in view.recent:
        out.print(escape(f"    {local(run.due, view.timezone)}  {run.workflow_id}"))
    out.print("  next runs:" if view.next_runs else "  no further runs")
    for moment in view.next_runs:
        out.print(escape(f"    {local(moment, view.timezone)}"))
