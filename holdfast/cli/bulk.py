"""`holdfast bulk`: the operations over many things that run or ran: bulk moves of dead letters, and replays.

Flow: `dead-letters redrive --where …` | `replay` → operation → **list**, **show**, **pause**, **resume**, **cancel**.
"""

from typing import Annotated

import typer
from rich.markup import escape

from holdfast.cli.case_moves import with_client
from holdfast.cli.operation_page import operation_page, survey_page
from holdfast.cli.options import DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.cli.person import ByOption, person
from holdfast.clock import rfc3339
from holdfast.contracts import names
from holdfast.contracts.operations import SteerInput
from holdfast.settings.runtime import load_settings
from holdfast.temporal import operations

app = typer.Typer(add_completion=False, no_args_is_help=True)

NameArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Id of the operation, as `bulk list` shows it.", show_default=False)
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")]


@app.callback()
def _group() -> None:
    """Steer operations over many dead letters or events, which go on whether or not a terminal watches.

    They are started by [bold]holdfast dead-letters redrive|discard|acknowledge --where …[/bold] and
    [bold]holdfast replay[/bold].
    """


@app.command(name="list")
def list_operations(
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=1_000, help="At most this many.")] = 20,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List operations, those under way first."""
    found = with_client(load_settings(None, data_dir), lambda client: operations.list_operations(client, limit=limit))
    if as_json:
        show_json([one.plain() for one in found])
        return
    for one in found:
        console().print(escape(f"{rfc3339(one.began)}  {one.state:<10}  {one.id}"))
    if not found:
        console().print("No operations.")


@app.command()
def show(operation: NameArgument, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show where one is: how many are done, skipped (and why), failed (and which)."""
    last = with_client(load_settings(None, data_dir), lambda client: operations.show(client, operation))
    if as_json:
        show_json(last)
        return
    if last.phase in {"waiting", "dry-run"}:
        console().print(escape(survey_page(last)))
    console().print(escape(operation_page(last)))


@app.command()
def confirm(
    operation: NameArgument, reason: ReasonOption = "", by: ByOption = None, data_dir: DataDirOption = None
) -> None:
    """Go ahead with what was counted."""
    _steer(operation, names.CONFIRM, (reason, by), data_dir)


@app.command()
def pause(
    operation: NameArgument, reason: ReasonOption = "", by: ByOption = None, data_dir: DataDirOption = None
) -> None:
    """Do nothing more until `resume`; what is under way comes to its end, which takes seconds."""
    _steer(operation, names.PAUSE, (reason, by), data_dir)


@app.command()
def resume(
    operation: NameArgument, reason: ReasonOption = "", by: ByOption = None, data_dir: DataDirOption = None
) -> None:
    """Go on."""
    _steer(operation, names.RESUME, (reason, by), data_dir)


@app.command()
def cancel(
    operation: NameArgument, reason: ReasonOption = "", by: ByOption = None, data_dir: DataDirOption = None
) -> None:
    """End it; what was done stays done."""
    _steer(operation, names.CANCEL, (reason, by), data_dir)


def _steer(operation: str, what: str, said: tuple[str, str | None], data_dir: DataDirOption) -> None:
    settings = load_settings(None, data_dir)
    given = SteerInput(by=person(said[1], settings), reason=said[0])
    last = with_client(settings, lambda client: operations.steer(client, operation, what, given))
    console().print(escape(operation_page(last)))
