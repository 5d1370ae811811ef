"""`holdfast sweep`: look now for what fell through, and print it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from holdfast.cli.clients import open_temporal, workflow_link
from holdfast.cli.options import ConfigOption, DataDirOption, JsonOption
from holdfast.cli.output import console, say, show_json
from holdfast.contracts import names
from holdfast.contracts.sweeping import SweepInput, SweepResult
from holdfast.domain.quantities import parse_duration
from holdfast.domain.sweeping import Answer
from holdfast.errors import ErrorCode, RejectedInput, Unavailable
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import load_settings
from holdfast.temporal.housekeeping import result_of, start_now
from holdfast.temporal.stuck_runs import is_polled

app = typer.Typer(add_completion=False)

WITHIN = timedelta(minutes=15)

SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        help="Look back to this time (`2026-11-20T08:00:00Z`) or for this long (`3d`). Default: where the last sweep"
        " left off, at most 6 days.",
        show_default=False,
    ),
]


@app.command()
def sweep(
    since: SinceOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look now for what fell through, and print what was found and done.

    Deliveries that were terminated, timed out or failed without a dead letter get one; cases that were ended while open
    are started again; what is alive and does not move is named. The same runs every few minutes by itself, as the
    Temporal Schedule `holdfast-sweep`: pause it, trigger it and look at it with `temporal schedule`.

    Doing it twice changes nothing. Exit code 1: something asks for somebody.
    """
    settings = load_settings(config, data_dir)
    given = SweepInput(since=None if since is None else moment(since))
    result, workflow_id, namespace = asyncio.run(_run(settings, given))
    if as_json:
        show_json(result)
    else:
        _show(result)
        say(f"in the Temporal UI: {workflow_link(settings, namespace, workflow_id)}")
    if any(finding.answer is not Answer.NONE for finding in result.findings):
        raise typer.Exit(1)


async def _run(settings: ProcessSettings, given: SweepInput) -> tuple[SweepResult, str, str]:
    client = await open_temporal(settings)
    if not await is_polled(client, names.TASK_QUEUE):
        raise Unavailable(
            ErrorCode.NOT_READY,
            f"no Holdfast worker polls task queue {names.TASK_QUEUE!r}: deliveries wait, and nobody can sweep;"
            " start one with `holdfast worker` (or `holdfast up`)",
        )
    workflow_id = f"{names.SWEEP_SCHEDULE}-by-hand-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    await start_now(client, names.SWEEP, given, workflow_id)
    result = await result_of(client, workflow_id, SweepResult, WITHIN)
    return result, workflow_id, client.namespace


def moment(text: str) -> datetime:
    """Read a time, or how long ago it was. Raises RejectedInput `input.invalid`."""
    try:
        return _moment(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise RejectedInput(
            ErrorCode.INPUT_INVALID, f"{text!r} is neither a time like 2026-11-20T08:00:00Z nor a duration like 3d"
        ) from None


def _moment(text: str) -> datetime:
    try:
        ago: timedelta = parse_duration(text)
    except ValueError:
        found = datetime.fromisoformat(text)
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return datetime.now(UTC) - ago


def _show(result: SweepResult) -> None:
    if not result.findings:
        console().print(f"Nothing fell through; {result.examined} looked at.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("found", "answer", "what", "why"):
        table.add_column(column, overflow="fold")
    for one in result.findings:
        what = one.workflow_id or one.event_id or (str(one.sequence) if one.sequence else "")
        table.add_row(str(one.kind), str(one.answer), escape(what), escape(one.detail))
    console().print(table)
    if result.found > len(result.findings):
        say(f"and {result.found - len(result.findings)} more; sweep again once these are seen to")
