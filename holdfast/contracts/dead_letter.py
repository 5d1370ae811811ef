"""The dead letter as it lies in the DEAD_LETTERS stream, and the payloads of its case."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from holdfast.contracts.delivery import Attempt, DeliveryInput, Redrive
from holdfast.contracts.scheduled import ScheduledInput
from holdfast.domain.actions import DeliverySpec
from holdfast.domain.deadletters import CaseState, Stage
from holdfast.domain.events import Envelope

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class DeadLetterRecord(BaseModel):
    """Everything needed to understand and to redrive one failure. `id` is unique: one record per failed delivery."""

    model_config = _FROZEN

    version: Literal[1] = 1
    id: str  # the delivery's workflow id, or ids.stray_id / ids.foreign_id
    stage: Stage
    code: str
    message: str
    at: AwareDatetime
    source: str = ""
    event_id: str = ""
    event_type: str = ""
    trigger: str = ""
    envelope: Envelope | None = None
    spec: DeliverySpec | None = None
    raw_base64: str | None = None  # stage decode: the bytes as they were found
    tick: ScheduledInput | None = None  # stage schedule: what should have become an event
    attempts: tuple[Attempt, ...] = ()
    attempt_count: int = 0
    workflow_id: str | None = None
    run_id: str | None = None
    stream: str | None = None
    sequence: int | None = None
    traceparent: str | None = None
    redrive: Redrive | None = None  # it failed again: the case it belongs to

    @property
    def subject_source(self) -> str:
        """The subject token for the source; a letter without one stands under `_`."""
        return self.source or "_"


class StoredDeadLetter(BaseModel):
    """Result of `record_dead_letter`: where the record lies."""

    model_config = _FROZEN

    stream: str
    sequence: int
    duplicate: bool


class HistoryEntry(BaseModel):
    """Who did what to a case, and when."""

    model_config = _FROZEN

    at: AwareDatetime
    by: str
    move: str
    note: str = ""


class AcknowledgeInput(BaseModel):
    """Somebody has seen it and looks after it."""

    model_config = _FROZEN

    by: str = Field(default="unknown", max_length=200)
    note: str = Field(default="", max_length=2_000)


class RedriveInput(BaseModel):
    """Try again, with the trigger as it is configured now; `body` replaces the event's body (the original is kept)."""

    model_config = _FROZEN

    by: str = Field(default="unknown", max_length=200)
    reason: str = Field(default="", max_length=2_000)
    body: str | None = Field(default=None, max_length=1_048_576)


class DiscardInput(BaseModel):
    """Give it up, with the reason."""

    model_config = _FROZEN

    by: str = Field(default="unknown", max_length=200)
    reason: str = Field(min_length=1, max_length=2_000)


class CaseView(BaseModel):
    """Answer of the query `case` and of every Update."""

    model_config = _FROZEN

    id: str  # workflow id of the case
    state: CaseState
    record: DeadLetterRecord
    redrives: tuple[str, ...] = ()  # workflow ids, in order
    failures: tuple[Attempt, ...] = ()  # how each failed redrive ended
    history: tuple[HistoryEntry, ...] = ()


class PrepareRedriveInput(BaseModel):
    """Input of `prepare_redrive`."""

    model_config = _FROZEN

    record: DeadLetterRecord
    redrive: Redrive
    body: str | None = None


class PrepareRedriveResult(BaseModel):
    """What a redrive comes to: a delivery; or nothing, because the trigger no longer wants the event."""

    model_config = _FROZEN

    delivery: DeliveryInput | None = None
    reason: str = ""


class RepublishInput(BaseModel):
    """Input of `republish`: put a message that was no event back on the bus, to be decoded anew."""

    model_config = _FROZEN

    record: DeadLetterRecord
    redrive: Redrive
    body: str | None = None
