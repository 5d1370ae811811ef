"""`holdfast targets`: what deliveries go to, its limits, and pausing it by hand."""

import asyncio
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from holdfast.bus.lanes import parse_state
from holdfast.bus.registers import LANES, read_register
from holdfast.cli import pausing
from holdfast.cli.clients import open_bus
from holdfast.cli.options import ConfigOption, DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.settings.file import load_config
from holdfast.settings.runtime import load_settings

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """See the targets of holdfast.yaml, what is paused and which circuit breaker is open; pause and resume by hand."""


@app.command("list")
def list_targets(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List the targets, and everything that is paused or whose circuit breaker is open. Needs NATS."""
    settings = load_settings(config, data_dir)
    loaded = load_config(settings.config).config
    rules: dict[str, Any] = {f"target/{name}": rule for name, rule in loaded.targets.items()}
    rules |= {f"trigger/{name}": rule for name, rule in loaded.triggers.items()}

    async def read() -> list[dict[str, Any]]:
        pauses = await pausing.read_live(settings)
        async with open_bus(settings) as bus:
            rows = []
            for lane in sorted(rules.keys() | pauses.keys()):
                rule, pause = rules.get(lane), pauses.get(lane)
                if pause is None and not (lane.startswith("target/") or (rule is not None and rule.limited)):
                    continue
                state = parse_state((await read_register(bus, LANES, lane.replace("/", ".")))[0])
                limits = (
                    rule.model_dump(
                        mode="json", include={"rate_limit", "burst", "concurrency", "breaker"}, exclude_none=True
                    )
                    if rule is not None
                    else {}
                )
                rows.append(
                    {
                        "name": lane,
                        "limits": limits,
                        "paused": pause.model_dump(mode="json") if pause is not None else None,
                        "breaker": "open" if state.opened else "closed",
                        "under_way": len(state.places),
                    }
                )
            return rows

    rows = asyncio.run(read())
    if as_json:
        show_json(rows)
        return
    table = Table("target or trigger", "limits", "state", box=None, header_style="bold")
    shown = {"rate_limit", "concurrency"}
    for row in rows:
        limits = ", ".join(f"{name} {value}" for name, value in row["limits"].items() if name in shown)
        state = "circuit breaker open" if row["breaker"] == "open" else "open"
        if row["paused"]:
            state = f"paused by {row['paused']['by']} since {row['paused']['at']}: {row['paused']['reason']}"
        table.add_row(escape(row["name"]), escape(limits), escape(state))
    console().print(table)


@app.command()
def pause(
    target: str,
    reason: pausing.ReasonOption,
    by: pausing.ByOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Send nothing to a target until it is resumed. Its deliveries wait, whichever trigger they belong to."""
    pausing.pause("target", target, reason, by, (config, data_dir))


@app.command()
def resume(target: str, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Send to a target again."""
    pausing.resume("target", target, (config, data_dir))
