"""The moves of `holdfast dead-letters`: one command per Update of a case. Flow: show → **move** → the case anew."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError
from rich.markup import escape
from temporalio.client import Client

from holdfast.cli.case_page import case_page
from holdfast.cli.clients import open_temporal, workflow_link
from holdfast.cli.options import DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.cli.person import ByOption, person
from holdfast.contracts.dead_letter import CaseView
from holdfast.contracts.moves import (
    AssignInput,
    CommentInput,
    MoveInput,
    SnoozeInput,
)
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import load_settings
from holdfast.temporal import cases

T = TypeVar("T")
Given = TypeVar("Given", bound=MoveInput)

POLL = 0.3  # seconds between looks at a redrive

IdArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="Id of the dead letter, or its case's workflow id.", show_default=False),
]
NoteOption = Annotated[
    str, typer.Option("--note", "--reason", metavar="TEXT", help="What the others should know, for the record.")
]
WaitOption = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", min=0, max=3_600, help="Wait this long for the redrive's end.")
]


def assign(  # noqa: PLR0913, PLR0917 - one parameter per option
    dead_letter: IdArgument,
    to: Annotated[str, typer.Option("--to", metavar="WHO", help="Who gets it; empty gives it to nobody again.")],
    note: NoteOption = "",
    by: ByOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give it to somebody; find theirs with `list --assignee`."""
    settings = load_settings(None, data_dir)
    given = input_of(AssignInput, by=person(by, settings), to=to, note=note)
    on_case(settings, lambda client: cases.assign(client, dead_letter, given), as_json=as_json)


def snooze(  # noqa: PLR0913, PLR0917 - one parameter per option
    dead_letter: IdArgument,
    for_: Annotated[str | None, typer.Option("--for", metavar="DURATION", help="How long, like 2h or 3d.")] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Until when, like 2026-11-20T08:00:00+01:00.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it can wait.")] = "",
    by: ByOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for no attention for a while; then it is open again. It does not expire meanwhile."""
    settings = load_settings(None, data_dir)
    given = input_of(
        SnoozeInput, by=person(by, settings), reason=reason, **{"for": for_} if for_ else {}, **_until(until)
    )
    on_case(settings, lambda client: cases.snooze(client, dead_letter, given), as_json=as_json)


def comment(
    dead_letter: IdArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What the others should know.", show_default=False)],
    by: ByOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Leave a note."""
    settings = load_settings(None, data_dir)
    given = input_of(CommentInput, by=person(by, settings), text=text)
    on_case(settings, lambda client: cases.comment(client, dead_letter, given), as_json=as_json)


def with_client(settings: ProcessSettings, act: Callable[[Client], Awaitable[T]]) -> T:
    """Connect to Temporal and act."""

    async def run() -> T:
        return await act(await open_temporal(settings))

    return asyncio.run(run())


def on_case(settings: ProcessSettings, act: Callable[[Client], Awaitable[CaseView]], *, as_json: bool) -> CaseView:
    """Act on one case and print it as it is then."""

    async def run(client: Client) -> tuple[CaseView, str]:
        view = await act(client)
        if view.record_cut:  # an Update's answer leaves out a large event
            view = await cases.show_case(client, view.record.id)
        return view, client.namespace

    view, namespace = with_client(settings, run)
    if as_json:
        show_json(view)
    else:
        console().print(escape(case_page(view, workflow_link(settings, namespace, view.id))))
    return view


def input_of(model: type[Given], **given: object) -> Given:
    """Make the input. Raises RejectedInput `input.invalid`, naming the option."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        text = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'options'}: {p['msg']}" for p in problems)
        raise RejectedInput(ErrorCode.INPUT_INVALID, text) from error


def _until(text: str | None) -> dict[str, object]:
    if text is None:
        return {}
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"--until {text}: {error}") from error
    return {"until": moment if moment.tzinfo else moment.replace(tzinfo=UTC)}
