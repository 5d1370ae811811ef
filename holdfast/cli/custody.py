"""`holdfast custody`: count that every event is accounted for, and name those that are not."""

import asyncio
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from activities.custody import CustodyCount
from holdfast.cli.clients import open_bus, open_temporal
from holdfast.cli.options import ConfigOption, DataDirOption, JsonOption
from holdfast.cli.output import console, say, show_json
from holdfast.cli.sweep import moment
from holdfast.clock import SystemClock, rfc3339
from holdfast.contracts.custody import CustodyInput, CustodyReport, SourceCount
from holdfast.settings.file import LoadedConfig, load_config
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import load_settings
from holdfast.telemetry.metrics import Metrics

app = typer.Typer(add_completion=False)

SinceOption = Annotated[
    str,
    typer.Option("--since", metavar="TIME", help="From this time (`2026-11-20T08:00:00Z`), or for this long (`7d`)."),
]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Up to this time, or how long ago. Default: now.", show_default=False),
]


@app.command()
def custody(
    since: SinceOption = "24h",
    until: UntilOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count what was received, and where it is: delivered, dead-lettered, unmatched or in flight.

    Received is counted on the bus, the rest where it ended, so the two can disagree: every event that does not add up
    is named, with the command that delivers it. The same is counted every day by the Temporal Schedule
    `holdfast-custody`; its results are in the Temporal UI.

    `evicted` left a stream with discard old before anybody had them; `unnamed` were settled and deleted by a stream
    that keeps nothing (tasks, transactions), and nothing says which they were.

    Times are those at which the bus stored the event. Exit code 1: something does not add up.
    """
    settings = load_settings(config, data_dir)
    loaded = load_config(settings.config)
    given = CustodyInput(since=moment(since), until=None if until is None else moment(until))
    report = asyncio.run(_count(settings, loaded, given))
    if as_json:
        show_json(report)
    else:
        _show(report)
    if not report.adds_up:
        raise typer.Exit(1)


async def _count(settings: ProcessSettings, loaded: LoadedConfig, given: CustodyInput) -> CustodyReport:
    client = await open_temporal(settings)
    async with open_bus(settings) as bus:
        return await CustodyCount(bus, loaded, Metrics(), SystemClock()).count(client, given)


def _show(report: CustodyReport) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("source", overflow="fold")
    for column in (
        "received",
        "delivered",
        "dead-lettered",
        "unmatched",
        "in flight",
        "unaccounted",
        "evicted",
        "unnamed",
    ):
        table.add_column(column, justify="right")
    for one in (*report.sources, report.total):
        table.add_row(*_row(one))
    console().print(table)
    say(f"events stored from {rfc3339(report.since) if report.since else 'the beginning'} to {rfc3339(report.until)}")
    for line in report.streams:
        for gap in line.evictions:
            say(f"evicted from {line.stream} before anybody had them: {gap.count} of {gap.first} to {gap.last}")
        if line.unnamed:
            say(
                f"{line.unnamed} messages of {line.stream} were settled and deleted, and nothing says which events they"
                " were: copies of events that were delivered before, as a rule"
            )
    for ref in report.unaccounted:
        place = f"message {ref.sequence} of {ref.stream}"
        console().print(escape(f"unaccounted: {ref.source} {ref.event_id} ({place}): {ref.detail}"))
        if ref.remedy:
            console().print(escape(f"  {ref.remedy}"), soft_wrap=True, highlight=False)  # to be copied


def _row(one: SourceCount) -> tuple[str, ...]:
    settled = (one.received, one.delivered, one.dead_lettered, one.unmatched)
    numbers = (*settled, one.in_flight, one.unaccounted, one.evicted, one.unnamed)
    return (escape(one.source) or "all", *map(str, numbers))
