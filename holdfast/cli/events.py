"""`holdfast events show`: where one event is now. Flow: bus, Temporal and a local outbox are asked → **one answer**."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.markup import escape

from gateway.outbox_peek import peek
from gateway.spool import spool_file
from holdfast.bus.lookup import find_dead_letters, find_event
from holdfast.bus.objects import chunks_of
from holdfast.bus.whereabouts import spooled, whereabouts
from holdfast.cli.clients import open_bus, open_temporal
from holdfast.cli.options import ConfigOption, DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.clock import rfc3339
from holdfast.contracts.delivery import Attempt
from holdfast.contracts.status import (
    DeadLetterStatus,
    DeliveriesAnswer,
    DeliveriesQuestion,
    DeliveryStatus,
    EventStatus,
)
from holdfast.errors import ErrorCode, RejectedInput, Unavailable
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import load_settings
from holdfast.temporal.whereabouts import Whereabouts, ui_address

FAILURES = 3  # failed attempts that are shown of each delivery, the latest; --json has all

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at events: where each one is now."""


@app.command()
def show(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Name of the source.", show_default=False)],
    event_id: Annotated[
        str, typer.Argument(metavar="ID", help="The event's id, as the gateway answered it.", show_default=False)
    ],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where an event is now: stored, spooled, under way, delivered, dead-lettered, or wanted by no trigger.

    Each delivery comes with its failed attempts and its link into the Temporal UI. The gateway answers the same to
    `GET /events/SOURCE/ID` with an access token (`holdfast tokens`). What lies in a gateway's outbox is found where
    that gateway's data directory is. Exit code 1 when nothing is known of such an event.
    """
    settings = load_settings(config, data_dir)
    found = asyncio.run(_find(settings, source, event_id))
    if not found.known:
        raise RejectedInput(
            ErrorCode.NOT_FOUND,
            f"nothing is known of event {event_id!r} of source {source!r}; ids are as the gateway answered them, and"
            " settled events are kept as long as bus.streams.events.archive_for says",
        )
    if as_json:
        show_json(found)
    else:
        _print(found)


@app.command()
def body(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Name of the source.", show_default=False)],
    event_id: Annotated[
        str, typer.Argument(metavar="ID", help="The event's id, as the gateway answered it.", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file instead of the standard output.")
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write the body of an event, byte for byte as it was received, however large it is.

    It comes from the stream EVENTS, or from the event's dead letter; the hash is checked before the last byte is
    written. Exit code 1 when there is no such event.
    """
    settings = load_settings(config, data_dir)
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(output.open("wb")) if output is not None else sys.stdout.buffer
        asyncio.run(write_body(settings, source, event_id, out))
        out.flush()


async def write_body(settings: ProcessSettings, source: str, event_id: str, out: IO[bytes]) -> None:
    """Write an event's body to `out`. Raises RejectedInput `not_found`, PermanentFailure `body.…`, Unavailable."""
    async with open_bus(settings) as bus:
        found = await find_event(bus, source, event_id)
        envelope = found.envelope if found is not None else None
        if envelope is None:
            async for letter in find_dead_letters(bus, source=source, event_id=event_id):
                envelope = letter.record.envelope or envelope
        if envelope is None:
            raise RejectedInput(ErrorCode.NOT_FOUND, f"there is no event {event_id!r} of source {source!r} on the bus")
        async for chunk in chunks_of(bus, envelope):
            out.write(chunk)


async def _find(settings: ProcessSettings, source: str, event_id: str) -> EventStatus:
    async def ask(question: DeliveriesQuestion) -> DeliveriesAnswer:
        client = await open_temporal(settings)
        return await Whereabouts(client, ui_address(settings)).find(question)

    outbox = spool_file(settings.data_dir)
    try:
        async with open_bus(settings) as bus:
            found = await whereabouts(bus, source, event_id, ask)
    except Unavailable as error:
        kept = await _in_outbox(outbox, source, event_id, error.message)
        if kept is None:
            raise
        return kept
    return found if found.known else await _in_outbox(outbox, source, event_id, "") or found


async def _in_outbox(outbox: Path, source: str, event_id: str, trouble: str) -> EventStatus | None:
    envelope = await asyncio.to_thread(peek, outbox, source, event_id)
    return spooled(envelope, trouble) if envelope is not None else None


def _print(found: EventStatus) -> None:
    out = console()
    out.print(f"[bold]{escape(f'{found.source} {found.id}')}[/bold]: {escape(found.verdict)}")
    if found.received_at is not None:
        what = (found.type or "event") + (f" about {found.subject}" if found.subject else "")
        out.print(escape(f"event       {what}, received {rfc3339(found.received_at)}"))
    if found.stored is not None:
        settled = "settled" if found.stored.settled else "not settled yet"
        out.print(escape(f"stored      {found.stored.stream} #{found.stored.sequence}, {settled}"))
    if found.body is not None:
        out.print(escape(f"body        {found.body.size} bytes in bucket {found.body.bucket}: {found.body.name}"))
    if found.spooled:
        out.print("spooled     on the gateway's own disk; it goes to the bus by itself")
    for delivery in found.deliveries if found.deliveries != "unknown" else ():
        _print_delivery(delivery)
    for letter in found.dead_letters:
        _print_letter(letter)
    if found.unmatched and not found.deliveries:
        out.print("unmatched   no trigger's `on` and `when` took it; it stays stored")
    if found.trouble:
        console(stderr=True).print(f"[yellow]warning:[/yellow] {escape(found.trouble)}")


def _print_delivery(delivery: DeliveryStatus) -> None:
    out = console()
    why = f" ({delivery.error})" if delivery.error else ""
    tried = f", {delivery.attempts} attempt{'s' if delivery.attempts != 1 else ''}" if delivery.attempts else ""
    again = f" (redrive of {delivery.redrive_of})" if delivery.redrive_of else ""
    out.print(escape(f"delivery    {delivery.trigger}: {delivery.state}{why}{tried}{again}"))
    if delivery.state != "dead-lettered":
        _print_failures(delivery.failures)
    if delivery.waiting_for:
        out.print(escape(f"            waits for: {delivery.waiting_for}"))
    if delivery.next_attempt_at is not None:
        out.print(escape(f"            next attempt at {rfc3339(delivery.next_attempt_at)}"))
    if delivery.link:
        out.print(escape(f"            {delivery.link}"))


def _print_letter(letter: DeadLetterStatus) -> None:
    out = console()
    state = f" (case {letter.case.state})" if letter.case is not None else ""
    out.print(escape(f"dead letter {letter.code}: {letter.message}{state}"))
    _print_failures(letter.failures)
    if letter.case is not None and letter.case.link:
        out.print(escape(f"            {letter.case.link}"))
    out.print(escape(f"            holdfast dead-letters show {letter.id}"))


def _print_failures(failures: tuple[Attempt, ...]) -> None:
    for failure in failures[-FAILURES:]:
        line = f"            attempt {failure.number} at {rfc3339(failure.at)}: {failure.code}: {failure.message}"
        console().print(escape(line))
