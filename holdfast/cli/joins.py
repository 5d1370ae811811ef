"""`holdfast joins`: which windows are open, and what each waits for."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from holdfast.cli.clients import open_temporal
from holdfast.cli.options import ConfigOption, DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.clock import rfc3339
from holdfast.contracts.join import JoinView
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import load_settings
from holdfast.temporal.joins import JoinSummary, list_joins, show_join

app = typer.Typer(add_completion=False, no_args_is_help=True)

TriggerOption = Annotated[str | None, typer.Option("--trigger", "-t", metavar="NAME", help="Only of this trigger.")]
AllOption = Annotated[bool, typer.Option("--all", help="Also those that ended.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")]


@app.callback()
def _group() -> None:
    """See the open windows of joins: what has come, what is awaited, and until when."""


@app.command("list")
def list_windows(  # noqa: PLR0913, PLR0917 - one parameter per option
    trigger: TriggerOption = None,
    everything: AllOption = False,
    limit: LimitOption = 100,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the open windows, the newest first."""
    settings = load_settings(config, data_dir)
    found = asyncio.run(_list(settings, trigger, not everything, limit))
    if as_json:
        show_json([asdict(one) for one in found])
        return
    table = Table("trigger", "key", "state", "opened", "closed", box=None, header_style="bold")
    for one in found:
        closed = rfc3339(one.closed_at) if one.closed_at else ""
        table.add_row(escape(one.trigger), escape(one.key), one.state, rfc3339(one.opened_at), closed)
    console().print(table if found else "No window is open." if not everything else "There is no join yet.")


@app.command()
def show(
    trigger: str,
    key: str,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the window of one key, or how its last ones ended."""
    view = asyncio.run(_show(load_settings(config, data_dir), trigger, key))
    if as_json:
        show_json(view.model_dump(mode="json"))
        return
    out = console()
    out.print(f"[bold]{escape(view.trigger)}[/bold] {escape(view.key)}: {view.standing or 'no window is open'}")
    if view.opened_at is not None and view.ends_at is not None:
        out.print(f"  {escape(view.condition)}, open since {rfc3339(view.opened_at)} until {rfc3339(view.ends_at)}")
    for name, event in view.came.items():
        out.print(f"  [green]✓[/green] {name}: {escape(event)}")
    for name in view.awaited:
        out.print(f"  … {name}: awaited")
    for name in view.watched:
        out.print(f"  - {name}: has not come, and would rule it out")
    for one in view.ended:
        what = one.delivery or one.dead_letter
        out.print(f"  {rfc3339(one.closed_at)} {one.outcome} {escape(what)} {escape(one.message)}".rstrip())


async def _list(settings: ProcessSettings, trigger: str | None, only_open: bool, limit: int) -> list[JoinSummary]:
    client = await open_temporal(settings)
    return await list_joins(client, trigger=trigger, only_open=only_open, limit=limit)


async def _show(settings: ProcessSettings, trigger: str, key: str) -> JoinView:
    return await show_join(await open_temporal(settings), trigger, key)
