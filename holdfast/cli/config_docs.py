"""`holdfast config-docs` (hidden): docs/configuration.md and the JSON schema, from the models that do the checking."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast.cli.output import console
from holdfast.cli.reference import render_reference, render_schema

FILES = {"configuration.md": render_reference, "holdfast.schema.json": render_schema}

app = typer.Typer(add_completion=False)


@app.command(hidden=True)
def config_docs(
    directory: Annotated[Path, typer.Option("--directory", help="Where to write the files.")] = Path("docs"),
) -> None:
    """Write the reference of the configuration and its JSON schema."""
    for name, render in FILES.items():
        (directory / name).write_text(render(), encoding="utf-8")
        console().print(str(directory / name))
