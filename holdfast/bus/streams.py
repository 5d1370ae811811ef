"""Streams and consumers as data: what exists on the bus, and how subjects are named. Nothing else names them.

Flow: connect → ensure (holdfast/bus/topology.py) → publish | consume.
"""

from dataclasses import dataclass
from datetime import timedelta

from nats.js import api
from pydantic import AwareDatetime, BaseModel, ConfigDict

from holdfast import ids
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.domain.stream_policy import LARGEST_MESSAGE, EventsStreamConfig
from holdfast.domain.streams import DEFAULT_STREAM, BusConfig

EVENTS = "EVENTS"
DEAD_LETTERS = "DEAD_LETTERS"
UNMATCHED = "UNMATCHED"
AUDIT = "AUDIT"
EVICTIONS = "EVICTIONS"
OWN_EVENTS = EVENTS + "-"  # what the names of further streams of events begin with
BODIES = "holdfast-bodies"  # the bucket of an object store
BODIES_STREAM = f"OBJ_{BODIES}"  # its stream, named as every client of object stores names it
EXPECTED_STREAM = "Nats-Expected-Stream"  # a header: another stream refuses the message
REJECTED = "REJECTED"
MAX_MESSAGE = LARGEST_MESSAGE  # bytes, headers included

MAX_DEAD_LETTER = 3_145_728  # bytes; base64 of the largest message (4/3) and what is said about it
LIMITS = {DEAD_LETTERS: MAX_DEAD_LETTER}  # bytes per message, where it is not MAX_MESSAGE

BUCKET_WINDOW = timedelta(minutes=2)  # JetStream's own; no chunk carries a message id
RARE_WINDOW = timedelta(hours=24)  # dead letters and unmatched events are few, so their repeats are known for long
LOG_WINDOW = timedelta(minutes=2)
EVICTIONS_SPACE = 8_388_608  # bytes
EVICTIONS_KEPT = 10_000  # records per stream


class Unmatched(BaseModel):
    """One event that no trigger wanted, by reference into its stream; in the stream UNMATCHED.

    With `trigger` and `reason`: one that a join took and let go, because its window ended or had fired already.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    source: str
    event_id: str
    event_type: str
    stream: str = EVENTS
    sequence: int  # in `stream`; 0: not known
    at: AwareDatetime
    trigger: str = ""
    reason: str = ""


class Evicted(BaseModel):
    """Events that left their stream unprocessed, in the stream EVICTIONS; the last record is how far it was counted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    stream: str
    first: int  # sequences, both inclusive
    last: int
    count: int  # of events between them; all of them, unless several workers shared the gap
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
            max_msg_size=LIMITS.get(self.name, MAX_MESSAGE),
            duplicate_window=self.duplicate_window.total_seconds(),
            num_replicas=self.replicas,
            allow_direct=True,
            allow_rollup_hdrs=False,
            allow_msg_ttl=False,
            deny_delete=True,
            deny_purge=False,  # the janitor purges what is settled
        )


@dataclass(frozen=True, slots=True)
class EventsPlan:
    """One stream of events, with its policy, and the consumer that must exist before anything is stored in it."""

    name: str
    policy: EventsStreamConfig
    replicas: int

    @property
    def consumer(self) -> "ConsumerPlan":
        """The dispatcher's consumer."""
        return dispatcher_of(self.name)

    def config(self) -> api.StreamConfig:
        """Return it as JetStream takes it."""
        policy = self.policy
        return api.StreamConfig(
            name=self.name,
            description="Holdfast: accepted webhooks",
            subjects=[f"{subject_prefix(self.name)}.*.*"],
            retention=api.RetentionPolicy(policy.keeps),
            storage=api.StorageType(policy.storage),
            # `new`: full means 503 at the door; `old` evicts unsettled events, which are counted
            discard=api.DiscardPolicy.OLD if policy.evicts else api.DiscardPolicy.NEW,
            max_bytes=int(policy.max_bytes),
            max_msgs=policy.max_msgs or -1,
            max_age=policy.max_age.total_seconds() if policy.max_age else 0,
            max_msg_size=int(policy.max_msg_size),
            duplicate_window=policy.duplicate_window.total_seconds(),
            num_replicas=policy.replicas or self.replicas,
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


def dispatcher_of(stream: str) -> ConsumerPlan:
    """Return the dispatcher's consumer of one stream of events."""
    return ConsumerPlan(stream, "dispatcher", "Holdfast: starts a delivery per event and trigger")


DISPATCHER = dispatcher_of(EVENTS)
ESCALATOR = ConsumerPlan(DEAD_LETTERS, "escalator", "Holdfast: starts a case per dead letter")


def stream_named(name: str) -> str:
    """Return the JetStream stream of a stream of events by its name in the file: `events` is EVENTS."""
    return EVENTS if name == DEFAULT_STREAM else OWN_EVENTS + name


def subject_prefix(stream: str) -> str:
    """Return what the subjects of a stream of events begin with: `events`, or `events.{name}`."""
    return "events" if stream == EVENTS else f"events.{stream.removeprefix(OWN_EVENTS)}"


def events_plans(config: BusConfig) -> tuple[EventsPlan, ...]:
    """Return the streams of events, EVENTS first: the one list of them that the configuration makes."""
    return tuple(
        EventsPlan(stream_named(name), policy, config.replicas) for name, policy in config.streams.of_events.items()
    )


def stream_plans(config: BusConfig) -> tuple[StreamPlan | EventsPlan | BucketPlan, ...]:
    """Return the streams with the configured limits."""
    streams = config.streams
    return (
        *events_plans(config),
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
        StreamPlan(
            EVICTIONS,
            "evictions.*",
            "Holdfast: events that left a stream unprocessed, a log that forgets the oldest",
            EVICTIONS_SPACE,
            LOG_WINDOW,
            config.replicas,
            max_per_subject=EVICTIONS_KEPT,
            is_log=True,
        ),
        StreamPlan(
            AUDIT,
            "audit.*",
            "Holdfast: who did what over the admin API; forgets nothing",
            int(streams.audit.max_bytes),
            LOG_WINDOW,
            config.replicas,
        ),
    )


def source_token(source: str) -> str:
    """`source` as one subject token: itself where it is a name of ours, else `_` and a hash (`_` alone for none)."""
    if not source or source == "_":
        return "_"
    return source if ids.NAME.fullmatch(source) else "_" + ids.fingerprint(source)


def subject_for(source: str, event_id: str, stream: str = EVENTS) -> str:
    """Subject of an event: `events.{source}.{shard}`, or in a stream of one's own `events.{name}.{source}.{shard}`."""
    return f"{subject_prefix(stream)}.{source_token(source)}.{ids.shard(source, event_id)}"


def evictions_subject(stream: str) -> str:
    """Subject of the records of what was evicted from a stream."""
    return f"evictions.{stream}"


def unmatched_subject(source: str, event_id: str) -> str:
    """Subject of the record that no trigger wanted an event: `unmatched.{source}.{shard}`."""
    return f"unmatched.{source_token(source)}.{ids.shard(source, event_id)}"


def dead_letter_subject(record: DeadLetterRecord) -> str:
    """Subject of a dead letter: `dead-letters.{source}.{shard}`; one that is no event is sharded by its own id."""
    shard = ids.shard(record.source, record.event_id or record.id)
    return f"dead-letters.{source_token(record.subject_source)}.{shard}"
