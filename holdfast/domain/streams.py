"""Limits of the streams, as configured; `holdfast/bus/topology.py` turns them into JetStream streams."""

import difflib
from datetime import timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from holdfast.domain.quantities import Duration, Size
from holdfast.domain.stream_policy import GIB, EventsStreamConfig
from holdfast.ids import NAME

DEFAULT_STREAM = "events"


class DeadLettersStreamConfig(BaseModel):
    """The stream DEAD_LETTERS: kept until somebody purges it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: Size = Field(
        default=Size(GIB),
        ge=16_777_216,
        description="Space for dead letters, bytes. When it is full, failed deliveries wait instead of ending.",
    )


class UnmatchedStreamConfig(BaseModel):
    """The stream UNMATCHED: which events no trigger wanted, by reference into EVENTS."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: Size = Field(
        default=Size(GIB // 4),
        ge=1_048_576,
        description="Space for the records, bytes (about 500 each). When it is full, unmatched events wait.",
    )


class BodiesStreamConfig(BaseModel):
    """The object store of large bodies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: Size = Field(
        default=Size(GIB),
        ge=33_554_432,
        description="Space for bodies over 128 KiB, bytes. A body is kept as long as its event, its dead letter or a"
        " delivery under way needs it. When it is full, webhooks with such bodies get 503.",
    )


class RejectedStreamConfig(BaseModel):
    """The stream REJECTED: a log of refused requests for people, which forgets the oldest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: Size = Field(
        default=Size(GIB // 32),
        ge=1_048_576,
        description="Space for the records, bytes (about 1 KiB each). When it is full, the oldest are forgotten.",
    )
    max_age: Duration = Field(default=timedelta(days=7), gt=timedelta(0), description="How long a record is kept.")
    max_per_source: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Records kept of each source, the newest; all unknown paths together count as one source, so that"
        " whoever guesses paths pushes nobody else's out.",
    )


class AuditStreamConfig(BaseModel):
    """The stream AUDIT: who did what over the admin API. It forgets nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: Size = Field(
        default=Size(GIB // 8),
        ge=1_048_576,
        description="Space for the audit log, bytes (about 700 per operation: some 190,000 by default). When it is full"
        " the admin API refuses operations (503) rather than do one unrecorded; reading goes on. Raise it, or back the"
        " stream up and purge it.",
    )


class StreamsConfig(BaseModel):
    """Limits per stream.

    Any further name is a stream of events of your own, with the keys of `bus.streams.events`; a source chooses it with
    `stream: NAME`.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, EventsStreamConfig]

    events: EventsStreamConfig = Field(default=EventsStreamConfig(), description="Accepted events.")
    dead_letters: DeadLettersStreamConfig = Field(default=DeadLettersStreamConfig(), description="Failed events.")
    bodies: BodiesStreamConfig = Field(default=BodiesStreamConfig(), description="Bodies over 128 KiB.")
    unmatched: UnmatchedStreamConfig = Field(default=UnmatchedStreamConfig(), description="Events nobody wanted.")
    rejected: RejectedStreamConfig = Field(default=RejectedStreamConfig(), description="Requests that were refused.")
    audit: AuditStreamConfig = Field(default=AuditStreamConfig(), description="Operations of the admin API.")

    @model_validator(mode="after")
    def _names_of_streams(self) -> Self:
        reserved = list(type(self).model_fields)
        for name in self.named:
            near = difflib.get_close_matches(name, reserved, n=1, cutoff=0.8)
            if near:
                raise ValueError(f"{name!r} is too like {near[0]!r}; did you mean that?")
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a name; use a-z, 0-9, - and _, at most 63 characters")
        return self

    @property
    def named(self) -> dict[str, EventsStreamConfig]:
        """The streams of events besides `events`, by name."""
        return dict(self.__pydantic_extra__ or {})

    @property
    def of_events(self) -> dict[str, EventsStreamConfig]:
        """Every stream of events by its name in the file, `events` first."""
        return {DEFAULT_STREAM: self.events, **self.named}


class BusConfig(BaseModel):
    """The bus: NATS JetStream."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    replicas: int = Field(
        default=1,
        ge=1,
        le=5,
        description="Copies of every stream. 3 on a cluster of three NATS servers; 1 loses events with the disk.",
    )
    dangerous_unsynced: bool = Field(
        default=False,
        description="Accept a NATS server that acknowledges before it has written to disk (no sync_interval: always)."
        " A power cut then loses events that were answered 2xx.",
    )
    streams: StreamsConfig = Field(default=StreamsConfig(), description="Limits per stream.")
