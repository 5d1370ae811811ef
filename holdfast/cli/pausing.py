"""Pausing and resuming, the same for `holdfast triggers` and `holdfast targets`: durable, soon seen by every worker."""

import asyncio
import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from holdfast.bus import controls
from holdfast.bus.controls import Kind, Pause
from holdfast.cli.clients import open_bus, open_temporal
from holdfast.cli.output import console
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.file import load_config
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import load_settings
from holdfast.temporal.waiting import release_waiting

ReasonOption = Annotated[str, typer.Option("--reason", "-r", metavar="TEXT", help="Why, for whoever finds it paused.")]
ByOption = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who pauses it. Default: you.")]


def pause(kind: Kind, name: str, reason: str, by: str | None, places: tuple[Path | None, Path | None]) -> None:
    """Pause a trigger or a target that the configuration has. Raises RejectedInput, Unavailable."""
    settings = load_settings(*places)
    _exists(settings, kind, name)
    given = Pause(reason=reason, by=by or _you(), at=datetime.now(UTC))

    async def carry_out() -> None:
        async with open_bus(settings) as bus:
            await controls.pause(bus, kind, name, given)

    asyncio.run(carry_out())
    console().print(escape(f"{kind} {name} is paused: its deliveries wait, and use up no attempts."))


def resume(kind: Kind, name: str, places: tuple[Path | None, Path | None]) -> None:
    """Resume it, and wake what waits. Raises RejectedInput, Unavailable."""
    settings = load_settings(*places)

    async def carry_out() -> int | None:
        async with open_bus(settings) as bus:
            if not await controls.resume(bus, kind, name):
                return None
        await asyncio.sleep(controls.LOOK_EVERY.total_seconds() * 2)  # until every worker has seen it
        return await release_waiting(await open_temporal(settings), name if kind == "trigger" else None)

    woken = asyncio.run(carry_out())
    if woken is None:
        _exists(settings, kind, name)
        console().print(escape(f"{kind} {name} was not paused."))
    else:
        console().print(escape(f"{kind} {name} is resumed; {woken} waiting deliveries look again now."))


async def read_live(settings: ProcessSettings) -> dict[str, Any]:
    """Return what is paused, by `{kind}/{name}`. Raises Unavailable."""
    async with open_bus(settings) as bus:
        return dict(await controls.read_pauses(bus))


def _exists(settings: ProcessSettings, kind: Kind, name: str) -> None:
    config = load_config(settings.config).config
    known = config.triggers.keys() if kind == "trigger" else config.targets.keys()
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise RejectedInput(ErrorCode.NOT_FOUND, f"there is no {kind} {name!r}; there are: {there}")


def _you() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without a name for its user
        return "somebody"
