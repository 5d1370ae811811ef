"""`holdfast version`: what runs here, for bug reports."""

import importlib.metadata
import platform

import typer

from holdfast.cli.options import JsonOption
from holdfast.cli.output import console, show_json
from holdfast.embedded.versions import installed

app = typer.Typer(add_completion=False)


@app.command()
def version(as_json: JsonOption = False) -> None:
    """Show the versions of holdfast, Python and the servers that `holdfast up` would start."""
    servers = installed()
    found = {
        "holdfast": importlib.metadata.version("holdfast"),
        "python": platform.python_version(),
        "nats-server": servers.nats_server,
        "temporal": servers.temporal_cli,
        "temporal-server": servers.temporal_server,
    }
    if as_json:
        show_json(found)
        return
    for name, text in found.items():
        console().print(f"{name:<16} {text}")
