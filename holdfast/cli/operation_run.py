"""An operation over many things in the terminal: started, counted, confirmed, followed with a bar.

Flow: `dead-letters redrive --where …` | `replay` → **run_operation** → start → survey → confirm → follow.
"""

import asyncio
import sys
from dataclasses import dataclass

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from temporalio.client import Client

from holdfast.cli.case_moves import with_client
from holdfast.cli.operation_page import operation_page, survey_page
from holdfast.cli.output import console, say, show_json
from holdfast.contracts import names
from holdfast.contracts import operations as contract
from holdfast.contracts.operations import OperationInput, SteerInput
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput, Unavailable
from holdfast.settings.process import ProcessSettings
from holdfast.temporal import operations

POLL = 0.4  # seconds between looks
ENDED = ("done", "dry-run", "cancelled", "failed")
NOT_ALL = 3  # exit code: it ended and some items could not be done


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the command is to behave."""

    operation: str | None  # the id that was given
    yes: bool
    follow: bool
    as_json: bool


def run_operation(settings: ProcessSettings, given: OperationInput, wanted: Wanted) -> None:
    """Run it to its end, or to where people let it go on by itself. Exit code 3: some items failed."""
    if not wanted.yes and not given.dry_run and (wanted.as_json or not sys.stdin.isatty()):
        raise RejectedInput(
            ErrorCode.INPUT_INVALID, "nobody can be asked here: look with --dry-run, then go ahead with --yes"
        )
    given = given.model_copy(update={"confirmed": wanted.yes})
    name = wanted.operation or operations.derived_id(given)
    try:
        last = with_client(settings, lambda client: _run(client, given, wanted, name))
    except KeyboardInterrupt:
        say(f"It goes on by itself: holdfast bulk show {name} (also pause, cancel)")
        raise
    if wanted.as_json:
        show_json(last)
    elif last.phase != "dry-run":
        console().print(escape(operation_page(last)))
    if last.phase == "failed":
        raise RejectedInput(ErrorCode.INPUT_INVALID, last.message)
    if last.tally.failed:
        raise typer.Exit(NOT_ALL)


async def _run(client: Client, given: OperationInput, wanted: Wanted, name: str) -> contract.Progress:
    if await operations.start(client, given, wanted.operation):
        say(f"{name} was started before; this is how it goes. Another one of the same: --id NAME")
    last = await _until(client, name, ("counting",))
    if not wanted.as_json and last.phase != "failed":
        console().print(escape(survey_page(last)))
    if last.phase == "waiting":
        word = names.CONFIRM if _agreed(last) else names.CANCEL
        last = await operations.steer(client, name, word, SteerInput(by=given.by))
        if word == names.CANCEL:
            return await _until(client, name, ("waiting", "running"))
    if wanted.follow and last.phase not in ENDED:
        last = await _follow(client, name, last)
    elif last.phase not in ENDED:
        say(f"It goes on by itself: holdfast bulk show {name}")
    return last


def _agreed(last: contract.Progress) -> bool:
    if last.survey.count == 0:
        return True
    return typer.confirm(f"{operations.summary_of_work(last.work)}: {last.survey.count}?", err=True)


async def _until(client: Client, name: str, phases: tuple[str, ...]) -> contract.Progress:
    """Look until it is past these phases."""
    while True:
        last = await _look(client, name)
        if last is not None and last.phase not in phases:
            return last
        await asyncio.sleep(POLL)


async def _look(client: Client, name: str) -> contract.Progress | None:
    """Look once; None while no worker or server answers: the operation waits for them too."""
    try:
        return await operations.show(client, name)
    except Unavailable:
        return None
    except HoldfastError as error:
        if error.code == ErrorCode.NOT_FOUND:
            raise
        return None


async def _follow(client: Client, name: str, last: contract.Progress) -> contract.Progress:
    """Show a bar until it ends."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(last.phase, total=last.survey.count)
        while last.phase not in ENDED:
            await asyncio.sleep(POLL)
            found = await _look(client, name)
            last = found or last
            words = last.phase if found else "waiting for an answer"
            bar.update(task, completed=last.tally.total, description=words)
    return last
