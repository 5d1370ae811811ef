"""`holdfast triggers backtest`: a changed file against the events that have been, before it is live.

Flow: the running file, the changed file, the streams → `holdfast/domain/backtest.py` → what would differ.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from holdfast.bus.connect import Bus
from holdfast.bus.lookup import event_streams, read
from holdfast.bus.objects import load_body
from holdfast.bus.retention import fill_of, first_after
from holdfast.bus.running import running_file
from holdfast.bus.streams import source_token, subject_prefix
from holdfast.cli.clients import open_bus
from holdfast.cli.options import DataDirOption, JsonOption
from holdfast.cli.output import console, show_json
from holdfast.domain.backtest import Difference, differences
from holdfast.domain.events import Envelope, decode_envelope, pack_body
from holdfast.domain.matching import CompiledTriggers
from holdfast.domain.quantities import parse_duration
from holdfast.errors import ErrorCode, PermanentFailure, RejectedInput
from holdfast.settings.file import load_config
from holdfast.settings.runtime import load_settings

READ_WITHIN = timedelta(hours=1)
TITLES = {
    "newly_matched": "[green]+ newly matched[/green]",
    "no_longer_matched": "[yellow]- no longer matched[/yellow]",
    "changed": "[cyan]~ would run otherwise[/cyan]",
    "newly_failing": "[red]✗ would be a dead letter[/red]",
    "mended": "[green]✓ would no longer be a dead letter[/green]",
}


@dataclass(slots=True)
class Report:
    """What was found; `shown` holds the first differences, `kinds` counts all."""

    events: int = 0
    unreadable: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    triggers: dict[str, Counter[str]] = field(default_factory=dict)
    shown: list[dict[str, Any]] = field(default_factory=list)


def backtest(  # noqa: PLR0913, PLR0917 - one parameter per option
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="From when on: a duration like 24h, or RFC 3339.")
    ] = "24h",
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="The changed file. Default: holdfast.yaml as it is now."),
    ] = None,
    running: Annotated[
        Path | None,
        typer.Option("--running", metavar="FILE", help="The file to compare with. Default: what a worker runs now."),
    ] = None,
    source: Annotated[str | None, typer.Option("--source", metavar="NAME", help="Only events of this source.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="Differences to show; all count.")] = 100,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 1 where anything differs, as diff does.")
    ] = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a changed file against the events that are kept, and show what would differ from the running one.

    Per event and trigger: newly matched, no longer matched, run otherwise (and how), failing or mended. Nothing is
    started or sent. Exit code 0: no event would newly be a dead letter. 1: one would, or the files cannot be compared.
    Only events still in their stream are seen: `tasks` and `transactions` keep none that is settled.
    """
    settings = load_settings(config, data_dir)
    changed = load_config(settings.config).triggers
    began = _since(since)

    async def run() -> Report:
        async with open_bus(settings) as bus:
            old = load_config(running).triggers if running is not None else _triggers(await running_file(bus))
            return await _compare(bus, (old, changed), began, source, limit)

    report = asyncio.run(run())
    if as_json:
        show_json(
            {
                "since": began.isoformat(),
                "events": report.events,
                "unreadable": report.unreadable,
                "summary": dict(report.kinds),
                "triggers": {name: dict(kinds) for name, kinds in report.triggers.items()},
                "differences": report.shown,
            }
        )
    else:
        _print(report)
    if report.kinds["newly_failing"] or (exit_code and report.kinds.total()):
        raise typer.Exit(1)


async def _compare(
    bus: Bus, sides: tuple[CompiledTriggers, CompiledTriggers], began: datetime, source: str | None, limit: int
) -> Report:
    report = Report()
    async with aclosing(_events(bus, began, source)) as events:
        async for stream, sequence, envelope in events:
            if envelope is None:
                report.unreadable += 1
                continue
            report.events += 1
            for found in await asyncio.to_thread(_differences, sides, envelope):
                report.kinds[found.kind] += 1
                report.triggers.setdefault(found.trigger, Counter())[found.kind] += 1
                if len(report.shown) < limit:
                    report.shown.append(_shown(stream, sequence, envelope, found))
    return report


def _differences(sides: tuple[CompiledTriggers, CompiledTriggers], envelope: Envelope) -> list[Difference]:
    return list(differences(*sides, envelope))


async def _events(
    bus: Bus, began: datetime, source: str | None
) -> AsyncGenerator[tuple[str, int, Envelope | None], None]:
    """Iterate over the events of every stream that are there now; None for what is none, or has lost its body."""
    for stream in await event_streams(bus):
        fill = await fill_of(bus, stream)
        first = await first_after(bus, stream, began, fill)
        subject = f"{subject_prefix(stream)}.{source_token(source) if source is not None else '*'}.*"
        async for raw in read(bus, stream, subject, after=first - 1, within=READ_WITHIN):
            if raw.sequence > fill.last:
                break
            try:
                envelope = decode_envelope(raw.data)
                if envelope.body_ref is not None:
                    encoding, text = pack_body(await load_body(bus, envelope))
                    whole: dict[str, Any] = {"body_ref": None, "body_encoding": encoding, "body": text}
                    envelope = envelope.model_copy(update=whole)
            except (RejectedInput, PermanentFailure):
                yield stream, raw.sequence, None
                continue
            yield stream, raw.sequence, envelope


def _triggers(text: str) -> CompiledTriggers:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "running.yaml"
        file.write_text(text, encoding="utf-8")
        return load_config(file, actions=False).triggers


def _shown(stream: str, sequence: int, envelope: Envelope, found: Difference) -> dict[str, Any]:
    return {
        "stream": stream,
        "sequence": sequence,
        "source": envelope.source,
        "id": envelope.id,
        "type": envelope.type,
        "trigger": found.trigger,
        "kind": found.kind,
        "before": found.before,
        "after": found.after,
        "reason": found.reason,
        "changes": [{"path": path, "before": before, "after": after} for path, before, after in found.changes],
    }


def _print(report: Report) -> None:
    out = console()
    for each in report.shown:
        what = f"{each['source']} {each['type']} {each['id']} ({each['stream']} #{each['sequence']})"
        out.print(f"{TITLES[each['kind']]}  {escape(each['trigger'])}: {escape(what)}")
        if not each["changes"]:
            out.print(escape(f"    {each['reason']}"))
        for change in each["changes"]:
            out.print(escape(f"    {change['path']}: {change['before']!r} → {change['after']!r}"))
    left = report.kinds.total() - len(report.shown)
    if left > 0:
        out.print(f"… and {left} more; --limit shows them")
    for name, kinds in sorted(report.triggers.items()):
        out.print(escape(f"{name}: " + ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in kinds.items())))
    total = report.kinds.total()
    out.print(f"{report.events} events, {total} difference{'s' if total != 1 else ''}")
    if report.unreadable:
        out.print(f"{report.unreadable} could not be read")


def _since(text: str) -> datetime:
    try:
        before: datetime = datetime.now(UTC) - parse_duration(text)
    except (ValueError, TypeError, OverflowError):
        pass
    else:
        return before
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"{text!r} is neither a duration like 24h nor a time with a zone")
    return moment
