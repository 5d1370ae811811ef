"""Options that several commands share, so that they are called and explained the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The configuration file. Default: $HOLDFAST_CONFIG, else that of a running `holdfast up`, else"
        " holdfast.yaml.",
        show_default=False,
    ),
]

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Where `holdfast up` keeps its data; other commands find a running stack there."
        " Default: $HOLDFAST_DATA_DIR, else .holdfast.",
        show_default=False,
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
