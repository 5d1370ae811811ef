"""Payloads of `EventDelivery` and of the activities it calls."""

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from holdfast.domain.actions import DeliverySpec, WorkflowAction
from holdfast.domain.events import Envelope
from holdfast.domain.quantities import Duration

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Redrive(BaseModel):
    """Lineage of a delivery that a person (or a policy) started again."""

    model_config = _FROZEN

    dead_letter_id: str
    case: str  # workflow id of the DeadLetter that started it
    number: int  # from 1


class StepOutcome(BaseModel):
    """What came of one step of several."""

    model_config = _FROZEN

    name: str
    state: Literal["done", "failed"]
    result: Any = None
    code: str = ""
    message: str = ""
    compensation: Literal["", "done", "failed"] = ""
    compensation_error: str = ""

    @property
    def stands(self) -> bool:
        """Whether it was done and not undone, so that a redrive must not do it again."""
        return self.state == "done" and self.compensation != "done"


class Replayed(BaseModel):
    """Lineage of a delivery that was made anew from the stream."""

    model_config = _FROZEN

    of: str  # workflow id that the delivery has when it comes by itself
    operation: str  # workflow id of the Replay
    by: str
    again: str = ""  # the operation's name, where it repeats what was delivered or replayed before


class DeliveryInput(BaseModel):
    """Input of `EventDelivery`. It arrives raw and is validated inside the workflow, where failing is an outcome."""

    model_config = _FROZEN

    version: Literal[1] = 1
    envelope: Envelope
    spec: DeliverySpec
    sequence: int | None = None  # position in its stream
    stream: str = "EVENTS"  # where it lies
    redrive: Redrive | None = None
    lined_up: bool = False  # it waited for a rate before it was started
    shown: bool = False  # its state says `waiting` from its start
    gated: bool = False  # a `workflow` action that must be admitted before its run is started
    completed: tuple[StepOutcome, ...] = ()  # of an action with steps: those that an earlier delivery has done
    replay: Replayed | None = None
    awaited_until: AwareDatetime | None = None  # until then a gateway waits to be told the outcome


class Attempt(BaseModel):
    """One failed attempt."""

    model_config = _FROZEN

    number: int
    at: AwareDatetime
    code: str
    message: str


class DeliveryResult(BaseModel):
    """Result of `EventDelivery` when the event was delivered. A dead-lettered delivery fails, type `dead_lettered`."""

    model_config = _FROZEN

    outcome: Literal["delivered", "superseded"] = "delivered"
    attempts: int
    target: str
    result: Any = None  # what the action gave back, bounded: HTTP status, child's result, stream sequence


class Progress(BaseModel):
    """Answer of the query `progress`: what failed before the activity that Temporal itself shows, and what is next."""

    model_config = _FROZEN

    failures: tuple[Attempt, ...] = ()
    next_attempt_at: AwareDatetime | None = None
    waiting: str = ""  # why it is held back, for people; empty where it is not


class DeliverInput(BaseModel):
    """Input of the activity `deliver`: one attempt at the action."""

    model_config = _FROZEN

    delivery: str  # workflow id: the Idempotency-Key
    envelope: Envelope
    spec: DeliverySpec
    prior_attempts: int = 0  # attempts made before this activity: its own first is number prior + 1
    holds: int = 0  # how often it was held back before
    answer_wanted: bool = False  # somebody waits: the beginning of the target's answer belongs to the result


class DeliverResult(BaseModel):
    """What one successful attempt gave back."""

    model_config = _FROZEN

    attempt: int
    summary: str  # e.g. "HTTP 200", for the UI
    result: Any = None


class HeldBack(BaseModel):
    """Why an attempt was not made now; in the details of the failure `delivery.held`."""

    model_config = _FROZEN

    why: str  # rate, concurrency, breaker, paused, bus
    lane: str  # `trigger/{name}` or `target/{name}`
    reason: str  # for people


class AdmitInput(BaseModel):
    """Input of `admit` and `leave`: may this run be started, or go on holding its place?"""

    model_config = _FROZEN

    delivery: str
    spec: DeliverySpec
    holds: int = 0
    renewal: bool = False
    failed: bool | None = None  # of `leave`


class AdmitResult(BaseModel):
    """Whether a run may be started now; `renew_every`: how often it must say that it goes on."""

    model_config = _FROZEN

    held: HeldBack | None = None
    wait: Duration | None = None
    renew_every: Duration | None = None


class PreparedStep(BaseModel):
    """Result of `prepare_step`."""

    model_config = _FROZEN

    action: WorkflowAction


class InspectChildInput(BaseModel):
    """Input of `inspect_child`."""

    model_config = _FROZEN

    workflow_id: str


class InspectChildResult(BaseModel):
    """Whether a supervised child has begun, and what keeps it if not."""

    model_config = _FROZEN

    begun: bool
    failing_attempts: int = 0  # workflow task attempts that failed before the first success
    cause: str = ""
    age: Duration


class TerminateChildInput(BaseModel):
    """Input of `terminate_child`."""

    model_config = _FROZEN

    workflow_id: str
    reason: str


class CountRunInput(BaseModel):
    """Input of `count_run`: a supervised run has delivered its event."""

    model_config = _FROZEN

    trigger: str
    received_at: AwareDatetime
