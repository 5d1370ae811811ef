"""The dead letter as it lies in the DEAD_LETTERS stream, and the payloads of its case."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from holdfast.contracts.delivery import Attempt, DeliveryInput, Redrive, Replayed, StepOutcome
from holdfast.contracts.escalations import CaseNotice
from holdfast.contracts.moves import Config, HistoryEntry, RedriveLine
from holdfast.contracts.scheduled import ScheduledInput
from holdfast.domain.actions import DeliverySpec
from holdfast.domain.deadletters import CaseState, Stage
from holdfast.domain.events import Envelope
from holdfast.domain.triggers import DeadLetterConfig

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
    attempts: tuple[Attempt, ...] = ()  # the first and the last; `attempts_omitted` says how many between are not kept
    attempt_count: int = 0
    attempts_omitted: int = 0
    trigger_hash: str = ""  # of the trigger's configuration that failed
    policy: DeadLetterConfig | None = None  # of the trigger: expiry, escalation, automatic redrives
    key: str = ""  # of what the event is, where the trigger tells newer from older
    workflow_id: str | None = None
    run_id: str | None = None
    stream: str | None = None
    sequence: int | None = None
    traceparent: str | None = None
    trace_id: str | None = None  # 32 hex digits of it, to search for
    redrive: Redrive | None = None  # it failed again: the case it belongs to
    steps: tuple[StepOutcome, ...] = ()  # of an action with steps: what was done, what failed, what was undone
    replay: Replayed | None = None  # it was replayed: of which delivery, by which operation

    @property
    def subject_source(self) -> str:
        """The subject token for the source; a letter without one stands under `_`."""
        return self.source or "_"

    @property
    def handling(self) -> DeadLetterConfig:
        """How its trigger wants it handled; the defaults where there is no trigger."""
        return self.policy or (self.spec.dead_letter if self.spec else DeadLetterConfig())

    def without_bulk(self) -> "DeadLetterRecord":
        """Return it without event, action and bytes: they stay in the streams, where `sequence` points."""
        cut = {"spec": None, "raw_base64": None, "tick": None, "envelope": None, "policy": self.handling}
        return self.model_copy(update=cut)


def trace_id(traceparent: str | None) -> str | None:
    """Return the trace's 32 hex digits out of a W3C traceparent."""
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else None


class StoredDeadLetter(BaseModel):
    """Result of `record_dead_letter`: where the record lies."""

    model_config = _FROZEN

    stream: str
    sequence: int
    duplicate: bool


class CaseView(BaseModel):
    """Answer of the query `case` and of every Update; an Update's answer leaves out a large event (`record_cut`)."""

    model_config = _FROZEN

    id: str  # workflow id of the case
    state: CaseState
    record: DeadLetterRecord
    record_cut: bool = False  # the record is shown without event, action and bytes; the query has them
    assignee: str = ""
    snoozed_until: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None  # while it waits for people
    next_redrive_at: AwareDatetime | None = None  # when it is redriven by itself
    redrives: tuple[str, ...] = ()  # workflow ids, in order
    redrive_log: tuple[RedriveLine, ...] = ()  # what was asked for each time, and what came of it
    failures: tuple[Attempt, ...] = ()  # how each failed redrive ended
    history: tuple[HistoryEntry, ...] = ()
    history_omitted: int = 0  # older entries that are no longer kept


class CarriedCase(BaseModel):
    """A case that goes on in a new run, because its history grew long: all that it knows."""

    model_config = _FROZEN

    version: Literal[1] = 1
    view: CaseView
    since: AwareDatetime
    automatic: int = 0
    failed_at: AwareDatetime
    failed_code: str
    made: int = 0  # redrives that were started
    asked: int = 0  # redrives that were asked for, refused ones included
    answered: tuple[str, ...] = ()  # ids of Updates that are done: sent again they change nothing
    notices: tuple[CaseNotice, ...] = ()  # not reported yet
    escalation: str | None = None


class PrepareRedriveInput(BaseModel):
    """Input of `prepare_redrive`."""

    model_config = _FROZEN

    record: DeadLetterRecord
    redrive: Redrive
    body: str | None = None
    trigger: str | None = None  # deliver by this one, whose filter is not asked
    config: Config = "current"


class PrepareRedriveResult(BaseModel):
    """What a redrive comes to: a delivery; or nothing, because the trigger no longer wants the event; or a refusal."""

    model_config = _FROZEN

    delivery: DeliveryInput | None = None
    reason: str = ""
    refused: bool = False  # what was asked for cannot be done, for `reason`; the case stays as it was


class RepublishInput(BaseModel):
    """Input of `republish`: put a message that was no event back on the bus, to be decoded anew."""

    model_config = _FROZEN

    record: DeadLetterRecord
    redrive: Redrive
    body: str | None = None
