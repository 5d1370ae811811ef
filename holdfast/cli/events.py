"""`holdfast events show`: where one event is now. Flow: bus and Temporal are asked → **one answer**."""

import asyncio
import contextlib
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.markup import escape

from holdfast.bus.lookup import FoundEvent, find_dead_letters, find_event, find_unmatched
from holdfast.bus.objects import chunks_of
from holdfast.cli.clients import open_bus, open_temporal, workflow_link
from holdfast.cli.options import ConfigOption, DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.clock import rfc3339
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.errors import ErrorCode, RejectedInput, Unavailable
from holdfast.ids import case_id
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import load_settings
from holdfast.temporal.deliveries import DeliverySummary, list_deliveries

app = typer.Typer(add_completion=False, no_args_is_help=True)


@dataclass(slots=True)
class Whereabouts:
    """Everything known about one event."""

    event: FoundEvent | None = None
    unmatched: bool = False
    deliveries: list[DeliverySummary] = field(default_factory=list)
    dead_letters: list[DeadLetterRecord] = field(default_factory=list)
    namespace: str = "default"
    trouble: str = ""  # why Temporal could not be asked

    @property
    def verdict(self) -> str:
        """One line: where the event is."""
        states = {delivery.state for delivery in self.deliveries}
        if states:
            return ", ".join(sorted(states))
        if self.dead_letters:
            return "dead-lettered"
        if self.unmatched:
            return "no trigger wanted it"
        if self.trouble:
            return "stored on the bus; Temporal cannot be asked"
        return "stored, not yet dispatched: is a worker running?"


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
    """Show where an event is now: stored, under way, delivered, dead-lettered, or wanted by no trigger.

    Each delivery comes with its link into the Temporal UI. Exit code 1 when nothing is known of such an event.
    """
    settings = load_settings(config, data_dir)
    found = asyncio.run(_find(settings, source, event_id))
    if found.event is None and not found.deliveries and not found.dead_letters:
        raise RejectedInput(
            ErrorCode.NOT_FOUND,
            f"nothing is known of event {event_id!r} of source {source!r}; ids are as the gateway answered them, and"
            " settled events are kept as long as bus.streams.events.archive_for says",
        )
    if as_json:
        show_json(_plain(settings, found))
    else:
        _print(settings, found, f"{source} {event_id}")


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


async def _find(settings: ProcessSettings, source: str, event_id: str) -> Whereabouts:
    found = Whereabouts()
    async with open_bus(settings) as bus:
        found.event = await find_event(bus, source, event_id)
        found.unmatched = await find_unmatched(bus, source, event_id) is not None
        async for letter in find_dead_letters(bus, source=source, event_id=event_id):
            if letter.record is not None:
                found.dead_letters.append(letter.record)
    try:
        client = await open_temporal(settings)
        found.namespace = client.namespace
        found.deliveries = await list_deliveries(client, source, event_id)
    except Unavailable as error:
        found.trouble = error.message  # what the bus knows is worth showing without it
    return found


def _print(settings: ProcessSettings, found: Whereabouts, title: str) -> None:
    out = console()
    out.print(f"[bold]{escape(title)}[/bold]: {escape(found.verdict)}")
    if found.event is not None:
        event = found.event
        what = event.envelope.type + (f" about {event.envelope.subject}" if event.envelope.subject else "")
        out.print(escape(f"event       {what}, received {rfc3339(event.envelope.received_at)}"))
        settled = "settled" if event.settled else "not settled yet"
        out.print(escape(f"stored      EVENTS #{event.sequence}, {settled}"))
        if (reference := event.envelope.body_ref) is not None:
            out.print(escape(f"body        {reference.size} bytes in bucket {reference.bucket}: {reference.name}"))
    for delivery in found.deliveries:
        why = f" ({delivery.error})" if delivery.error else ""
        out.print(escape(f"delivery    {delivery.trigger}: {delivery.state}{why}"))
        out.print(escape(f"            {workflow_link(settings, found.namespace, delivery.workflow_id)}"))
    for record in found.dead_letters:
        out.print(escape(f"dead letter {record.code}: {record.message}"))
        out.print(escape(f"            {workflow_link(settings, found.namespace, case_id(record.id))}"))
        out.print(escape(f"            holdfast dead-letters show {record.id}"))
    if found.unmatched and not found.deliveries:
        out.print("unmatched   no trigger's `on` and `when` took it; it stays stored")
    if found.trouble:
        console(stderr=True).print(f"[yellow]warning:[/yellow] {escape(found.trouble)}")


def _plain(settings: ProcessSettings, found: Whereabouts) -> dict[str, Any]:
    event = found.event
    return {
        "verdict": found.verdict,
        "event": event.envelope.model_dump(mode="json") if event else None,
        "sequence": event.sequence if event else None,
        "settled": event.settled if event else None,
        "unmatched": found.unmatched,
        "deliveries": [
            {
                **{key: rfc3339(value) if hasattr(value, "tzinfo") else value for key, value in asdict(each).items()},
                "link": workflow_link(settings, found.namespace, each.workflow_id),
            }
            for each in found.deliveries
        ],
        "dead_letters": [record.model_dump(mode="json", exclude={"envelope"}) for record in found.dead_letters],
        "warning": found.trouble or None,
    }
