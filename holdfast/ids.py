"""Every identity that crosses a process, derived once and the same way everywhere.

The event id is computed in the gateway and carried; all other ids derive from it:

    Nats-Msg-Id      message_id(source, event id)
    delivery         {trigger}/{source}/{event id}       workflow id of EventDelivery
    redrive          {delivery}:r{n}                     workflow id of the n-th redrive
    queue            queue/{trigger}/{key}               workflow id of KeyQueue
    replay           {delivery}:replay-{once|operation}  workflow id of a delivery made anew from the stream
    case             dead-letter/{delivery}              workflow id of DeadLetter
    join             join/{trigger}/{key}                workflow id of Join, one run after the other
    joined event     {delivery}/{name}                   workflow id of JoinedEvent
    operation        operation/{name}                    workflow id of BulkOperation and Replay
    escalation       escalation/{policy}/{group}         workflow id of Escalation
    CloudEvent       {its id}.{hash of source and id}    event id of an accepted CloudEvent

`token` keeps the mapping injective: what is not a plain ASCII token is replaced by a marked hash, and no plain token
can begin with the mark.
"""

import hashlib
import re

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""Names in holdfast.yaml (sources, triggers, schedules): safe in subjects, URLs, workflow ids and file names."""

PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
HASH_CHARS = 32  # hex digits, 128 bits
SHARDS = 4_096  # subjects per source: one lookup reads 1/4096 of a source's events (see holdfast/bus/topology.py)


def sha256_hex(data: bytes) -> str:
    """SHA-256 of `data` in lower-case hex, 64 characters."""
    return hashlib.sha256(data).hexdigest()


def fingerprint(*parts: str) -> str:
    """32 hex digits for an ordered list of texts; the length prefix keeps ("ab", "c") and ("a", "bc") apart."""
    joined = b"".join(b"%d:%s" % (len(raw), raw) for raw in (part.encode("utf-8", "surrogatepass") for part in parts))
    return hashlib.sha256(joined).hexdigest()[:HASH_CHARS]


def token(value: str) -> str:
    """`value` itself where it is a plain token of at most 128 characters, else `~` and 32 hex digits of its hash."""
    return value if PLAIN.fullmatch(value) else "~" + fingerprint(value)


def cloudevent_id(source: str, event_id: str, body_sha256: str | None) -> str:
    """Event id of a CloudEvent: its own, joined with the hash of what makes it unique, its source and its id.

    `body_sha256` is given where source and id travelled unsigned beside a signed body: nobody can then suppress an
    event by sending its id with another body.
    """
    unique = fingerprint(source, event_id) if body_sha256 is None else fingerprint(source, event_id, body_sha256)
    return f"{event_id}.{unique}"


def message_id(source: str, event_id: str) -> str:
    """`Nats-Msg-Id` of an event on the bus: scoped by source, so that no sender can suppress another's event."""
    return fingerprint(source, event_id)


def shard(source: str, event_id: str) -> str:
    """The last subject token of an event, three hex digits: derived, never copied from outside."""
    return message_id(source, event_id)[:3]


def delivery_id(trigger: str, source: str, event_id: str) -> str:
    """Workflow id of one event's delivery by one trigger."""
    return f"{token(trigger)}/{token(source)}/{token(event_id)}"


def redrive_id(delivery: str, number: int) -> str:
    """Workflow id of the `number`-th redrive (from 1) of `delivery`; `:` stands in no token."""
    return f"{delivery}:r{number}"


def join_id(trigger: str, key: str) -> str:
    """Workflow id of the windows of one key of a join."""
    return f"join/{token(trigger)}/{token(key)}"


def joined_event_id(trigger: str, source: str, event_id: str, name: str) -> str:
    """Workflow id of one event's part in a join, under one of its names: taken once, whatever comes again."""
    return f"{delivery_id(trigger, source, event_id)}/{token(name)}"


def queue_id(trigger: str, key: str) -> str:
    """Workflow id of the queue in which the deliveries of one key of a trigger stand."""
    return f"queue/{token(trigger)}/{token(key)}"


def is_redrive(workflow_id: str) -> bool:
    """Whether a delivery's workflow id is that of a redrive or of a replay: of an event that is not new."""
    return ":r" in workflow_id  # `:` stands in no token


def first_delivery(workflow_id: str) -> str:
    """Return the delivery that a redrive, of whatever number, goes back to; a delivery itself as it is."""
    return workflow_id.partition(":r")[0]  # `:` stands in no token


def case_id(dead_letter_id: str) -> str:
    """Workflow id of the case for a dead letter."""
    return f"dead-letter/{dead_letter_id}"


def operation_id(operation: str) -> str:
    """Workflow id of an operation over many things."""
    return f"operation/{token(operation)}"


def replay_id(delivery: str, again: str) -> str:
    """Workflow id of `delivery` made anew from the stream; `again` is the operation that repeats it, if one does.

    Without it the id is the same for every replay, so that two of them deliver an event once.
    """
    return f"{delivery}:replay-{token(again) if again else 'once'}"


def watch_id(trigger: str) -> str:
    """Workflow id of the watch over the cases of one trigger."""
    return f"case-watch/{token(trigger)}"


def stray_id(stream: str, sequence: int) -> str:
    """Dead letter id of a message that is no event: named by where it stands on the bus."""
    return f"~stream/{token(stream)}/{sequence}"


def spooled_id(source: str, event_id: str) -> str:
    """Dead letter id of an event that left a gateway's outbox and that the bus can never take."""
    return f"~spool/{token(source)}/{token(event_id)}"


def foreign_id(workflow_id: str) -> str:
    """Dead letter id of a workflow whose input could not be read: it has no event to be named for."""
    return f"~workflow/{token(workflow_id)}"


def tick_id(schedule: str, event_id: str) -> str:
    """Dead letter id of a schedule's tick that was never published: named by when it was due."""
    return f"~tick/{token(schedule)}/{token(event_id)}"


def escalation_id(escalation: str, *group: str) -> str:
    """Workflow id of what is told as one; `group` says what: ("trigger", "bill")."""
    return "/".join(("escalation", token(escalation), *map(token, group)))
