"""`holdfast dead-letters`: what failed for good, and what is done about it. Flow: visibility → **case** → Update."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.markup import escape
from temporalio.client import Client

from holdfast.cli.case_page import case_page
from holdfast.cli.clients import open_temporal, workflow_link
from holdfast.cli.options import ConfigOption, DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.cli.person import me
from holdfast.clock import rfc3339
from holdfast.contracts.dead_letter import AcknowledgeInput, CaseView, DiscardInput, RedriveInput
from holdfast.domain.deadletters import CaseState, Move, next_state
from holdfast.errors import ErrorCode, RejectedInput, Unavailable
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import load_settings
from holdfast.temporal import cases
from holdfast.temporal.cases import CaseFilter, CaseSummary

T = TypeVar("T")

POLL = 0.3  # seconds between looks at a redrive

app = typer.Typer(add_completion=False, no_args_is_help=True)

IdArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="Id of the dead letter, or its case's workflow id.", show_default=False),
]
ByOption = Annotated[
    str | None, typer.Option("--by", metavar="WHO", help="Who does it, for the record. Default: you@this-host.")
]
WaitOption = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", min=0, max=3_600, help="Wait this long for the redrive's end.")
]


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
        str | None, typer.Option("--error", metavar="CODE", help="Only with this code, like target.refused.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that are resolved, discarded, expired.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most this many.")] = 100,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, the newest first: the open ones, or with --all every one that Temporal still knows."""
    wanted = CaseFilter(
        only_open=not everything and state is None, source=source, trigger=trigger, error=error, state=state
    )
    found = _with_client(load_settings(None, data_dir), lambda client: cases.list_cases(client, wanted, limit=limit))
    if as_json:
        show_json([_plain(case) for case in found])
    elif not found:
        console().print("No dead letters." if everything else "No dead letters that wait for somebody.")
    else:
        _print_list(found)


@app.command()
def show(
    dead_letter: IdArgument, config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Show one dead letter: the event, every attempt, why it failed, who did what, and what can be done."""
    _on_case(load_settings(config, data_dir), lambda client: cases.show_case(client, dead_letter), as_json=as_json)


@app.command()
def redrive(  # noqa: PLR0913, PLR0917 - one parameter per option
    dead_letter: IdArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What was mended, for the record.")] = "",
    body: Annotated[
        Path | None, typer.Option("--body", metavar="FILE", help="Deliver this body instead; the original is kept.")
    ] = None,
    by: ByOption = None,
    wait: WaitOption = 0.0,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Deliver it again, with the trigger as it is configured now.

    The receiver sees a new Idempotency-Key. If it fails again the case opens again. With --wait the command ends when
    the redrive has: exit code 0 when it was delivered, 1 when it was not (yet).
    """
    given = RedriveInput(by=by or me(), reason=reason, body=_read(body))
    settings = load_settings(None, data_dir)

    async def act(client: Client) -> CaseView:
        view = await _move(client, dead_letter, Move.REDRIVE, cases.redrive(client, dead_letter, given))
        return await _settled(client, dead_letter, view, wait) if wait else view

    view = _on_case(settings, act, as_json=as_json)
    if wait and view.state is not CaseState.RESOLVED:
        raise typer.Exit(1)


@app.command()
def acknowledge(
    dead_letter: IdArgument,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What you know already.")] = "",
    by: ByOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that you look after it, so that nobody else need."""
    given = AcknowledgeInput(by=by or me(), note=note)
    _on_case(
        load_settings(None, data_dir),
        lambda client: _move(client, dead_letter, Move.ACKNOWLEDGE, cases.acknowledge(client, dead_letter, given)),
        as_json=as_json,
    )


@app.command()
def discard(
    dead_letter: IdArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it need not be delivered.")],
    by: ByOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give it up for good, with the reason. The record stays in the stream DEAD_LETTERS."""
    if not reason.strip():
        raise RejectedInput(ErrorCode.INPUT_INVALID, "--reason: say why it need not be delivered")
    given = DiscardInput(by=by or me(), reason=reason)
    _on_case(
        load_settings(None, data_dir),
        lambda client: _move(client, dead_letter, Move.DISCARD, cases.discard(client, dead_letter, given)),
        as_json=as_json,
    )


def _with_client(settings: ProcessSettings, act: Callable[[Client], Awaitable[T]]) -> T:
    async def run() -> T:
        return await act(await open_temporal(settings))

    return asyncio.run(run())


def _on_case(settings: ProcessSettings, act: Callable[[Client], Awaitable[CaseView]], *, as_json: bool) -> CaseView:
    async def run(client: Client) -> tuple[CaseView, str]:
        return await act(client), client.namespace

    view, namespace = _with_client(settings, run)
    if as_json:
        show_json(view)
    else:
        console().print(escape(case_page(view, workflow_link(settings, namespace, view.id))))
    return view


async def _move(client: Client, dead_letter: str, move: Move, moving: Awaitable[CaseView]) -> CaseView:
    """Move a case; one that is closed takes no Update any more, and says so instead of not being there."""
    try:
        return await moving
    except RejectedInput as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise
        view = await cases.show_case(client, dead_letter)
        next_state(view.state, move)  # raises what a person can understand
        raise


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


def _print_list(found: list[CaseSummary]) -> None:
    out = console()
    for case in found:
        opened = case.opened_at.strftime("%Y-%m-%d %H:%M:%SZ")
        what = " ".join(part for part in (case.source, case.event_type) if part)
        out.print(escape(f"{opened}  {case.state:<12}  {case.error:<20}  {what}".rstrip()))
        out.print(escape(f"  {case.dead_letter_id}"))  # a line of its own: it is copied into the next command
    console(stderr=True).print(f"{len(found)} shown. Why, and what can be done: holdfast dead-letters show ID")


def _plain(case: CaseSummary) -> dict[str, Any]:
    return {
        "id": case.dead_letter_id,
        "workflow_id": case.workflow_id,
        "state": case.state,
        "source": case.source,
        "event_id": case.event_id,
        "event_type": case.event_type,
        "trigger": case.trigger,
        "error": case.error,
        "opened_at": rfc3339(case.opened_at),
        "closed_at": rfc3339(case.closed_at) if case.closed_at else None,
    }


def _read(body: Path | None) -> str | None:
    if body is None:
        return None
    try:
        return body.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"--body {body}: {error}") from error
