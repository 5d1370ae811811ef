"""Payloads of the operations over many things, `BulkOperation` and `Replay`, and of the activities behind them.

Both go the same way: survey (count, show a sample) → confirm → slices of items → an end; see workflows/operation.py.
"""

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from holdfast.contracts.moves import Config
from holdfast.domain.deadletters import CaseState
from holdfast.domain.quantities import Rate, RatePerTime

_FROZEN = ConfigDict(frozen=True, extra="forbid")

Phase = Literal["counting", "waiting", "running", "paused", "done", "dry-run", "cancelled", "failed"]
BulkMove = Literal["redrive", "discard", "acknowledge"]
MAX_SAMPLE = 10  # items shown before it is confirmed
MAX_FAILURES = 50  # items that failed, kept by name; the others are counted
DEFAULT_RATE = RatePerTime(50, timedelta(seconds=1))
FASTEST = 1_000  # a second; more than any worker does


class CaseSelection(BaseModel):
    """Which cases; None means any. Only those that are still open: a closed case stays closed."""

    model_config = _FROZEN

    where: str | None = Field(default=None, max_length=2_048)  # CEL over `case`
    state: CaseState | None = None
    source: str | None = None
    trigger: str | None = None
    error: str | None = None
    assignee: str | None = None


class BulkWork(BaseModel):
    """One move for every case of a selection."""

    model_config = _FROZEN

    kind: Literal["bulk"] = "bulk"
    move: BulkMove
    select: CaseSelection = CaseSelection()
    reason: str = Field(default="", max_length=1_500)
    trigger: str | None = Field(default=None, min_length=1, max_length=200)  # redrive: deliver by this one
    config: Config = "current"  # redrive: as in RedriveInput


class ReplayWork(BaseModel):
    """Every event of a source that was stored between two moments, delivered under a new, linked identity."""

    model_config = _FROZEN

    kind: Literal["replay"] = "replay"
    source: str = Field(min_length=1, max_length=63)
    since: AwareDatetime
    until: AwareDatetime
    where: str | None = Field(default=None, max_length=2_048)  # CEL over `event`
    trigger: str | None = Field(default=None, min_length=1, max_length=63)  # only this one; None: all that match
    unmatched: bool = False  # only events that no trigger wanted
    again: bool = False  # also what was delivered, or replayed, before
    reason: str = Field(default="", max_length=1_500)


Work = Annotated[BulkWork | ReplayWork, Field(discriminator="kind")]


class Failed(BaseModel):
    """One item that could not be done."""

    model_config = _FROZEN

    item: str
    code: str
    message: str


class Survey(BaseModel):
    """What an operation would do: how many, of which kinds, and the first of them."""

    model_config = _FROZEN

    count: int = 0
    by: dict[str, int] = {}  # by state and trigger of cases; by trigger that would deliver
    sample: tuple[dict[str, Any], ...] = ()
    note: str = ""  # what people must know: from when on events exist, …
    end: int = 0  # replay: the last place in EVENTS
    ends: dict[str, int] = {}  # replay: the last place in each stream of events


class Cursor(BaseModel):
    """How far an operation has come. Cases go from the newest to the oldest, events from the oldest to the newest."""

    model_config = _FROZEN

    before: str = ""  # bulk: start time of the last case, as visibility has it
    seen: tuple[str, ...] = ()  # bulk: run ids of the cases done at exactly that time
    stream: str = ""  # replay: the stream that it has come to; those before are done
    sequence: int = 0  # replay: the last event of it that was looked at


class Tally(BaseModel):
    """What has come of the items so far."""

    model_config = _FROZEN

    done: int = 0
    skipped: dict[str, int] = {}  # by reason: nothing was to be done any more, or it was refused
    failed: int = 0
    failures: tuple[Failed, ...] = ()

    @property
    def total(self) -> int:
        """How many items were looked at."""
        return self.done + sum(self.skipped.values()) + self.failed

    def plus(self, other: "Tally") -> "Tally":
        """Return the sum; the first failures are kept by name."""
        skipped = dict(self.skipped)
        for reason, number in other.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + number
        return Tally(
            done=self.done + other.done,
            skipped=skipped,
            failed=self.failed + other.failed,
            failures=(*self.failures, *other.failures)[:MAX_FAILURES],
        )


class Said(BaseModel):
    """Who changed the course of an operation, and why."""

    model_config = _FROZEN

    at: AwareDatetime
    by: str
    what: str
    reason: str = ""


class Carried(BaseModel):
    """An operation that goes on in a new run: all that it knows."""

    model_config = _FROZEN

    phase: Phase
    began: AwareDatetime
    survey: Survey
    cursor: Cursor
    tally: Tally
    said: tuple[Said, ...] = ()
    not_before: AwareDatetime | None = None


class OperationInput(BaseModel):
    """Input of `BulkOperation` and of `Replay`."""

    model_config = _FROZEN

    version: Literal[1] = 1
    work: Work
    by: str = Field(default="unknown", min_length=1, max_length=200)
    rate: Rate = DEFAULT_RATE
    dry_run: bool = False
    confirmed: bool = False  # False: it waits for the Update `confirm` once it has counted
    carried: Carried | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.rate.per_second > FASTEST:
            raise ValueError(f"rate: at most {FASTEST}/s")
        return self


class SteerInput(BaseModel):
    """What the Updates `confirm`, `pause`, `resume` and `cancel` take."""

    model_config = _FROZEN

    by: str = Field(default="unknown", min_length=1, max_length=200)
    reason: str = Field(default="", max_length=2_000)


class Progress(BaseModel):
    """Answer of the query `progress`, of every Update, and the result: where an operation is."""

    model_config = _FROZEN

    id: str
    phase: Phase
    work: Work
    by: str
    rate: Rate
    began: AwareDatetime
    ended: AwareDatetime | None = None
    survey: Survey
    tally: Tally
    missed: int = 0  # counted, and no longer there when it was their turn: closed or changed meanwhile
    said: tuple[Said, ...] = ()
    message: str = ""  # why it failed


class SurveyInput(BaseModel):
    """Input of `survey_operation`; nothing that came after `began` is meant."""

    model_config = _FROZEN

    work: Work
    began: AwareDatetime


class SliceInput(BaseModel):
    """Input of `advance_operation`: do the next items, at most `items`, none before `not_before`."""

    model_config = _FROZEN

    operation: str  # the id people know it by
    run: str  # the first run's id: with it, what is sent for an item is the same however often it is sent
    work: Work
    by: str
    rate: Rate
    began: AwareDatetime
    end: int
    ends: dict[str, int] = {}
    cursor: Cursor
    items: int
    not_before: AwareDatetime | None = None


class SliceResult(BaseModel):
    """What a slice did; `not_before`: when the pace allows the next item. `finished`: nothing is left."""

    model_config = _FROZEN

    cursor: Cursor
    tally: Tally
    finished: bool
    not_before: AwareDatetime | None = None
