"""`holdfast replay`: events of the past to the triggers as they are configured now, under new, linked identities.

Flow: the streams of events → **replay** → decide → EventDelivery `{delivery}:replay-…`.
"""

from datetime import UTC, datetime
from typing import Annotated

import typer

from holdfast.cli.case_selection import DetachOption, DryRunOption, NameOption, RateOption, YesOption, rate_of
from holdfast.cli.moments import moment_of
from holdfast.cli.operation_run import Wanted, run_operation
from holdfast.cli.options import DataDirOption, JsonOption
from holdfast.cli.person import ByOption, person
from holdfast.contracts.operations import OperationInput, ReplayWork
from holdfast.domain.expressions import EVENT
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.runtime import load_settings

app = typer.Typer(add_completion=False)


@app.command()
def replay(  # noqa: PLR0913, PLR0917 - one parameter per option
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="Events of this source.")],
    since: Annotated[
        str,
        typer.Option("--since", metavar="TIME", help="Stored since: 2h, 7d, or a time like 2026-11-20T08:00:00Z."),
    ],
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Stored before; like --since. Default: now.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="CEL", help="Only those for which this holds; `event` is as in a trigger."),
    ] = None,
    trigger: Annotated[
        str | None, typer.Option("--trigger", metavar="NAME", help="Only to this trigger. Default: to all that match.")
    ] = None,
    unmatched: Annotated[
        bool, typer.Option("--unmatched", help="Only events that no trigger wanted when they came.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also what was delivered or replayed before: the targets get it twice.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")] = "",
    dry_run: DryRunOption = False,
    rate: RateOption = "50/s",
    yes: YesOption = False,
    operation: NameOption = None,
    detach: DetachOption = False,
    by: ByOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Deliver events of the past to the triggers as they are configured now: what matched nothing, or a new trigger.

    Filters are asked as for new events. What a trigger has delivered is not delivered to it again, unless you say
    --again; what is delivered has an identity of its own, linked to the original, so receivers see a new
    Idempotency-Key. [bold]--dry-run[/bold] says which triggers would match which events, and why.

    All streams of events are read. One with the preset tasks or transactions deletes an event when it is settled, so
    there is nothing of it to replay.
    """
    settings, now = load_settings(None, data_dir), datetime.now(UTC)
    first, last = moment_of("--since", since, now), now if until is None else moment_of("--until", until, now)
    if first >= last:
        raise RejectedInput(ErrorCode.INPUT_INVALID, "--since must be before --until")
    if where is not None:
        EVENT.compile(where)
    work = ReplayWork(
        source=source,
        since=first,
        until=last,
        where=where,
        trigger=trigger,
        unmatched=unmatched,
        again=again,
        reason=reason,
    )
    given = OperationInput(work=work, by=person(by, settings), rate=rate_of(rate), dry_run=dry_run)
    run_operation(settings, given, Wanted(operation, yes, not detach, as_json))
