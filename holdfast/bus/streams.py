"""Streams and consumers as data: what exists on the bus, and how subjects are named. Nothing else names them.

Flow: connect → ensure (holdfast/bus/topology.py) → publish | consume.
"""

from dataclasses import dataclass
from datetime import timedelta

from nats.js import api
from pydantic import AwareDatetime, BaseModel, ConfigDict

from holdfast import ids
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.domain.streams import BusConfig

EVENTS = "EVENTS"
DEAD_LETTERS = "DEAD_LETTERS"
UNMATCHED = "UNMATCHED"
BODIES = "holdfast-bodies"  # the bucket of an object store
BODIES_STREAM = f"OBJ_{BODIES}"  # its stream, named as every client of object stores names it
EXPECTED_STREAM = "Nats-Expected-Stream"  # a header: another stream refuses the message
REJECTED = "REJECTED"
MAX_MESSAGE = 2_097_152  # bytes, headers included; twice the largest body, as base64 and JSON need room

MAX_DEAD_LETTER = 3_145_728  # bytes; base64 of the largest message (4/3) and what is said about it
LIMITS = {EVENTS: MAX_MESSAGE, DEAD_LETTERS: MAX_DEAD_LETTER, UNMATCHED: MAX_MESSAGE, REJECTED: MAX_MESSAGE}

BUCKET_WINDOW = timedelta(minutes=2)  # JetStream's own; no chunk carries a message id
RARE_WINDOW = timedelta(hours=24)  # dead letters and unmatched events are few, so their repeats are known for long
LOG_WINDOW = timedelta(minutes=2)


class Unmatched(BaseModel):
    """One event that no trigger wanted, by reference into EVENTS; in the stream UNMATCHED."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    source: str
    event_id: str
    event_type: str
    sequence: int  # in EVENTS
    at: AwareDatetime


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream: file storage, limits, nothing rolled up; nothing expires and new ones are refused, if not a log."""

    name: str
    subjects: str
    description: str
    max_bytes: int
    duplicate_window: timedelta
    replicas: int
    max_age: timedelta = timedelta(0)
    max_per_subject: int = -1
    is_log: bool = False  # forgets the oldest; only for what no obligation depends on

    def config(self) -> api.StreamConfig:
        """Return it as JetStream takes it."""
        return api.StreamConfig(
            name=self.name,
            description=self.description,
            subjects=[self.subjects],
            retention=api.RetentionPolicy.LIMITS,
            storage=api.StorageType.FILE,
            # full means 503 at the door; `old` would evict unsettled events
            discard=api.DiscardPolicy.OLD if self.is_log else api.DiscardPolicy.NEW,
            max_bytes=self.max_bytes,
            max_msgs=-1,
            max_age=self.max_age.total_seconds(),
            max_msgs_per_subject=self.max_per_subject,
            max_msg_size=LIMITS[self.name],
            duplicate_window=self.duplicate_window.total_seconds(),
            num_replicas=self.replicas,
            allow_direct=True,
            allow_rollup_hdrs=False,
            allow_msg_ttl=False,
            deny_delete=True,
            deny_purge=False,  # the janitor purges what is settled
        )


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """The object store of large bodies: nothing expires; the janitor removes what no event needs any more."""

    max_bytes: int
    replicas: int
    name: str = BODIES_STREAM

    def config(self) -> api.StreamConfig:
        """Return its stream as JetStream takes it, laid out as every client of object stores expects."""
        return api.StreamConfig(
            name=self.name,
            description="Holdfast: bodies that are too large for a message",
            subjects=[f"$O.{BODIES}.C.>", f"$O.{BODIES}.M.>"],
            retention=api.RetentionPolicy.LIMITS,
            storage=api.StorageType.FILE,
            discard=api.DiscardPolicy.NEW,
            max_bytes=self.max_bytes,
            max_msgs=-1,
            max_age=0,
            num_replicas=self.replicas,
            allow_direct=True,
            duplicate_window=BUCKET_WINDOW.total_seconds(),
            allow_rollup_hdrs=True,  # a description replaces the one before it
            allow_msg_ttl=False,
            deny_delete=False,
            deny_purge=False,
        )


@dataclass(frozen=True, slots=True)
class ConsumerPlan:
    """One durable pull consumer. The server never gives up on a message: the dispatcher decides."""

    stream: str
    name: str
    description: str
    ack_wait: timedelta = timedelta(seconds=30)  # renewed every third while one is worked on; a crash costs this wait
    max_ack_pending: int = 1_024

    def config(self, replicas: int) -> api.ConsumerConfig:
        """Return it as JetStream takes it."""
        return api.ConsumerConfig(
            durable_name=self.name,
            name=self.name,
            description=self.description,
            deliver_policy=api.DeliverPolicy.ALL,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=self.ack_wait.total_seconds(),
            max_deliver=-1,
            max_ack_pending=self.max_ack_pending,
            max_waiting=512,
            num_replicas=replicas,
        )


DISPATCHER = ConsumerPlan(EVENTS, "dispatcher", "Holdfast: starts a delivery per event and trigger")
ESCALATOR = ConsumerPlan(DEAD_LETTERS, "escalator", "Holdfast: starts a case per dead letter")


def stream_plans(config: BusConfig) -> tuple[StreamPlan | BucketPlan, ...]:
    """Return the streams with the configured limits."""
    streams = config.streams
    return (
        StreamPlan(
            EVENTS,
            "events.*.*",
            "Holdfast: accepted webhooks",
            int(streams.events.max_bytes),
            streams.events.duplicate_window,
            config.replicas,
        ),
        StreamPlan(
            DEAD_LETTERS,
            "dead-letters.*.*",
            "Holdfast: events that failed for good",
            int(streams.dead_letters.max_bytes),
            RARE_WINDOW,
            config.replicas,
        ),
        StreamPlan(
            UNMATCHED,
            "unmatched.*.*",
            "Holdfast: events that no trigger wanted",
            int(streams.unmatched.max_bytes),
            RARE_WINDOW,
            config.replicas,
        ),
        BucketPlan(int(streams.bodies.max_bytes), config.replicas),
        StreamPlan(
            REJECTED,
            "rejected.*",
            "Holdfast: refused requests, a log that forgets the oldest",
            int(streams.rejected.max_bytes),
            LOG_WINDOW,
            config.replicas,
            max_age=streams.rejected.max_age,
            max_per_subject=streams.rejected.max_per_source,
            is_log=True,
        ),
    )


def source_token(source: str) -> str:
    """`source` as one subject token: itself where it is a name of ours, else `_` and a hash (`_` alone for none)."""
    if not source or source == "_":
        return "_"
    return source if ids.NAME.fullmatch(source) else "_" + ids.fingerprint(source)


def subject_for(source: str, event_id: str) -> str:
    """Subject of an event: `events.{source}.{shard}`."""
    return f"events.{source_token(source)}.{ids.shard(source, event_id)}"


def unmatched_subject(source: str, event_id: str) -> str:
    """Subject of the record that no trigger wanted an event: `unmatched.{source}.{shard}`."""
    return f"unmatched.{source_token(source)}.{ids.shard(source, event_id)}"


def dead_letter_subject(record: DeadLetterRecord) -> str:
    """Subject of a dead letter: `dead-letters.{source}.{shard}`; one that is no event is sharded by its own id."""
    shard = ids.shard(record.source, record.event_id or record.id)
    return f"dead-letters.{source_token(record.subject_source)}.{shard}"
