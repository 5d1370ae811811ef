"""What people and scripts see: results on standard output, everything else on standard error."""

import json
import sys
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape

from holdfast.errors import HoldfastError
from holdfast.settings.file import ConfigError


def console(*, stderr: bool = False) -> Console:
    """Return a console that breaks no line: addresses and commands must survive being copied."""
    return Console(stderr=stderr, soft_wrap=True, highlight=False)


def say(line: str) -> None:
    """Print one line on standard error, as it is."""
    console(stderr=True).print(escape(line))


def show_json(value: Any) -> None:
    """Print a result for scripts: one JSON document."""
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    sys.stdout.write(json.dumps(plain, indent=2, ensure_ascii=False) + "\n")


def json_line(value: Any) -> str:
    """One element of a long JSON list, on a line of its own."""
    return json.dumps(value, ensure_ascii=False)


def show_error(error: HoldfastError) -> None:
    """Print an expected error: what is wrong and what to do, with its stable code; no traceback."""
    err = console(stderr=True)
    if isinstance(error, ConfigError):
        for problem in error.problems:
            err.print(escape(problem.show(error.file)))
        count = len(error.problems)
        err.print(f"[red]{count} problem{'s' if count != 1 else ''}[/red] ({error.code})")
        return
    err.print(f"[red]error:[/red] {escape(error.message)} [dim]({error.code})[/dim]")
