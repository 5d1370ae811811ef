"""What people send to a case: the input of each Update (and of the signal of the same name), and what it leaves behind.

Every field has a default where that makes sense, so that `temporal workflow update execute` needs no more than a name.
"""

from datetime import timedelta
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from holdfast.contracts.delivery import Attempt
from holdfast.domain.quantities import Duration

_FROZEN = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
MAX_BODY = 1_048_576  # characters of an edited body; an Update's input ends at 2 MiB
LONGEST_SNOOZE = timedelta(days=366)

Config = Literal["current", "recorded"]


class MoveInput(BaseModel):
    """What every move takes: who does it."""

    model_config = _FROZEN

    by: str = Field(default="unknown", min_length=1, max_length=200)


class AcknowledgeInput(MoveInput):
    """Somebody has seen it and looks after it."""

    note: str = Field(default="", max_length=2_000)


class AssignInput(MoveInput):
    """Give it to somebody; empty `to` gives it to nobody again."""

    to: str = Field(max_length=200)
    note: str = Field(default="", max_length=2_000)


class SnoozeInput(MoveInput):
    """Ask for no attention `until` a time or `for` a while; then the case is open again."""

    until: AwareDatetime | None = None
    for_: Duration | None = Field(default=None, alias="for")
    reason: str = Field(default="", max_length=2_000)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.until is None) == (self.for_ is None):
            raise ValueError('give either "until" (a time with its zone) or "for" (like 2h)')
        if self.for_ is not None and not timedelta(seconds=1) <= self.for_ <= LONGEST_SNOOZE:
            raise ValueError('"for" must be between 1s and 366d')
        return self


class CommentInput(MoveInput):
    """Leave a note for the others."""

    text: str = Field(min_length=1, max_length=2_000)


class RedriveInput(MoveInput):
    """Try again. `body` replaces the event's body (the original is kept).

    `trigger` delivers by another trigger, whose filter is not asked; `config: recorded` repeats exactly the action
    that failed, where `current` (the default) decides anew with the trigger as it is configured now.
    `unless_since` is what operations over many cases send, so that two of them redrive each case once.
    """

    reason: str = Field(default="", max_length=2_000)
    body: str | None = Field(default=None, max_length=MAX_BODY)
    trigger: str | None = Field(default=None, min_length=1, max_length=200)
    config: Config = "current"
    unless_since: AwareDatetime | None = None  # refused, `case.redriven`, where a redrive was asked for since then

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.config == "recorded" and self.trigger is not None:
            raise ValueError('"config": "recorded" repeats the action that failed; it takes no "trigger"')
        return self


class DiscardInput(MoveInput):
    """Give it up, with the reason."""

    reason: str = Field(min_length=1, max_length=2_000)


class RecoveredInput(BaseModel):
    """Signal `recovered`: a delivery of the same trigger succeeded at `at`."""

    model_config = _FROZEN

    at: AwareDatetime
    delivery: str


class SupersededInput(BaseModel):
    """Signal `superseded`: a delivery of a newer event of the same key succeeded at `at`.

    `own_run`: it was the case's own delivery, reset after it had failed; the run that delivered.
    """

    model_config = _FROZEN

    at: AwareDatetime
    delivery: str
    own_run: str = ""


class HistoryEntry(BaseModel):
    """Who did what to a case, and when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime
    by: str
    move: str
    note: str = ""


class RedriveLine(BaseModel):
    """One redrive: what was asked for, what came of it. `delivery` is its workflow id, which holds what was sent.

    `body` is the edited body where it is small; `body_sha256` and `body_size` (characters) tell it in any case.
    `dead_letter` is the record of its own that a failed redrive has, at `stream`/`sequence`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    at: AwareDatetime
    by: str
    reason: str = ""
    automatic: bool = False
    trigger: str = ""
    config: Config = "current"
    body_sha256: str | None = None
    body_size: int | None = None
    body: str | None = None
    delivery: str = ""
    outcome: Literal["running", "delivered", "failed", "refused", "nothing"] = "running"
    ended: AwareDatetime | None = None
    code: str = ""
    message: str = ""
    dead_letter: str | None = None
    stream: str | None = None
    sequence: int | None = None
    attempts: tuple[Attempt, ...] = ()
    attempt_count: int = 0
