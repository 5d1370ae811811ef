"""Payloads of `KeyQueue`, in which the deliveries of one key of one trigger stand."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from holdfast.domain.pressure import ThrottleConfig
from holdfast.domain.quantities import Duration

_FROZEN = ConfigDict(frozen=True, extra="forbid")

Turn = Literal["go", "superseded", "full"]


class JoinInput(BaseModel):
    """Signal `join`: a delivery has been started and waits for its turn. Said twice, it counts once."""

    model_config = _FROZEN

    delivery: str  # workflow id
    sequence: int  # of its event in its stream: the order
    stream: str = "EVENTS"


class TurnInput(BaseModel):
    """Signal `turn`, to a delivery: go out now, or never."""

    model_config = _FROZEN

    verdict: Turn


class DoneInput(BaseModel):
    """Signal `done`, from a delivery that had its turn."""

    model_config = _FROZEN

    delivery: str
    delivered: bool


class SkipInput(BaseModel):
    """Signal `skip`, from a person: whatever the head is, the next may go."""

    model_config = _FROZEN

    by: str = "unknown"
    reason: str = ""


class KeyQueueInput(BaseModel):
    """Input of `KeyQueue`; the second half is what one run hands to the next."""

    model_config = _FROZEN

    version: Literal[1] = 1
    trigger: str
    key: str
    on_failure: Literal["stop", "continue"] = "stop"
    debounce: Duration | None = None
    throttle: ThrottleConfig | None = None
    waiting: tuple[JoinInput, ...] = ()
    head: JoinInput | None = None  # it has had its turn and has not ended
    blocked: bool = False  # the head ended as a dead letter
    passed: tuple[AwareDatetime, ...] = ()  # of a throttle: when deliveries went out


class KeyQueueResult(BaseModel):
    """Result of `KeyQueue`: nobody waits any more; the next event of the key begins a new run."""

    model_config = _FROZEN

    sent: int


class JoinQueueInput(BaseModel):
    """Input of `join_queue`: a delivery that has waited long makes sure that its queue knows it."""

    model_config = _FROZEN

    queue: KeyQueueInput
    join: JoinInput


class ClosedInput(BaseModel):
    """Input of `closed`."""

    model_config = _FROZEN

    workflow_id: str


class ClosedResult(BaseModel):
    """Whether a workflow has ended: `open`, `completed`, `failed` (in whatever way), `missing`."""

    model_config = _FROZEN

    state: Literal["open", "completed", "failed", "missing"]


class SettledBeforeInput(BaseModel):
    """Input of `settled_before`."""

    model_config = _FROZEN

    sequence: int
    stream: str = "EVENTS"
