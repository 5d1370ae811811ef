"""The options of the moves that take one dead letter or many: which ones, how fast, and whether to ask first.

Flow: `dead-letters redrive|discard|acknowledge` → **Many** → run_operation.
"""

from dataclasses import dataclass
from typing import Annotated

import typer

from holdfast.cli.operation_run import Wanted, run_operation
from holdfast.contracts.operations import FASTEST, BulkWork, CaseSelection, OperationInput
from holdfast.domain.deadletters import CaseState
from holdfast.domain.quantities import RatePerTime, parse_rate
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.process import ProcessSettings
from holdfast.temporal.case_list import Where

MANY = "Many at once"

OneArgument = Annotated[
    str | None,
    typer.Argument(metavar="ID", help="Id of one dead letter, or its case's workflow id.", show_default=False),
]
WhereOption = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="CEL",
        rich_help_panel=MANY,
        help="All that are open and for which this holds; `true` for every one. case.id, .state, .source, .event_id,"
        """ .event_type, .trigger, .error, .assignee, .opened_at, .age. Example: 'case.error == "target.timeout" &&"""
        """ duration(case.age) > duration("2h")'.""",
    ),
]
StateOption = Annotated[
    CaseState | None,
    typer.Option("--state", rich_help_panel=MANY, help="All that are open or acknowledged."),
]
SourceOption = Annotated[
    str | None, typer.Option("--source", metavar="NAME", rich_help_panel=MANY, help="All of this source.")
]
OfTriggerOption = Annotated[
    str | None,
    typer.Option("--of-trigger", metavar="NAME", rich_help_panel=MANY, help="All that this trigger could not deliver."),
]
CodeOption = Annotated[
    str | None,
    typer.Option(
        "--code", "--error", metavar="CODE", rich_help_panel=MANY, help="All with this code, like target.refused."
    ),
]
AssigneeOption = Annotated[
    str | None, typer.Option("--assignee", metavar="WHO", rich_help_panel=MANY, help="All that this person has.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", rich_help_panel=MANY, help="Only count them and show the first.")
]
RateOption = Annotated[
    str, typer.Option("--rate", metavar="RATE", rich_help_panel=MANY, help="At most so many: 50/s, 10/m, 600/h.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", rich_help_panel=MANY, help="Do not ask; for scripts.")]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--id",
        metavar="NAME",
        rich_help_panel=MANY,
        help="Name of the operation: started again under it, nothing is done twice, also after its end. Default: made"
        " of what was asked for; the same asked for again while it runs is the same operation.",
    ),
]
DetachOption = Annotated[
    bool,
    typer.Option("--detach", rich_help_panel=MANY, help="Do not wait for the end; `holdfast bulk show` tells."),
]


@dataclass(frozen=True, slots=True)
class Many:
    """What the options say together."""

    select: CaseSelection
    dry_run: bool
    rate: str
    yes: bool
    operation: str | None
    detach: bool

    @property
    def asked(self) -> bool:
        """Whether many are meant."""
        return bool(self.select.model_dump(exclude_none=True))

    def is_meant(self, dead_letter: str | None) -> bool:
        """Whether many are meant and not one. Raises RejectedInput where it is both or neither."""
        if dead_letter is not None and self.asked:
            raise RejectedInput(ErrorCode.INPUT_INVALID, "give an ID, or say which with --where and its like; not both")
        if dead_letter is None and not self.asked:
            raise RejectedInput(
                ErrorCode.INPUT_INVALID,
                "give an ID, or say which: --where, --state, --source, --of-trigger, --code, --assignee;"
                " --where true means every open one",
            )
        if dead_letter is not None and (self.dry_run or self.operation):
            raise RejectedInput(ErrorCode.INPUT_INVALID, "--dry-run and --id are for many; look at one with `show`")
        return dead_letter is None

    def run(self, settings: ProcessSettings, work: BulkWork, by: str, *, as_json: bool) -> None:
        """Run the operation. Raises RejectedInput for a selection or a rate that makes no sense."""
        if self.select.where is not None:
            Where(self.select.where)
        given = OperationInput(work=work, by=by, rate=rate_of(self.rate), dry_run=self.dry_run)
        run_operation(settings, given, Wanted(self.operation, self.yes, not self.detach, as_json))


def rate_of(text: str) -> RatePerTime:
    """Read `--rate`. Raises RejectedInput `input.invalid`."""
    try:
        rate: RatePerTime = parse_rate(text)
    except ValueError as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"--rate: {error}") from error
    if rate.per_second > FASTEST:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"--rate {text}: at most {FASTEST}/s")
    return rate
