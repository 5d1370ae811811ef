"""Limits of the streams, as configured; `holdfast/bus/topology.py` turns them into JetStream streams."""

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from holdfast.domain.quantities import Duration, Size

GIB = 1_073_741_824


class EventsStreamConfig(BaseModel):
    """The stream EVENTS: a back-pressured queue and an archive to replay from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: Size = Field(
        default=Size(GIB),
        ge=16_777_216,
        description="Space for events, bytes. When unsettled events fill it, webhooks get 503; none is evicted.",
    )
    archive_for: Duration = Field(
        default=timedelta(days=7),
        description="How long settled events are kept to look at and replay. Less when space runs short.",
    )
    duplicate_window: Duration = Field(
        default=timedelta(minutes=5),
        description="How long the bus itself recognises a repeated event. Later repeats are recognised by Temporal."
        " Costs about 150 bytes of server memory per event.",
    )


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


class StreamsConfig(BaseModel):
    """Limits per stream."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: EventsStreamConfig = Field(default=EventsStreamConfig(), description="Accepted events.")
    dead_letters: DeadLettersStreamConfig = Field(default=DeadLettersStreamConfig(), description="Failed events.")
    bodies: BodiesStreamConfig = Field(default=BodiesStreamConfig(), description="Bodies over 128 KiB.")
    unmatched: UnmatchedStreamConfig = Field(default=UnmatchedStreamConfig(), description="Events nobody wanted.")
    rejected: RejectedStreamConfig = Field(default=RejectedStreamConfig(), description="Requests that were refused.")


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
