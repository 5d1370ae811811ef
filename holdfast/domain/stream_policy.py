"""What a stream of events does when it fills up, ages or is done with an event; combinations that lose are refused.

Flow: holdfast.yaml → **policy** → `holdfast/bus/streams.py` makes a JetStream stream of it. See docs/bus.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from holdfast.domain.quantities import Duration, Size

GIB = 1_073_741_824
SMALLEST = 1_048_576  # bytes
LARGEST_MESSAGE = 2_097_152  # bytes; twice the largest inline body, as base64 and JSON need room
LONGEST_HEAD = 262_144  # bytes; an event whose body lies apart still carries its headers

PresetName = Literal["default", "transactions", "telemetry", "tasks"]
Retention = Literal["limits", "interest", "workqueue"]
Discard = Literal["new", "old"]


@dataclass(frozen=True, slots=True)
class Preset:
    """What a preset stands for."""

    retention: Retention
    discard: Discard
    promise: str


PRESETS: dict[PresetName, Preset] = {
    "default": Preset("limits", "new", "nothing unsettled is lost, and settled events are kept to replay from"),
    "transactions": Preset("interest", "new", "nothing unsettled is lost, and settled events are gone at once"),
    "telemetry": Preset("limits", "old", "new events are always taken; the oldest go, unprocessed ones counted"),
    "tasks": Preset("workqueue", "new", "nothing unsettled is lost, and each event is taken off the queue once"),
}


class EventsStreamConfig(BaseModel):
    """A stream of accepted events: a back-pressured queue, by default also an archive to replay from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: PresetName = Field(
        default="default",
        description="What the stream promises. `default` (limits + new): full means 503, settled events stay for"
        " `archive_for`. `transactions` (interest + new) and `tasks` (workqueue + new): full means 503, settled events"
        " are gone at once, so nothing can be replayed. `telemetry` (limits + old): never full; the oldest event goes,"
        " processed or not, and each unprocessed one is counted and named.",
    )
    retention: Retention | None = Field(
        default=None,
        description="When JetStream removes an event: `limits` (never, but for the janitor), `interest` or `workqueue`"
        " (when it is settled). Default: the preset's. Cannot be changed on a living stream.",
    )
    discard: Discard | None = Field(
        default=None,
        description="What gives way in a full stream: `new` (refused, 503) or `old` (evicted, processed or not)."
        " Default: the preset's.",
    )
    max_bytes: Size = Field(
        default=Size(GIB),
        ge=SMALLEST,
        description="Space for events, bytes. With discard `new` webhooks get 503 when unsettled events fill it; with"
        " `old` the oldest are evicted.",
    )
    max_msgs: int | None = Field(
        default=None, ge=1, description="Most events in the stream, besides `max_bytes`. Default: no such limit."
    )
    max_age: Duration | None = Field(
        default=None,
        gt=timedelta(0),
        description="Events older than this are removed, processed or not: only with discard `old`. To tidy up what is"
        " settled use `archive_for`.",
    )
    archive_for: Duration = Field(
        default=timedelta(days=7),
        description="How long settled events are kept to look at and replay. Less when space runs short. Only with"
        " retention `limits`.",
    )
    duplicate_window: Duration = Field(
        default=timedelta(minutes=5),
        ge=timedelta(milliseconds=100),
        description="How long the bus itself recognises a repeated event. Later repeats are recognised by Temporal."
        " Costs about 150 bytes of server memory per event.",
    )
    max_msg_size: Size = Field(
        default=Size(LARGEST_MESSAGE),
        ge=LONGEST_HEAD,
        le=LARGEST_MESSAGE,
        description="Largest message, bytes, headers included; larger events are answered 413.",
    )
    replicas: int | None = Field(
        default=None, ge=1, le=5, description="Copies of this stream. Default: `bus.replicas`. 1 dies with its disk."
    )
    storage: Literal["file", "memory"] = Field(
        default="file",
        description="`memory` loses every event with the NATS process: only with discard `old`. Cannot be changed on a"
        " living stream.",
    )

    @model_validator(mode="after")
    def _keeps_what_it_promises(self) -> Self:
        preset = PRESETS[self.preset]
        for field, meant in (("retention", preset.retention), ("discard", preset.discard)):
            given = getattr(self, field)
            if given is not None and given != meant and self.preset != "default":
                raise ValueError(
                    f"preset {self.preset} is {field} {meant} and promises that {preset.promise}; {field} {given}"
                    " would break that: leave it out, or the preset"
                )
        if wrong := list(self._contradictions()):
            raise ValueError("; ".join(wrong))
        return self

    def _contradictions(self) -> Iterator[str]:
        """What is wrong with each combination that JetStream would take, or refuse in words nobody understands."""
        new, given = not self.evicts, self.model_fields_set
        if self.keeps != "limits" and not new:
            yield (
                f"retention {self.keeps} with discard old: whatever such a stream still holds is unsettled, so each"
                " eviction would lose an event; use discard new, or preset telemetry, which counts and names them"
            )
        if self.max_age is not None and new:
            yield (
                "max_age removes events that nobody has processed, and discard new promises that none is lost; use"
                " archive_for for settled events, or discard old"
            )
        if self.storage == "memory" and new:
            yield (
                "storage memory loses events that were answered 2xx with the NATS process, and discard new promises"
                " that none is lost; use storage file, or discard old"
            )
        if self.keeps != "limits" and "archive_for" in given:
            yield (
                f"retention {self.keeps} removes an event when it is settled, so there is nothing to archive; leave"
                " archive_for out, or use retention limits"
            )
        if self.max_age is not None and "archive_for" in given and self.archive_for > self.max_age:
            yield "archive_for is longer than max_age, which removes the events before"
        if self.max_age is not None and self.duplicate_window > self.max_age:
            yield "duplicate_window is longer than max_age; JetStream knows an event as long as it holds it"
        if self.max_msg_size > self.max_bytes:
            yield "max_msg_size is larger than max_bytes, so such an event could never be stored"

    @property
    def keeps(self) -> Retention:
        """The retention in force."""
        return self.retention or PRESETS[self.preset].retention

    @property
    def evicts(self) -> bool:
        """Whether an event may be removed before it is settled."""
        return (self.discard or PRESETS[self.preset].discard) == "old"
