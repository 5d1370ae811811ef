"""`holdfast triggers`: what the triggers of holdfast.yaml would do with an event, before they are live."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from holdfast.cli import pausing
from holdfast.cli.backtest import backtest
from holdfast.cli.options import ConfigOption, DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.cli.samples import Form, Sample, read_events
from holdfast.domain.events import Envelope
from holdfast.domain.explain import Explanation, Step, explain
from holdfast.domain.matching import CompiledJoin, CompiledTrigger
from holdfast.domain.patterns import compile_pattern
from holdfast.domain.quantities import format_duration
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.file import LoadedConfig, load_config
from holdfast.settings.runtime import load_settings

app = typer.Typer(add_completion=False, no_args_is_help=True)

EventOption = Annotated[
    list[Path],
    typer.Option(
        "--event",
        "-e",
        metavar="FILE",
        help="A JSON file, `-` for standard input; may be repeated. An event of Holdfast, a CloudEvent, a list of them,"
        " or a payload as the sender posts it.",
    ),
]
SourceOption = Annotated[
    str | None, typer.Option("--source", metavar="NAME", help="The source it came from, where the file does not say.")
]
TypeOption = Annotated[
    str | None, typer.Option("--type", metavar="TYPE", help="The event's type, in place of its own.")
]
HeaderOption = Annotated[
    list[str] | None,
    typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="A header of the request; repeatable."),
]
QueryOption = Annotated[list[str] | None, typer.Option("--query", metavar="NAME=VALUE", help="A field of the query.")]
PathOption = Annotated[list[str] | None, typer.Option("--path", metavar="NAME=VALUE", help="A path parameter.")]
AtOption = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="When it was received, RFC 3339. Default: now.")
]
TriggerOption = Annotated[str | None, typer.Option("--trigger", "-t", metavar="NAME", help="Only this trigger.")]
FormOption = Annotated[
    Form,
    typer.Option("--as", help="How to read the file; `payload` for a body that looks like something else."),
]
MatchOption = Annotated[bool, typer.Option("--require-match", help="Exit 1 too when an event is taken by no trigger.")]


app.command()(backtest)


@app.callback()
def _group() -> None:
    """See the triggers, and try them before they are live: with events of your own, or those that have been.

    Only `backtest`, `pause` and `resume` need a bus.
    """


@app.command("list")
def list_triggers(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the triggers: what they listen to and what they do."""
    loaded = load_config(load_settings(config).config)
    if as_json:
        show_json([{"trigger": name, **_config(loaded, name)} for name in loaded.config.triggers])
        return
    table = Table("trigger", "on", "filter", "runs", box=None, header_style="bold")
    for name, trigger in loaded.config.triggers.items():
        filters = [f for f in ("match", "during", "when") if getattr(trigger, f)]
        kind = trigger.run.kind
        what = ", ".join(filters) or "every event"
        if trigger.join is not None:
            what = f"join: {trigger.condition or ' && '.join(trigger.join)}, within {format_duration(trigger.within)}"
        table.add_row(name, ", ".join(trigger.on), what, kind)
    console().print(table)


