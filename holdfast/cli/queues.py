"""`holdfast queues`: the keys in which deliveries wait for each other, and letting one go on by hand."""

import asyncio
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from temporalio.common import SearchAttributeKey

from holdfast.cli.clients import open_temporal
from holdfast.cli.options import ConfigOption, DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.contracts import names
from holdfast.contracts.queues import SkipInput
from holdfast.settings.runtime import load_settings
from holdfast.temporal.waiting import list_queues, skip_head

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """See which keys have deliveries waiting in order, which are blocked by a dead letter, and let one go on."""


@app.command("list")
def list_all(
    trigger: Annotated[str | None, typer.Option("--trigger", "-t", metavar="NAME", help="Only this trigger.")] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the keys in which something waits. A blocked one waits for its dead letter to be closed, or for `skip`."""
    settings = load_settings(config, data_dir)

    async def read() -> list[dict[str, Any]]:
        client = await open_temporal(settings)

        def said(run: Any, name: str) -> str:
            return run.typed_search_attributes.get(SearchAttributeKey.for_keyword(name)) or ""

        return [
            {
                "trigger": said(run, names.SA_TRIGGER),
                "key": said(run, names.SA_KEY),
                "state": said(run, names.SA_STATE) or "moving",
                "since": run.start_time.isoformat(),
                "workflow": run.id,
            }
            async for run in list_queues(client, trigger)
        ]

    rows = asyncio.run(read())
    if as_json:
        show_json(rows)
        return
    table = Table("trigger", "key", "state", "since", box=None, header_style="bold")
    for row in rows:
        table.add_row(*(escape(row[column]) for column in ("trigger", "key", "state", "since")))
    console().print(table if rows else "Nothing waits in order.")


@app.command()
def skip(
    trigger: str,
    key: str,
    reason: Annotated[str, typer.Option("--reason", "-r", metavar="TEXT", help="Why what follows may go on.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Let what follows the head of a key go on, although the head has not ended or is a dead letter."""
    settings = load_settings(config, data_dir)

    async def carry_out() -> None:
        await skip_head(await open_temporal(settings), trigger, key, SkipInput(reason=reason))

    asyncio.run(carry_out())
    console().print(escape(f"{trigger}, key {key}: the next delivery may go."))
