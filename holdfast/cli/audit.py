"""`holdfast audit list`: who did what over the admin API. Flow: stream AUDIT → **newest first**."""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.markup import escape

from holdfast.bus.audit import AuditFilter, newest_entries
from holdfast.cli.clients import open_bus
from holdfast.cli.options import DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.clock import SystemClock, rfc3339
from holdfast.contracts.audit import AuditEntry
from holdfast.domain.quantities import parse_duration
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import load_settings

app = typer.Typer(add_completion=False, no_args_is_help=True)


def _since(text: str) -> datetime:
    """Read `2h` ago, or a time with its zone."""
    now = SystemClock().now()
    try:
        ago: timedelta = parse_duration(text)
        return now - min(ago, timedelta(days=3_650))
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text}: a duration like 2h or a time like 2026-11-20T08:00:00Z") from error
    if found.tzinfo is None:
        raise typer.BadParameter(f"{text}: name the time zone, like 2026-11-20T08:00:00Z")
    return found


@app.callback()
def _group() -> None:
    """See who did what over the admin API.

    What is done with the holdfast and temporal commands, or in the Temporal UI, is not here: it stands, with who and
    when, in the history of the case (`holdfast dead-letters show`) or in the note of the schedule.
    """


@app.command(name="list")
def list_entries(  # noqa: PLR0913, PLR0917 - one parameter per option
    since: Annotated[
        datetime,
        typer.Option("--since", metavar="TIME", parser=_since, help="How far to look back: 2h, 7d, or a time."),
    ] = "7d",  # type: ignore[assignment] # typer parses defaults too
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Only of the token of this name.")] = None,
    action: Annotated[
        str | None, typer.Option("--action", metavar="NAME", help="Only this, like dead-letter.redrive, or schedule.")
    ] = None,
    target: Annotated[str | None, typer.Option("--target", metavar="ID", help="Only on this.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most this many.")] = 100,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List operations of the admin API, the newest first, each with what came of it.

    `started` means that the worker ended before it could write down how it ended: look at the target. Bodies, reasons
    and tokens are never kept; nothing is ever forgotten (bus.streams.audit).
    """
    wanted = AuditFilter(since=since, by=by, action=action, target=target)
    found = asyncio.run(_find(load_settings(None, data_dir), wanted, limit))
    if as_json:
        show_json([entry.model_dump(mode="json") for entry in found])
        return
    if not found:
        console().print("No operations.")
    for entry in found:
        _print(entry)


async def _find(settings: ProcessSettings, wanted: AuditFilter, limit: int) -> list[AuditEntry]:
    async with open_bus(settings) as bus:
        return await newest_entries(bus, wanted, limit=limit)


def _print(entry: AuditEntry) -> None:
    came = f"{entry.outcome} ({entry.code})" if entry.code else entry.outcome
    details = "".join(f" {name}={value}" for name, value in entry.details.items())
    out = console()
    out.print(escape(f"{rfc3339(entry.at)}  {entry.by}  {entry.action}{details}: {came}"))
    if entry.target:
        out.print(escape(f"  {entry.target}"))
