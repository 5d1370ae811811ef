"""`holdfast rejected list`: why requests were refused. Flow: stream REJECTED → **newest first**."""

import asyncio
from datetime import timedelta
from typing import Annotated

import typer
from rich.markup import escape

from holdfast.bus.rejections import newest_rejections
from holdfast.cli.clients import open_bus
from holdfast.cli.options import DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.clock import SystemClock, rfc3339
from holdfast.contracts.rejections import Rejection
from holdfast.domain.quantities import parse_duration
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import load_settings

app = typer.Typer(add_completion=False, no_args_is_help=True)


def _duration(text: str) -> timedelta:
    try:
        found: timedelta = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return min(found, timedelta(days=3_650))


@app.callback()
def _group() -> None:
    """See why requests were refused: bad signatures, wrong paths, bodies that are too large."""


@app.command(name="list")
def list_rejected(  # noqa: PLR0913, PLR0917 - one parameter per option
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="NAME", help="Only of this source; _unknown: of paths of no source."),
    ] = None,
    since: Annotated[
        timedelta,
        typer.Option("--since", metavar="DURATION", parser=_duration, help="How far to look back, like 15m, 1h, 7d."),
    ] = "24h",  # type: ignore[assignment] # typer parses defaults too
    code: Annotated[
        str | None, typer.Option("--code", metavar="CODE", help="Only with this code, like signature.invalid.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most this many.")] = 100,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List refused requests, the newest first, each with the reason, which is more exact than what the sender is told.

    Neither bodies nor signatures nor other secrets are kept: of headers their names and a few harmless values, of the
    body its size and hash. The newest 1,000 of each source are kept for seven days (bus.streams.rejected); a flood is
    only counted.
    """
    found = asyncio.run(_find(load_settings(None, data_dir), since, source, code, limit))
    if as_json:
        show_json([record.model_dump(mode="json", exclude_none=True) for record in found])
        return
    if not found:
        console().print("No refused requests.")
    for record in found:
        _print(record)


async def _find(
    settings: ProcessSettings, since: timedelta, source: str | None, code: str | None, limit: int
) -> list[Rejection]:
    async with open_bus(settings) as bus:
        return await newest_rejections(bus, since=SystemClock().now() - since, source=source, code=code, limit=limit)


def _print(record: Rejection) -> None:
    out = console()
    head = f"{rfc3339(record.at)}  {record.source}  {record.status} {record.code}"
    out.print(f"[bold]{escape(head)}[/bold]: {escape(record.reason)}")
    size = f", {record.size} bytes" if record.size is not None else ""
    agent = record.headers.get("user-agent")
    out.print(escape(f"    {record.method} {record.path} from {record.peer or 'unknown'}{size}{_by(agent)}"))
    if record.header_names:
        out.print(escape(f"    headers: {', '.join(record.header_names)}"))
    if record.not_kept:
        out.print(escape(f"    and {record.not_kept} more of this source before it, which were not kept"))


def _by(agent: str | None) -> str:
    return f", {agent}" if agent else ""
