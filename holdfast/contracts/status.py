"""Where one event is: the answer of `GET /events/{source}/{id}` and of `holdfast events show --json`.

The bus knows what was stored and given up, Temporal what is under way; whoever has no Temporal asks a worker.
"""

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, computed_field

from holdfast.contracts.delivery import Attempt
from holdfast.domain.events import BodyReference

_FROZEN = ConfigDict(frozen=True, extra="ignore")  # a gateway and a worker of different versions talk


class DeliveryStatus(BaseModel):
    """One delivery or redrive, as Temporal has it."""

    model_config = _FROZEN

    id: str  # workflow id
    run_id: str
    trigger: str
    # under way, waiting, retrying, delivered, superseded, dead-lettered, or Temporal's word for an end from outside
    state: str
    error: str = ""  # the code, where it failed
    started_at: AwareDatetime
    closed_at: AwareDatetime | None = None
    attempts: int | None = None  # made so far, where that is known
    failures: tuple[Attempt, ...] = ()  # the failed ones, where they are known
    next_attempt_at: AwareDatetime | None = None
    waiting_for: str = ""  # what holds it back, where its state is waiting
    result: Any = None  # what the action gave back
    redrive_of: str | None = None  # id of the dead letter that it tries again
    link: str | None = None  # into the Temporal UI, where its address is known


class CaseStatus(BaseModel):
    """The case of one dead letter."""

    model_config = _FROZEN

    id: str  # workflow id
    state: str  # open, acknowledged, redriving, resolved, discarded, expired; unknown
    redrives: tuple[str, ...] = ()  # workflow ids
    link: str | None = None


class DeadLetterStatus(BaseModel):
    """One dead letter of the event."""

    model_config = _FROZEN

    id: str
    stage: str
    code: str
    message: str
    at: AwareDatetime
    trigger: str
    attempts: int
    failures: tuple[Attempt, ...] = ()
    case: CaseStatus | None = None  # None: there is none yet, or Temporal cannot be asked


class Place(BaseModel):
    """Where an event lies on the bus. `settled`: the dispatcher is done with it and with everything before it."""

    model_config = _FROZEN

    stream: str
    sequence: int
    at: AwareDatetime
    settled: bool


class DeliveriesQuestion(BaseModel):
    """What a gateway asks the workers."""

    model_config = _FROZEN

    source: str
    event_id: str
    dead_letters: tuple[str, ...] = ()  # whose cases it wants to know


class DeliveriesAnswer(BaseModel):
    """What Temporal knows of one event; `trouble` says why it could not be asked."""

    model_config = _FROZEN

    deliveries: tuple[DeliveryStatus, ...] = ()
    cases: dict[str, CaseStatus] = {}  # by the dead letter's id
    trouble: str = ""


class EventStatus(BaseModel):
    """Everything known about one event."""

    model_config = _FROZEN

    source: str
    id: str
    type: str | None = None
    subject: str | None = None
    received_at: AwareDatetime | None = None
    stored: Place | None = None  # None: not on the bus (any more)
    body: BodyReference | None = None  # where a body over 128 KiB lies
    spooled: bool = False  # it waits in a gateway's outbox for the bus
    unmatched: bool = False  # no trigger wanted it
    triggers: tuple[str, ...] = ()  # those that took it, as far as is known
    deliveries: tuple[DeliveryStatus, ...] | Literal["unknown"] = ()
    dead_letters: tuple[DeadLetterStatus, ...] = ()
    trouble: str | None = None  # why something is unknown

    @computed_field  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> str:
        """One line: where the event is."""
        if self.deliveries and self.deliveries != "unknown":
            return ", ".join(sorted({delivery.state for delivery in self.latest}))
        if self.dead_letters:
            return "dead-lettered"
        if self.unmatched:
            return "no trigger wanted it"
        if self.spooled:
            return "in a gateway's outbox until the bus is back"
        if self.deliveries == "unknown":
            return "stored on the bus; its deliveries cannot be asked for"
        return "stored, not yet dispatched: is a worker running?"

    @property
    def latest(self) -> tuple[DeliveryStatus, ...]:
        """The newest delivery of each trigger: a redrive stands for what it redrives."""
        newest: dict[str, DeliveryStatus] = {}
        for delivery in self.deliveries if self.deliveries != "unknown" else ():
            newest[delivery.trigger or delivery.id] = delivery
        return tuple(newest.values())

    @property
    def known(self) -> bool:
        """Whether there is such an event at all, as far as can be seen."""
        found = bool(self.deliveries) and self.deliveries != "unknown"
        return self.stored is not None or self.spooled or self.unmatched or bool(self.dead_letters) or found