@app.command()
def pause(
    trigger: str,
    reason: pausing.ReasonOption,
    by: pausing.ByOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Send nothing for a trigger until it is resumed. Events are taken in as ever, and their deliveries wait."""
    pausing.pause("trigger", trigger, reason, by, (config, data_dir))


@app.command()
def resume(trigger: str, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Send for a trigger again. `holdfast targets list` shows what is paused."""
    pausing.resume("trigger", trigger, (config, data_dir))


@app.command()
def show(trigger: str, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one trigger, with the CEL that its `match` was compiled to."""
    loaded = load_config(load_settings(config).config)
    _find(loaded, trigger)
    found = _config(loaded, trigger)
    if as_json:
        show_json(found)
        return
    for name, value in found.items():
        console().print(escape(f"{name}: {value}"))


@app.command(name="test")
def try_events(  # noqa: PLR0913, PLR0917 - one parameter per option
    event: EventOption,
    config: ConfigOption = None,
    trigger: TriggerOption = None,
    source: SourceOption = None,
    type_: TypeOption = None,
    header: HeaderOption = None,
    query: QueryOption = None,
    path: PathOption = None,
    at: AtOption = None,
    form: FormOption = "auto",
    require_match: MatchOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say for each event and trigger: matched or not, which clause decided, and what exactly would be run.

    Exit code 0: every trigger could decide, whether or not it wants the event. 1: at least one event would become a
    dead letter of a trigger, because a filter or a mapping failed; or a file cannot be used. Nothing is sent anywhere.
    """
    loaded = load_config(load_settings(config).config)
    sample = Sample(
        form=form,
        source=source or _only_source(loaded, trigger),
        type=type_,
        headers=_pairs(header, ":"),
        query=_pairs(query, "="),
        path=_pairs(path, "="),
        at=None if at is None else _time(at),
    )
    events = [envelope for file in event for envelope in read_events(file, sample, loaded.config.sources)]
    names = [trigger] if trigger is not None else list(loaded.config.triggers)
    compiled = [_find(loaded, name) for name in names]
    results = [(one, [explain(each, one) for each in compiled]) for one in events]
    if as_json:
        show_json({"events": [_result(*one) for one in results]})
    else:
        for one in results:
            _print(*one)
    failed = any(each.outcome == "error" for _, found in results for each in found)
    unwanted = require_match and any(all(each.outcome != "matched" for each in found) for _, found in results)
    if failed or unwanted:
        raise typer.Exit(1)


def _find(loaded: LoadedConfig, name: str) -> CompiledTrigger | CompiledJoin:
    found = loaded.triggers.get(name)
    if found is None:
        known = ", ".join(loaded.config.triggers) or "none"
        raise RejectedInput(ErrorCode.NOT_FOUND, f"there is no trigger {name!r}; there are: {known}")
    return found


def _only_source(loaded: LoadedConfig, trigger: str | None) -> str | None:
    """The source of the one trigger that is asked for, where it listens to one only."""
    on = loaded.config.triggers[trigger].on if trigger in loaded.config.triggers else ()
    return on[0] if len(on) == 1 and on[0] in loaded.config.sources else None


def _config(loaded: LoadedConfig, name: str) -> dict[str, Any]:
    trigger = loaded.config.triggers[name]
    shown: dict[str, Any] = trigger.model_dump(mode="json", exclude_none=True, exclude_unset=True, by_alias=True)
    if trigger.match is not None:
        shown["match_cel"] = compile_pattern(trigger.match)
    return shown


def _result(envelope: Envelope, found: Iterable[Explanation]) -> dict[str, Any]:
    return {
        "id": envelope.id,
        "source": envelope.source,
        "type": envelope.type,
        "triggers": [
            {
                "trigger": each.trigger,
                "matched": each.outcome == "matched",
                "outcome": each.outcome,
                "decided_by": None if each.decided_by is None else _step(each.decided_by),
                "steps": [_step(step) for step in each.steps],
                "action": None if each.action is None else each.action.model_dump(mode="json"),
                "joined": [{"name": one.name, "key": one.key} for one in each.joined],
                "error": None if each.code is None else {"code": str(each.code), "message": each.message},
                "reason": each.message,
            }
            for each in found
        ],
    }


def _step(step: Step) -> dict[str, Any]:
    shown: dict[str, Any] = {"clause": step.clause, "condition": step.condition, "outcome": step.outcome}
    shown |= {"seen": step.seen, "detail": step.detail}
    return shown | ({"cel": step.cel} if step.cel else {})


def _print(envelope: Envelope, found: Iterable[Explanation]) -> None:
    out = console()
    out.print(f"[bold]{escape(f'{envelope.source} {envelope.type} {envelope.id}')}[/bold]")
    marks = {"matched": "[green]✓ matched[/green]", "passed": "[dim]- not wanted[/dim]", "error": "[red]✗ error[/red]"}
    for each in found:
        out.print(f"  {marks[each.outcome]}  {escape(each.trigger)}")
        for step in each.steps:
            if step is each.decided_by or step.clause != "on":
                decided = "  [bold]← decided[/bold]" if step is each.decided_by else ""
                out.print(f"      {escape(step.show())}{decided}")
            if step.cel and step is each.decided_by:
                out.print(f"      [dim]as CEL: {escape(step.cel)}[/dim]")
        for one in each.joined:
            out.print(f"      would be joined as [bold]{one.name}[/bold] by the key {escape(repr(one.key))}")
        if each.action is not None:
            out.print(f"      would run: {escape(each.action.target)}")
            for name, value in each.action.model_dump(mode="json", exclude_defaults=True).items():
                out.print(f"        {escape(f'{name}: {value}')}")
        if each.code is not None:
            out.print(f"      dead letter of stage filter: {escape(each.message)} [dim]({each.code})[/dim]")


def _pairs(given: list[str] | None, separator: str) -> dict[str, str]:
    pairs = {}
    for text in given or ():
        name, found, value = text.partition(separator)
        if not found or not name.strip():
            raise RejectedInput(ErrorCode.INPUT_INVALID, f"{text!r} is not NAME{separator}VALUE")
        pairs[name.strip()] = value.strip()
    return pairs


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"{text!r} is no time with a time zone, like 2026-01-31T08:00:00Z")
    return found
