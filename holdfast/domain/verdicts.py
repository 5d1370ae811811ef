"""What a trigger can say of one event, and how an event is looked at.

Flow: bind → **verdict** → decide.
"""

from dataclasses import dataclass
from typing import Any

from holdfast.domain.actions import DeliverySpec
from holdfast.domain.deadletters import Stage
from holdfast.domain.events import Data, Envelope
from holdfast.domain.expressions import EVENT, Bound
from holdfast.domain.json_scan import Path
from holdfast.domain.large_bodies import data_of
from holdfast.domain.triggers import DeadLetterConfig, TriggerConfig
from holdfast.errors import ErrorCode, PermanentFailure


@dataclass(frozen=True, slots=True)
class Matched:
    """The trigger takes the event."""

    spec: DeliverySpec


@dataclass(frozen=True, slots=True)
class Passed:
    """The trigger does not want the event."""

    trigger: str
    reason: str


@dataclass(frozen=True, slots=True)
class Undecidable:
    """The filter or a mapping could not be evaluated on this event: a dead letter of this trigger."""

    trigger: str
    trigger_hash: str
    code: ErrorCode
    reason: str
    dead_letter: DeadLetterConfig
    stage: Stage = Stage.FILTER


@dataclass(frozen=True, slots=True)
class Joined:
    """A join takes the event under one of its names: it is offered to the window of `key`."""

    trigger: str
    trigger_hash: str
    config: TriggerConfig
    name: str
    key: str


Verdict = Matched | Passed | Undecidable | Joined


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as expressions see it. `plain`: what `event` by itself is, where its body lies elsewhere."""

    envelope: Envelope
    bound: Bound
    plain: dict[str, Any] | None = None
    trouble: PermanentFailure | None = None  # why the body cannot be read


def see(envelope: Envelope, body: bytes | PermanentFailure | None, paths: frozenset[Path]) -> Seen:
    """Bind an event, once for all triggers; of a body that lies elsewhere, what stands at `paths`."""
    if envelope.body_ref is None:
        return Seen(envelope, EVENT.bind(event=envelope.view()))
    data = data_of(body, envelope.datacontenttype, paths) if isinstance(body, bytes) else Data()
    trouble = body if isinstance(body, PermanentFailure) else None
    return Seen(envelope, EVENT.bind(event=envelope.view(data)), envelope.view(), trouble)
