"""`holdfast schedules`: the schedules of holdfast.yaml against those of Temporal."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from holdfast.cli.clients import open_temporal
from holdfast.cli.options import ConfigOption, DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.clock import rfc3339
from holdfast.settings.file import load_config
from holdfast.settings.runtime import load_settings
from holdfast.temporal import schedules as temporal_schedules
from holdfast.temporal.schedules import Change, PlanEntry

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Plan and apply the schedules of holdfast.yaml.")

PruneOption = Annotated[
    bool, typer.Option("--prune", help="Delete schedules that Holdfast made and the file no longer has.")
]


@app.callback()
def _group() -> None:
    """Plan and apply the schedules of holdfast.yaml.

    Only schedules that Holdfast made are ever touched, and a pause made by hand stays. Look at them, pause or trigger
    them with `temporal schedule …` or in the Temporal UI. `holdfast up` applies them at its start.
    """


@app.command()
def plan(
    prune: PruneOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what `apply` would change, and when each schedule runs next. Changes nothing."""
    _run(temporal_schedules.plan, prune=prune, places=(config, data_dir), as_json=as_json)


@app.command()
def apply(
    prune: PruneOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make Temporal's schedules those of the file."""
    _run(temporal_schedules.apply, prune=prune, places=(config, data_dir), as_json=as_json)


def _run(act: Any, *, prune: bool, places: tuple[Any, Any], as_json: bool) -> None:
    settings = load_settings(*places)
    loaded = load_config(settings.config)

    async def carry_out() -> tuple[PlanEntry, ...]:
        client = await open_temporal(settings)
        done: tuple[PlanEntry, ...] = await act(client, loaded.config.schedules, prune=prune)
        return done

    entries = asyncio.run(carry_out())
    if as_json:
        show_json([_plain(entry) for entry in entries])
    else:
        show_entries(entries)
    if any(entry.change is Change.FOREIGN for entry in entries):
        raise typer.Exit(1)


def show_entries(entries: tuple[PlanEntry, ...]) -> None:
    """Print one line per schedule."""
    if not entries:
        console().print("There are no schedules, neither in the file nor of Holdfast's in Temporal.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("schedule", "change", "next run", ""):
        table.add_column(column, overflow="fold")
    for entry in entries:
        when = "paused" if entry.paused else (_moment(entry.next_runs[0]) if entry.next_runs else "")
        hint = f"{entry.reason}; delete it with --prune" if entry.change is Change.ORPHAN else entry.reason
        table.add_row(escape(entry.name), str(entry.change), when, escape(hint))
    console().print(table)


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")


def _plain(entry: PlanEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "change": str(entry.change),
        "reason": entry.reason,
        "paused": entry.paused,
        "next_runs": [rfc3339(moment) for moment in entry.next_runs],
    }
