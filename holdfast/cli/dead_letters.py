"""`holdfast dead-letters`: what failed for good, listed and shown. The moves are in `case_moves`.

Flow: visibility → **list** → **show** → move.
"""

import asyncio
import contextlib
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from temporalio.client import Client

from holdfast.bus.retention import backlog_of
from holdfast.bus.streams import ESCALATOR
from holdfast.cli import case_moves, case_settle
from holdfast.cli.case_moves import IdArgument, on_case, with_client
from holdfast.cli.clients import open_bus
from holdfast.cli.moments import moment_of
from holdfast.cli.options import ConfigOption, DataDirOption, JsonOption
from holdfast.cli.output import console, json_line, show_json
from holdfast.domain.deadletters import CLOSED, CaseState
from holdfast.errors import HoldfastError
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import load_settings
from holdfast.temporal import case_list, cases
from holdfast.temporal.case_list import CaseFilter, CaseSummary, Cursor, Where

app = typer.Typer(add_completion=False, no_args_is_help=True)

for command in (
    case_settle.acknowledge,
    case_moves.assign,
    case_moves.snooze,
    case_moves.comment,
    case_settle.redrive,
    case_settle.discard,
):
    app.command()(command)


@app.callback()
def _group() -> None:
    """Handle what failed for good.

    A dead letter is an event that a trigger could not deliver. Each is a case in Temporal: find out why with `show`,
    mend the target or the configuration, then `redrive`; or `discard` it with a reason. Nothing is lost meanwhile.
    """


@app.command(name="list")
def list_cases(  # noqa: PLR0913, PLR0917 - one parameter per option
    state: Annotated[
        CaseState | None, typer.Option("--state", help="Only this state. Default: all that are still open.")
    ] = None,
    source: Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only of this source.")] = None,
    trigger: Annotated[str | None, typer.Option("--trigger", metavar="NAME", help="Only of this trigger.")] = None,
    error: Annotated[
        str | None, typer.Option("--error", "--code", metavar="CODE", help="Only with this code, like target.refused.")
    ] = None,
    assignee: Annotated[
        str | None, typer.Option("--assignee", metavar="WHO", help="Only what this person has.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Only opened since: 2h, 7d, or a time like 2026-11-20T08:00:00Z."),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="CEL",
            help="Only those for which this holds: case.id, .state, .source, .event_id, .event_type, .trigger, .error,"
            """ .assignee, .opened_at, .age. Example: 'case.error.startsWith("target.") && case.assignee == ""'.""",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that are resolved, discarded, expired.")
    ] = False,
    count: Annotated[bool, typer.Option("--count", help="Only count them, by state.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1_000_000, help="At most this many.")] = 100,
    after: Annotated[
        str | None, typer.Option("--after", metavar="CURSOR", help="Go on where an earlier list ended.")
    ] = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, the newest first: the open ones, or with --all every one that Temporal still knows."""
    wanted = CaseFilter(
        only_open=not everything and (state is None or state not in CLOSED),
        source=source,
        trigger=trigger,
        error=error,
        state=state,
        assignee=assignee,
        since=None if since is None else moment_of("--since", since, datetime.now(UTC)),
    )
    settings, only = load_settings(None, data_dir), None if where is None else Where(where)
    start = None if after is None else Cursor.decode(after)
    if count:
        _count(settings, wanted, only, as_json=as_json)
        return

    async def run(client: Client) -> tuple[int, Cursor | None, int | None]:
        printed, place = await _print_cases(client, wanted, (only, start, limit), as_json=as_json)
        plain = place is not None and only is None
        return printed, place, await case_list.count_cases(client, wanted) if plain else None

    shown, rest, there = with_client(settings, run)
    err = console(stderr=True)
    if shown == 0 and not as_json:
        console().print("No dead letters." if everything else "No dead letters that wait for somebody.")
    elif not as_json:
        err.print(
            f"{shown}{f' of {there}' if there else ''} shown. Why, and what can be done: holdfast dead-letters show ID"
        )
    if rest is not None:
        err.print(f"There may be more: --limit N, or go on with --after {rest.encode()}")
    _say_what_waits(settings)


@app.command()
def show(
    dead_letter: IdArgument, config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Show one dead letter: the event, every attempt, why it failed, who did what, and what can be done."""
    on_case(load_settings(config, data_dir), lambda client: cases.show_case(client, dead_letter), as_json=as_json)


async def _print_cases(
    client: Client, wanted: CaseFilter, which: tuple[Where | None, Cursor | None, int], *, as_json: bool
) -> tuple[int, Cursor | None]:
    """Print each as it comes; return how many, and where to go on if the limit ended it."""
    where, start, limit = which
    shown, out, place = 0, console(), None
    page = limit if where is None else case_list.PAGE
    found = case_list.each_case(client, wanted, where=where, start=start, page=page)
    async with contextlib.aclosing(found):
        async for summary, behind in found:
            if as_json:
                sys.stdout.write(("[\n" if shown == 0 else ",\n") + json_line(summary.plain()))
            else:
                _print_line(out, summary)
            shown += 1
            if shown == limit:
                place = behind
                break
    if as_json:
        sys.stdout.write("[]\n" if shown == 0 else "\n]\n")
    return shown, place


def _print_line(out: Any, case: CaseSummary) -> None:
    opened = case.opened_at.strftime("%Y-%m-%d %H:%M:%SZ")
    what = " ".join(part for part in (case.source, case.event_type) if part)
    who = f"  → {case.assignee}" if case.assignee else ""
    out.print(escape(f"{opened}  {case.state:<12}  {case.error:<20}  {what}{who}".rstrip()))
    out.print(escape(f"  {case.dead_letter_id}"))  # a line of its own: it is copied into the next command


def _count(settings: ProcessSettings, wanted: CaseFilter, where: Where | None, *, as_json: bool) -> None:
    """Count by state; with --where by looking at each, else by Temporal."""

    async def run(client: Client) -> dict[str, int]:
        if where is None:
            return {str(state): n for state, n in (await case_list.count_states(client, wanted)).items() if n}
        counted: dict[str, int] = {}
        async for summary, _ in case_list.each_case(client, wanted, where=where):
            counted[summary.state] = counted.get(summary.state, 0) + 1
        return counted

    counted = with_client(settings, run)
    waiting = _backlog(settings)
    if as_json:
        show_json({"count": sum(counted.values()), "by_state": counted, "without_case": waiting})
        return
    out = console()
    out.print(f"{sum(counted.values())} dead letters")
    for name, number in sorted(counted.items()):
        out.print(f"  {name:<12} {number}")
    _say_what_waits(settings, waiting)


def _backlog(settings: ProcessSettings) -> int | None:
    """How many records have no case yet; None where the bus cannot be asked."""

    async def run() -> int:
        async with open_bus(settings) as bus:
            backlog = await backlog_of(bus, ESCALATOR)
        return backlog.pending + backlog.ack_pending

    try:
        return asyncio.run(run())
    except HoldfastError:
        return None


def _say_what_waits(settings: ProcessSettings, waiting: int | None = -1) -> None:
    """Say on standard error what the list cannot hold: records whose case is not started yet."""
    waiting = _backlog(settings) if waiting == -1 else waiting
    err = console(stderr=True)
    if waiting is None:
        err.print("NATS does not answer: records whose case is not started yet are not counted.")
    elif waiting:
        err.print(f"{waiting} more lie in the stream DEAD_LETTERS and get their case when a worker reads them.")
