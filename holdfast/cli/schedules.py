"""`holdfast schedules`: the schedules of holdfast.yaml against those of Temporal, and what is done by hand to any."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.markup import escape
from temporalio.client import Client, ScheduleOverlapPolicy

from holdfast.cli.clients import open_temporal
from holdfast.cli.options import ConfigOption, DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.cli.person import ByOption, person
from holdfast.cli.schedule_page import show_list, show_plan, show_view
from holdfast.clock import rfc3339
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.file import load_config
from holdfast.settings.runtime import load_settings
from holdfast.temporal import schedule_calls as calls
from holdfast.temporal import schedules as temporal_schedules
from holdfast.temporal.schedule_plain import plain_plan, plain_view
from holdfast.temporal.schedule_views import view_schedule, view_schedules
from holdfast.temporal.schedules import Change, PlanEntry

T = TypeVar("T")

app = typer.Typer(add_completion=False, no_args_is_help=True)


class Overlap(StrEnum):
    """Temporal's overlap policies."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    BUFFER_ALL = "buffer_all"
    CANCEL_OTHER = "cancel_other"
    TERMINATE_OTHER = "terminate_other"
    ALLOW_ALL = "allow_all"


PruneOption = Annotated[
    bool, typer.Option("--prune", help="Delete schedules that Holdfast made and the file no longer has.")
]
AdoptOption = Annotated[
    bool, typer.Option("--adopt", help="Take over schedules of the same name that somebody else made: made anew.")
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.", show_default=False)]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever looks next.", show_default=False)
]
OverlapOption = Annotated[
    Overlap | None, typer.Option("--overlap", help="What to do when one still runs. Default: as the schedule says.")
]


@app.callback()
def _group() -> None:
    """Plan and apply the schedules of holdfast.yaml, and look after any schedule.

    `plan` and `apply` only ever touch schedules that Holdfast made, and a pause made by hand stays. The other commands
    do what `temporal schedule …` and the Temporal UI do, which work just as well. `holdfast up` applies at its start.
    """


@app.command()
def plan(  # noqa: PLR0913, PLR0917 - one parameter per option
    prune: PruneOption = False,
    adopt: AdoptOption = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask Temporal: only the next runs of what the file says.")
    ] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what `apply` would change, the next ten runs of each, and what daylight saving does. Changes nothing."""
    if offline:
        loaded = load_config(load_settings(config, data_dir).config)
        now = datetime.now(UTC)
        wanted = sorted(loaded.config.schedules.items())
        _told(tuple(temporal_schedules.forecast(name, one, now, left=one.max_runs) for name, one in wanted), as_json)
        return
    _reconcile(temporal_schedules.plan, (config, data_dir), as_json, prune=prune, adopt=adopt)


@app.command()
def apply(
    prune: PruneOption = False,
    adopt: AdoptOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make Temporal's schedules those of the file; a second apply changes nothing."""
    _reconcile(temporal_schedules.apply, (config, data_dir), as_json, prune=prune, adopt=adopt)


@app.command(name="list")
def list_schedules(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List every schedule that publishes events, also those made by hand."""
    views = _ask(data_dir, view_schedules)
    if as_json:
        show_json([plain_view(view) for view in views])
    else:
        show_list(views)


@app.command()
def show(name: NameArgument, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show one schedule: its recent runs with their workflows, the next ones, and what was missed."""
    view = _ask(data_dir, lambda client: view_schedule(client, name))
    if as_json:
        show_json(plain_view(view))
    else:
        show_view(view)


@app.command()
def pause(name: NameArgument, reason: ReasonOption, by: ByOption = None, data_dir: DataDirOption = None) -> None:
    """Pause one; it stays paused, whatever is applied, until somebody resumes it."""
    _ask(data_dir, lambda client: calls.pause(client, name, _note(reason, by, data_dir)))
    console().print(escape(f"{name} is paused."))


@app.command()
def resume(name: NameArgument, reason: ReasonOption, by: ByOption = None, data_dir: DataDirOption = None) -> None:
    """Let one tick again; ticks of the pause are not made up for, see `backfill`."""
    _ask(data_dir, lambda client: calls.resume(client, name, _note(reason, by, data_dir)))
    console().print(escape(f"{name} ticks again."))


@app.command()
def trigger(name: NameArgument, overlap: OverlapOption = None, data_dir: DataDirOption = None) -> None:
    """Tick once, now, also where it is paused; the event's id is this second's time."""
    _ask(data_dir, lambda client: calls.trigger(client, name, _policy(overlap)))
    console().print(escape(f"{name} ticks; see it with: holdfast schedules show {name}"))


@app.command()
def backfill(  # noqa: PLR0913, PLR0917 - one parameter per option
    name: NameArgument,
    start: Annotated[str, typer.Option("--start", metavar="TIME", help="From this time, with time zone.")],
    end: Annotated[str, typer.Option("--end", metavar="TIME", help="To this time, included.")],
    overlap: OverlapOption = Overlap.ALLOW_ALL,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tick for every time of a range; a tick that ran already has the same event id and is not delivered again."""
    policy = _policy(overlap) or ScheduleOverlapPolicy.ALLOW_ALL
    first, last = _moment(start), _moment(end)
    times = _ask(data_dir, lambda client: calls.backfill(client, name, first, last, policy))
    if as_json:
        show_json([rfc3339(moment) for moment in times])
        return
    console().print(escape(f"{name} ticks for {len(times)} time{'' if len(times) == 1 else 's'} of that range."))


def _ask(data_dir: Path | None, question: Callable[[Client], Awaitable[T]]) -> T:
    settings = load_settings(None, data_dir)

    async def ask() -> T:
        return await question(await open_temporal(settings))

    return asyncio.run(ask())


def _reconcile(act: Any, places: tuple[Any, Any], as_json: bool, **options: bool) -> None:
    settings = load_settings(*places)
    loaded = load_config(settings.config)

    async def carry_out() -> tuple[PlanEntry, ...]:
        client = await open_temporal(settings)
        done: tuple[PlanEntry, ...] = await act(client, loaded.config.schedules, **options)
        return done

    _told(asyncio.run(carry_out()), as_json)


def _told(entries: tuple[PlanEntry, ...], as_json: bool) -> None:
    if as_json:
        show_json([plain_plan(entry) for entry in entries])
    else:
        show_plan(entries)
    if any(entry.change is Change.FOREIGN for entry in entries):
        raise typer.Exit(1)


def _note(reason: str, by: str | None, data_dir: Path | None) -> str:
    return f"{reason} ({person(by, load_settings(None, data_dir))})"


def _policy(overlap: Overlap | None) -> ScheduleOverlapPolicy | None:
    return None if overlap is None else ScheduleOverlapPolicy[overlap.name]


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise RejectedInput(ErrorCode.CONFIG_INVALID, f"{text!r} is not a time, like 2026-11-20T03:00:00Z") from error
    if moment.tzinfo is None:
        raise RejectedInput(ErrorCode.CONFIG_INVALID, f"{text!r} needs a time zone, like 2026-11-20T03:00:00Z")
    return moment
