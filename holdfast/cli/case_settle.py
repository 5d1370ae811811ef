"""The moves of `holdfast dead-letters` that take one case or thousands: acknowledge, redrive, discard.

Flow: list → show → **settle** one; or `--where` → an operation that settles each of them once.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from temporalio.client import Client

from holdfast.cli.case_moves import NoteOption, WaitOption, input_of, on_case
from holdfast.cli.case_selection import (
    AssigneeOption,
    CodeOption,
    DetachOption,
    DryRunOption,
    Many,
    NameOption,
    OfTriggerOption,
    OneArgument,
    RateOption,
    SourceOption,
    StateOption,
    WhereOption,
    YesOption,
)
from holdfast.cli.options import DataDirOption, JsonOption
from holdfast.cli.person import ByOption, person
from holdfast.contracts.dead_letter import CaseView
from holdfast.contracts.moves import AcknowledgeInput, Config, DiscardInput, RedriveInput
from holdfast.contracts.operations import BulkWork, CaseSelection
from holdfast.domain.deadletters import CaseState
from holdfast.errors import ErrorCode, RejectedInput, Unavailable
from holdfast.settings.runtime import load_settings
from holdfast.temporal import cases

POLL = 0.3  # seconds between looks at a redrive


def acknowledge(  # noqa: PLR0913, PLR0917 - one parameter per option
    dead_letter: OneArgument = None,
    note: NoteOption = "",
    where: WhereOption = None,
    state: StateOption = None,
    source: SourceOption = None,
    of_trigger: OfTriggerOption = None,
    code: CodeOption = None,
    assignee: AssigneeOption = None,
    dry_run: DryRunOption = False,
    rate: RateOption = "50/s",
    yes: YesOption = False,
    operation: NameOption = None,
    detach: DetachOption = False,
    by: ByOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that you look after it, or after many, so that nobody else need."""
    settings = load_settings(None, data_dir)
    select = CaseSelection(where=where, state=state, source=source, trigger=of_trigger, error=code, assignee=assignee)
    many, who = Many(select, dry_run, rate, yes, operation, detach), person(by, settings)
    if many.is_meant(dead_letter):
        many.run(settings, BulkWork(move="acknowledge", select=select, reason=note), who, as_json=as_json)
        return
    given = input_of(AcknowledgeInput, by=who, note=note)
    on_case(settings, lambda client: cases.acknowledge(client, dead_letter or "", given), as_json=as_json)


def redrive(  # noqa: PLR0913, PLR0917 - one parameter per option
    dead_letter: OneArgument = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What was mended, for the record.")] = "",
    body: Annotated[
        Path | None, typer.Option("--body", metavar="FILE", help="Deliver this body instead; the original is kept.")
    ] = None,
    trigger: Annotated[
        str | None,
        typer.Option("--trigger", metavar="NAME", help="Deliver by this trigger instead; its filter is not asked."),
    ] = None,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Repeat the action exactly as it failed, whatever is configured now.")
    ] = False,
    wait: WaitOption = 0.0,
    where: WhereOption = None,
    state: StateOption = None,
    source: SourceOption = None,
    of_trigger: OfTriggerOption = None,
    code: CodeOption = None,
    assignee: AssigneeOption = None,
    dry_run: DryRunOption = False,
    rate: RateOption = "50/s",
    yes: YesOption = False,
    operation: NameOption = None,
    detach: DetachOption = False,
    by: ByOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Deliver it again, with the trigger as it is configured now; or many, each once.

    The receiver sees a new Idempotency-Key. If it fails again the case opens again. With --wait the command ends when
    the redrive has: exit code 0 when it was delivered, 1 when it was not (yet).

    Many at once: [bold]redrive --where 'case.error == "target.timeout"' --dry-run[/bold] counts them and shows the
    first; without --dry-run you are asked, and then it goes on whether or not this terminal watches.
    """
    settings = load_settings(None, data_dir)
    select = CaseSelection(where=where, state=state, source=source, trigger=of_trigger, error=code, assignee=assignee)
    many, who = Many(select, dry_run, rate, yes, operation, detach), person(by, settings)
    config: Config = "recorded" if recorded else "current"
    given = input_of(RedriveInput, by=who, reason=reason, body=_read(body), trigger=trigger, config=config)
    if many.is_meant(dead_letter):
        if body is not None:
            raise RejectedInput(ErrorCode.INPUT_INVALID, "--body is for one dead letter")
        work = BulkWork(move="redrive", select=select, reason=reason, trigger=trigger, config=config)
        many.run(settings, work, who, as_json=as_json)
        return

    async def act(client: Client) -> CaseView:
        view = await cases.redrive(client, dead_letter or "", given)
        return await _settled(client, dead_letter or "", view, wait) if wait else view

    view = on_case(settings, act, as_json=as_json)
    if wait and view.state is not CaseState.RESOLVED:
        raise typer.Exit(1)


def discard(  # noqa: PLR0913, PLR0917 - one parameter per option
    dead_letter: OneArgument = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it need not be delivered.")] = "",
    where: WhereOption = None,
    state: StateOption = None,
    source: SourceOption = None,
    of_trigger: OfTriggerOption = None,
    code: CodeOption = None,
    assignee: AssigneeOption = None,
    dry_run: DryRunOption = False,
    rate: RateOption = "50/s",
    yes: YesOption = False,
    operation: NameOption = None,
    detach: DetachOption = False,
    by: ByOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give it up for good, or many, with the reason. The records stay in the stream DEAD_LETTERS."""
    settings = load_settings(None, data_dir)
    if not reason.strip() and not dry_run:
        raise RejectedInput(ErrorCode.INPUT_INVALID, "--reason: say why it need not be delivered")
    select = CaseSelection(where=where, state=state, source=source, trigger=of_trigger, error=code, assignee=assignee)
    many, who = Many(select, dry_run, rate, yes, operation, detach), person(by, settings)
    if many.is_meant(dead_letter):
        many.run(settings, BulkWork(move="discard", select=select, reason=reason), who, as_json=as_json)
        return
    given = input_of(DiscardInput, by=who, reason=reason)
    on_case(settings, lambda client: cases.discard(client, dead_letter or "", given), as_json=as_json)


async def _settled(client: Client, dead_letter: str, view: CaseView, seconds: float) -> CaseView:
    """Follow a redrive until the case has moved on, at most `seconds`; the last view of it."""
    deadline = asyncio.get_running_loop().time() + seconds
    while view.state is CaseState.REDRIVING and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(POLL)
        try:
            view = await cases.show_case(client, dead_letter)
        except Unavailable:
            continue  # a worker that restarts answers again
    return view


def _read(body: Path | None) -> str | None:
    if body is None:
        return None
    try:
        return body.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"--body {body}: {error}") from error
