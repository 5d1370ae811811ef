"""Who is at the keyboard, for the record of what people do by hand: one answer for every command with `--by`."""

import getpass
import platform
from typing import Annotated

import typer

from holdfast.settings.process import ProcessSettings

ByOption = Annotated[
    str | None,
    typer.Option(
        "--by", metavar="WHO", help="Who does it, for the record. Default: $HOLDFAST_OPERATOR, else you@host."
    ),
]


def person(by: str | None, settings: ProcessSettings) -> str:
    """Return who does it: as told, as the environment says, else `user@host` as far as it is known."""
    if by or settings.operator:
        return by or settings.operator or ""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{user}@{platform.node() or 'unknown'}"[:200]
