"""`holdfast senders`: what is known of each sender. Flow: the tables of presets → **what people read**."""

from typing import Any

import typer
from rich.markup import escape

from holdfast.cli.options import JsonOption
from holdfast.cli.output import console, show_json
from holdfast.domain.manners import MANNERS
from holdfast.domain.preset import Preset
from holdfast.domain.preset_names import ALIASES
from holdfast.domain.presets import PRESETS
from holdfast.errors import ErrorCode, RejectedInput

app = typer.Typer(add_completion=False, no_args_is_help=True)

PAGES = "docs/senders/"


@app.callback()
def _group() -> None:
    """Look up the senders that are known: how they identify events, what they call them, when they repeat."""


@app.command("list")
def list_senders(as_json: JsonOption = False) -> None:
    """List every preset with what its sender does when we are slow or down; --json has all that is known."""
    rows = {name: described(name) for name in sorted(MANNERS)}
    if as_json:
        show_json(list(rows.values()))
        return
    for name, row in rows.items():
        console().print(escape(f"{name:<18} {row['manners']}"))
    console().print(f"\nMore of each: `holdfast senders show PRESET`; its set-up: {PAGES}")


@app.command()
def show(preset: str, as_json: JsonOption = False) -> None:
    """Show what is known of one sender, by the name of its preset or another that it goes by."""
    name = ALIASES.get(preset, preset)
    if name not in MANNERS:
        raise RejectedInput(ErrorCode.NOT_FOUND, f"there is no preset {preset!r}; `holdfast senders list` has them all")
    row = described(name)
    if as_json:
        show_json(row)
        return
    for field, value in row.items():
        console().print(escape(f"{field:<10} {value}"))


def described(name: str) -> dict[str, Any]:
    """Return what is known of a preset, as text."""
    preset = PRESETS.get(name)
    return {
        "preset": name,
        "id": _identity(preset) if preset else "the body's hash, or `event.id`",
        "type": _name(preset) if preset else "webhook.received, or `event.type`",
        "subject": ".".join(preset.subject_field) if preset and preset.subject_field else "none, or `event.subject`",
        "answer": _answer(preset) if preset else "202",
        "manners": MANNERS[name].show(),
    }


def _identity(preset: Preset) -> str:
    if any(place.id for place in preset.scheme.headers):
        return "signed: " + " or ".join(place.id for place in preset.scheme.headers if place.id)
    if preset.id_field:
        return "of the signed body: " + ".".join(preset.id_field)
    if preset.id_header:
        return f"{preset.id_header} with the body's hash"
    return "the body's hash"


def _name(preset: Preset) -> str:
    kind = preset.type_header or ".".join(preset.type_field)
    action = f" and {'.'.join(preset.action_field)}" if preset.action_field else ""
    return kind + action if kind else "webhook.received"


def _answer(preset: Preset) -> str:
    return f"{preset.status} {preset.reply}".strip() if preset.reply is not None else str(preset.status)
