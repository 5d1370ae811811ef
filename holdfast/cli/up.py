"""`holdfast up`: everything on this machine, with one command. Flow: configuration → ports → stack → table → Ctrl-C."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from holdfast.cli.check import unreadable_secrets
from holdfast.cli.curl import find_line
from holdfast.cli.options import ConfigOption, DataDirOption
from holdfast.cli.output import console
from holdfast.clock import SystemClock
from holdfast.embedded.layout import with_ports
from holdfast.embedded.ports import Ports
from holdfast.embedded.room import check_room
from holdfast.embedded.stack import EmbeddedStack
from holdfast.embedded.starter import write_starter
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput
from holdfast.settings.access import TOKEN_FILE
from holdfast.settings.file import LoadedConfig, load_config
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import load_settings
from holdfast.settings.secrets import Secrets
from holdfast.temporal import schedules
from holdfast.temporal.connect import connect
from holdfast.temporal.schedules import Change

SIGNALS = (signal.SIGINT, signal.SIGTERM)

app = typer.Typer(add_completion=False)


@app.command()
def up(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    port_offset: Annotated[
        int, typer.Option("--port-offset", metavar="N", help="Add this to every port, to run beside another stack.")
    ] = 0,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Choose free ports; the table says which.")] = False,
) -> None:
    """Run NATS, Temporal with its UI, a gateway and a worker on this machine, until Ctrl-C.

    Data is kept in the data directory and is there again at the next start. Where there is no configuration yet, a
    working example is written. With NATS_URL or TEMPORAL_ADDRESS in the environment that server is used instead.
    """
    settings = ProcessSettings.load()
    directory = data_dir or settings.data_dir
    file = config or settings.config
    named = config is not None or "config" in settings.model_fields_set
    out = console()
    if not named and not file.exists():
        write_starter(file, directory)
        out.print(escape(f"There is no {file} yet: wrote an example that works, with secrets of its own."))
    loaded = load_config(file)
    _refuse_early(settings, loaded, directory, out)
    ports = Ports.free() if free_ports else with_ports(settings, port_offset)
    stack = EmbeddedStack(directory, file, ports=ports, tell=lambda line: out.print(f"  {escape(line)}"))
    raise typer.Exit(asyncio.run(_serve(stack, loaded, out)))


def _refuse_early(settings: ProcessSettings, loaded: LoadedConfig, directory: Path, out: Console) -> None:
    """Find what would keep the stack from starting before anything starts. Raises RejectedInput."""
    missing = list(unreadable_secrets(loaded.config, Secrets(loaded.file.absolute().parent)))
    fatal = [text for text in missing if text.startswith("sources.")]
    if fatal:
        raise RejectedInput(ErrorCode.CONFIG_INVALID, "; ".join(fatal))
    for text in missing:
        out.print(f"[yellow]warning:[/yellow] {escape(text)}")
    if "nats_url" not in settings.model_fields_set:
        check_room(directory / "nats" / "store", loaded.config.bus.streams)


async def _serve(stack: EmbeddedStack, loaded: LoadedConfig, out: Console) -> int:
    leaving = _listen(stack)
    starting = asyncio.create_task(_start(stack, loaded, out))
    waiting = asyncio.create_task(leaving.wait())
    try:
        await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            await waiting
        else:
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
        out.print(
            "Stopping: gateway and worker finish what they have begun, then Temporal and NATS end. Ctrl-C again kills."
        )
    finally:
        waiting.cancel()
        await stack.stop()
    out.print("Stopped. Everything accepted is kept; the next `holdfast up` goes on with it.")
    return 0


async def _start(stack: EmbeddedStack, loaded: LoadedConfig, out: Console) -> None:
    with out.status("Starting NATS, Temporal, gateway and worker …"):
        await stack.start()
        await _apply_schedules(stack, loaded, out)
    show_stack(stack, loaded, out)


def _listen(stack: EmbeddedStack) -> asyncio.Event:
    """Return what is set at the first signal; the second one kills."""
    leaving, loop = asyncio.Event(), asyncio.get_running_loop()

    def on_signal() -> None:
        if leaving.is_set():
            stack.kill_all()
            os._exit(1)  # the person has asked twice; nothing that waits may hold us
        leaving.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    on_terminal = sys.stdin.isatty()
    # the same signal says "read the file again" and, when a terminal is closed, "your user is gone"
    loop.add_signal_handler(signal.SIGHUP, lambda: on_signal() if on_terminal and _hung_up() else stack.reload())
    return leaving


def _hung_up() -> bool:
    """Whether the terminal that we were started in is gone."""
    try:
        os.tcgetpgrp(sys.stdin.fileno())
    except (OSError, ValueError):
        return True
    return False


async def _apply_schedules(stack: EmbeddedStack, loaded: LoadedConfig, out: Console) -> None:
    """Make Temporal's schedules those of the file. What Temporal refuses is told and holds nothing else up."""
    try:
        client = await connect(load_settings(data_dir=stack.data_dir))
        entries = await schedules.apply(client, loaded.config.schedules)
    except HoldfastError as error:
        out.print(f"[yellow]warning:[/yellow] schedules were not applied: {escape(error.message)}")
        return
    for entry in entries:
        if entry.change is not Change.KEEP:
            note = f" ({entry.reason})" if entry.reason else ""
            out.print(escape(f"  schedule {entry.name}: {entry.change}{note}"))


def show_stack(stack: EmbeddedStack, loaded: LoadedConfig, out: Console) -> None:
    """Print where everything is, and a line to try it."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _rows(stack, loaded):
        table.add_row(name, escape(text))
    out.print()
    out.print(table)
    line = find_line(loaded.config.sources, stack.gateway_url, stack.config.parent, SystemClock().now())
    out.print()
    if line is None:
        out.print("No source has a secret that can be read here, so there is no line to try; see `holdfast check`.")
    else:
        out.print(escape(f"Try it (source {line.source}{'; ' + line.note if line.note else ''}):"))
        out.print(escape(line.line))
        out.print("What became of it (its Location, with the local access token):")
        token = _short(stack.data_dir / TOKEN_FILE)
        where = f"{stack.gateway_url}/events/{line.source}/ID"
        out.print(escape(f'curl -H "Authorization: Bearer $(cat {token})" {where}'))
    out.print("\nReady. Ctrl-C stops everything.")


def _rows(stack: EmbeddedStack, loaded: LoadedConfig) -> list[tuple[str, str]]:
    """One address per row, so that a narrow terminal cuts none."""
    hooks = [f"{stack.gateway_url}{source.path or f'/hooks/{name}'}" for name, source in loaded.config.sources.items()]
    rows = [("webhooks" if at == 0 else "", url) for at, url in enumerate(hooks or ["none: no source is configured"])]
    rows += [("Temporal UI", stack.ui_url), ("Temporal", stack.temporal_address), ("NATS", stack.nats_url)]
    if stack.layout.own_nats:
        rows.append(("  password in", _short(stack.data_dir / "credentials.json")))
    rows += [("metrics", f"{stack.gateway_ops_url}/metrics"), ("", f"{stack.worker_ops_url}/metrics")]
    if stack.layout.settings.worker_api:
        rows += [("admin API", f"{stack.api_url}/v1")]
    rows += [("access token", _short(stack.data_dir / TOKEN_FILE))]
    rows += [("data", _short(stack.data_dir)), ("logs", _short(stack.data_dir / "logs"))]
    return [*rows, ("configuration", _short(stack.config))]


def _short(path: Path) -> str:
    """`path` as the person would type it: relative where it lies below the working directory."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
