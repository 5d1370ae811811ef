"""What a gateway that waits for an outcome is told over core NATS: what was decided, and how each delivery ended.

Told at most once and to whoever listens: nothing depends on it but the answer to one request, which is 202 without it.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from holdfast.contracts.delivery import DeliveryResult

MAX_RESULT = 65_536  # characters of a result as JSON that is told; a larger one stays in Temporal

_FROZEN = ConfigDict(frozen=True, extra="ignore")  # a gateway and a worker of different versions talk


class Decided(BaseModel):
    """Which deliveries (workflow ids, or ids of dead letters) there are of an event; none: no trigger wanted it."""

    model_config = _FROZEN

    kind: Literal["decided"] = "decided"
    source: str
    event_id: str
    deliveries: tuple[str, ...]


class Repeated(BaseModel):
    """A delivery that was started before, when nobody waited perhaps: no news may come of it, so look it up."""

    model_config = _FROZEN

    kind: Literal["repeated"] = "repeated"
    source: str
    event_id: str
    delivery: str


class Ended(BaseModel):
    """How one delivery ended. `result` is what the action gave back, where it is small enough to be told."""

    model_config = _FROZEN

    kind: Literal["ended"] = "ended"
    source: str
    event_id: str
    delivery: str
    trigger: str
    status: Literal["delivered", "dead_lettered"]
    attempts: int = 0
    result: Any = None
    result_omitted: bool = False
    code: str = ""  # of a dead letter
    dead_letter: str = ""


News = Annotated[Decided | Repeated | Ended, Field(discriminator="kind")]
NEWS: TypeAdapter[Decided | Repeated | Ended] = TypeAdapter(News)


def told(result: Any) -> tuple[Any, bool]:
    """Return a result as it may be told, and whether it was left out for its size."""
    try:
        fits = len(json.dumps(result, default=str)) <= MAX_RESULT
    except (ValueError, TypeError, RecursionError):
        fits = False
    return (result, False) if fits else (None, True)


def delivered(source: str, event_id: str, delivery: str, trigger: str, outcome: DeliveryResult) -> Ended:
    """Tell of a delivery that succeeded."""
    result, omitted = told(outcome.result)
    return Ended(
        source=source,
        event_id=event_id,
        delivery=delivery,
        trigger=trigger,
        status="delivered",
        attempts=outcome.attempts,
        result=result,
        result_omitted=omitted,
    )
