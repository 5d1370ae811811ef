"""`holdfast bus`: the streams of holdfast.yaml against those on the bus: differences, content, evictions."""

import asyncio
import contextlib
from dataclasses import asdict
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from holdfast.bus.connect import Bus
from holdfast.bus.drift import Change
from holdfast.bus.lookup import event_streams, find_evictions
from holdfast.bus.retention import backlog_of, fill_of, reach_of
from holdfast.bus.streams import dispatcher_of, events_plans
from holdfast.bus.topology import ensure_streams, plan_streams
from holdfast.cli.clients import open_bus
from holdfast.cli.options import ConfigOption, DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.errors import Unavailable
from holdfast.settings.file import LoadedConfig, load_config
from holdfast.settings.runtime import load_settings

MEANING = {
    "create": "is made",
    "change": "is changed in place",
    "refuse": "cannot be changed in place",
    "keep": "is as planned",
    "drain": "is no longer configured; its events are still dispatched",
}

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Plan, apply and show the streams on the bus.

    Gateways and workers apply them at their start, too. What JetStream cannot change in place is refused, with the
    steps to take; nothing is ever deleted.
    """


@app.command()
def plan(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show what `apply` would change. Changes nothing; exit code 1 where something cannot be changed in place."""
    _carry_out(config, data_dir, as_json=as_json, apply_it=False)


@app.command()
def apply(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Make the streams those of the file, all or none; exit code 1 where something cannot be changed in place."""
    _carry_out(config, data_dir, as_json=as_json, apply_it=True)


@app.command()
def show(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show each stream of events: its policy, how full it is, what is unsettled, and what was evicted unprocessed."""
    settings = load_settings(config, data_dir)
    loaded = load_config(settings.config)

    async def look() -> list[dict[str, Any]]:
        async with open_bus(settings) as bus:
            return [await _facts(bus, loaded, stream) for stream in await event_streams(bus)]

    found = asyncio.run(look())
    if as_json:
        show_json(found)
        return
    table = Table("stream", "policy", "events", "full", "unsettled", "evicted unprocessed", box=None, pad_edge=False)
    for each in found:
        gone = each["evicted"]
        named = ", ".join(f"#{one['first']}-{one['last']}" for one in gone["latest"])
        table.add_row(
            each["stream"],
            each["policy"],
            str(each["events"]),
            f"{each['full']:.0%}",
            "unknown" if each["unsettled"] is None else str(each["unsettled"]),
            f"{gone['events']} ({named})" if gone["events"] else "0",
        )
    console().print(table)


def _carry_out(config: Any, data_dir: Any, *, as_json: bool, apply_it: bool) -> None:
    settings = load_settings(config, data_dir)
    loaded = load_config(settings.config)

    async def carry_out() -> list[Change]:
        async with open_bus(settings) as bus:
            changes = await plan_streams(bus, loaded.config.bus)
            if apply_it and all(change.action != "refuse" for change in changes):
                await ensure_streams(bus, loaded.config.bus)
            return changes

    changes = asyncio.run(carry_out())
    if as_json:
        show_json([{**asdict(change), "drifts": [asdict(drift) for drift in change.drifts]} for change in changes])
    else:
        _print(changes)
    if any(change.action == "refuse" for change in changes):
        if apply_it:
            console(stderr=True).print("[red]nothing was changed[/red]: every stream, or none")
        raise typer.Exit(1)


def _print(changes: list[Change]) -> None:
    out = console()
    for change in changes:
        out.print(f"[bold]{escape(change.stream)}[/bold] {MEANING[change.action]}")
        for drift in change.drifts:
            out.print(escape(f"    {drift}"))
        for number, step in enumerate(change.steps, 1):
            out.print(escape(f"    {number}. {step}"))


async def _facts(bus: Bus, loaded: LoadedConfig, stream: str) -> dict[str, Any]:
    policy = next((each.policy for each in events_plans(loaded.config.bus) if each.name == stream), None)
    fill = await fill_of(bus, stream)
    backlog, reach = None, None
    with contextlib.suppress(Unavailable):  # no consumer yet: no worker and no gateway has been here
        backlog = await backlog_of(bus, dispatcher_of(stream))
        reach = await reach_of(bus, dispatcher_of(stream))
    records = [record async for record in find_evictions(bus, stream)]
    return {
        "stream": stream,
        "policy": policy.preset if policy is not None else "not configured",
        "retention": policy.keeps if policy is not None else None,
        "discard": None if policy is None else ("old" if policy.evicts else "new"),
        "events": fill.messages,
        "bytes": fill.bytes,
        "max_bytes": fill.max_bytes,
        "full": fill.bytes / fill.max_bytes if fill.max_bytes > 0 else 0.0,
        "first": fill.first,
        "last": fill.last,
        "settled_up_to": reach.settled if reach is not None else None,
        "unsettled": backlog.pending + backlog.ack_pending if backlog is not None else None,
        "evicted": {
            "events": sum(record.count for record in records),
            "latest": [record.model_dump(mode="json") for record in records[-5:]],
        },
    }
