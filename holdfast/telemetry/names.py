"""Every metric, span and log event by name, with units and labels: the one place that people's dashboards depend on.

`docs/telemetry.md` is these tables. Event ids are never labels: their number has no bound. A source label is the name
of a configured source, or `_` where a request named none.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

UNKNOWN = "_"
"""Label value where there is none: a request for no source, a dead letter of no trigger."""

OTHER = "_other"
"""Label value of everything past the first MAX_SERIES combinations of labels of one metric."""

MAX_SERIES = 1_000  # per metric; the SDK would make an unnamed overflow series of its own at 2,000

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds; the gateway answers within 2.5 s."""

END_TO_END_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0)
"""Seconds; from a first attempt that succeeds to a day of retries."""


@dataclass(frozen=True, slots=True)
class MetricName:
    """One metric. `name` is OpenTelemetry's, dotted; `unit` is UCUM, an annotation in braces counts things."""

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    description: str
    buckets: tuple[float, ...] = ()

    @property
    def prometheus(self) -> str:
        """Name in the exposition, without a histogram's `_bucket`, `_count` and `_sum`."""
        plain = self.name.replace(".", "_")
        if self.kind == "counter":
            return f"{plain}_total"
        return plain + {"s": "_seconds", "By": "_bytes"}.get(self.unit, "")


@dataclass(frozen=True, slots=True)
class SpanName:
    """One span and where it is made."""

    name: str
    kind: Literal["server", "producer", "consumer", "client", "internal"]
    description: str


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One log event: the message is the name, the facts are fields."""

    name: str
    level: Literal["debug", "info", "warning", "error"]
    fields: tuple[str, ...]
    description: str


GATEWAY_REQUESTS = MetricName(
    "holdfast.gateway.requests", "counter", "{request}", ("source", "status"), "Webhook requests answered."
)
GATEWAY_ACCEPTED = MetricName(
    "holdfast.gateway.events.accepted",
    "counter",
    "{event}",
    ("source", "duplicate"),
    "Events answered 2xx, stored on the bus or in the outbox; duplicate is true where the event was known there.",
)
GATEWAY_REJECTED = MetricName(
    "holdfast.gateway.events.rejected", "counter", "{event}", ("source", "code"), "Requests not answered 2xx, by code."
)
GATEWAY_INGEST = MetricName(
    "holdfast.gateway.ingest.duration",
    "histogram",
    "s",
    ("source",),
    "From the request's first byte in the handler to the answer.",
    LATENCY_BUCKETS,
)
GATEWAY_CONNECTIONS = MetricName(
    "holdfast.gateway.connections", "gauge", "{connection}", (), "Open connections on the public port."
)
GATEWAY_CONNECTIONS_ENDED = MetricName(
    "holdfast.gateway.connections.ended",
    "counter",
    "{connection}",
    ("reason",),
    "Connections that the gateway ended: slow_headers (none in time), slow_reader (left its answers unread),"
    " pipelining (too many requests before the first was answered), crowded_out (slow, and others came), no_room,"
    " address (too many of one client), malformed (no valid HTTP).",
)
GATEWAY_REJECTIONS_UNKEPT = MetricName(
    "holdfast.gateway.rejections.unkept",
    "counter",
    "{request}",
    ("source", "reason"),
    "Refused requests that are not in the log of `holdfast rejected list`: over the rate, the queue full, or no bus.",
)
SPOOL_EVENTS = MetricName(
    "holdfast.spool.events",
    "gauge",
    "{event}",
    (),
    "Events in the gateway's outbox, answered 2xx and not on the bus yet.",
)
SPOOL_SIZE = MetricName(
    "holdfast.spool.size", "gauge", "By", (), "Of gateway.spool.max_bytes, what the events in the outbox take."
)
SPOOL_OLDEST = MetricName(
    "holdfast.spool.oldest.age",
    "gauge",
    "s",
    (),
    "How long the oldest event has been in the outbox; 0 where it is empty.",
)
SPOOLED = MetricName(
    "holdfast.spool.stored", "counter", "{event}", ("source",), "Events kept in the outbox because the bus was away."
)
SPOOL_DRAINED = MetricName(
    "holdfast.spool.drained",
    "counter",
    "{event}",
    ("outcome",),
    "Events that left the outbox: stored on the bus, duplicate (the bus had them), or dead_lettered.",
)
SPOOL_REJECTED = MetricName(
    "holdfast.spool.rejected", "counter", "{event}", ("code",), "Events that the outbox could not keep: full or failed."
)
DISPATCHED = MetricName(
    "holdfast.dispatcher.started", "counter", "{delivery}", ("trigger",), "Deliveries that Temporal accepted."
)
UNMATCHED = MetricName(
    "holdfast.dispatcher.unmatched", "counter", "{event}", ("source",), "Events that no trigger wanted."
)
REDELIVERED = MetricName(
    "holdfast.dispatcher.redelivered",
    "counter",
    "{message}",
    ("reason",),
    "Messages handed back to the bus to come again later, by the error's code.",
)
QUEUE_DEPTH = MetricName(
    "holdfast.queue.depth",
    "gauge",
    "{event}",
    ("state",),
    "Events on the bus not settled yet: pending (not handed out) and ack_pending (handed out).",
)
CIRCUIT_OPEN = MetricName(
    "holdfast.dispatcher.circuit.open", "gauge", "", (), "1 while the dispatcher fetches nothing: Temporal is away."
)
DEAD_LETTERS = MetricName(
    "holdfast.dead_letters", "counter", "{letter}", ("trigger", "stage", "code"), "Events given up, by stage and code."
)
DEAD_LETTERS_OPEN = MetricName(
    "holdfast.dead_letters.open", "gauge", "{letter}", (), "Cases that wait for somebody: open or acknowledged."
)
DELIVERIES = MetricName(
    "holdfast.deliveries",
    "counter",
    "{delivery}",
    ("trigger", "outcome"),
    "Deliveries that ended: delivered, dead_lettered or superseded.",
)
ATTEMPTS = MetricName(
    "holdfast.delivery.attempts",
    "counter",
    "{attempt}",
    ("trigger", "outcome"),
    "Attempts at an action, by outcome.",
)
RETRIES = MetricName(
    "holdfast.delivery.retries",
    "counter",
    "{attempt}",
    ("trigger", "code"),
    "Attempts that failed and are tried again, by code.",
)
HELD = MetricName(
    "holdfast.delivery.held",
    "counter",
    "{delivery}",
    ("trigger", "why"),
    "Times that a delivery was held back without an attempt: rate, concurrency, breaker, paused, or bus (the state of"
    " the limits could not be read).",
)
BREAKER_OPEN = MetricName(
    "holdfast.breaker.open",
    "gauge",
    "",
    ("lane",),
    "1 while the circuit breaker of a trigger or a target is open or half open, as this worker last saw it.",
)
PAUSED = MetricName(
    "holdfast.paused", "gauge", "", ("lane",), "1 while somebody has paused a trigger or a target, else 0."
)
END_TO_END = MetricName(
    "holdfast.delivery.end_to_end.duration",
    "histogram",
    "s",
    ("trigger",),
    "From the webhook's receipt to its delivery.",
    END_TO_END_BUCKETS,
)
TICKS = MetricName(
    "holdfast.schedules.ticks",
    "counter",
    "{tick}",
    ("schedule", "outcome"),
    "Ticks of schedules: published, or unwanted (`when` was false, or `stop_when` true).",
)
TICKS_MISSED = MetricName(
    "holdfast.schedules.missed",
    "counter",
    "{tick}",
    ("schedule", "reason"),
    "Ticks that never ran and were named as dead letters: missed (older than catch_up), skipped (overlap), lost.",
)
SCHEDULES_STOPPED = MetricName(
    "holdfast.schedules.stopped", "counter", "{schedule}", ("schedule",), "Schedules that `stop_when` paused."
)
NOTIFICATIONS = MetricName(
    "holdfast.notifications",
    "counter",
    "{attempt}",
    ("kind", "outcome"),
    "Attempts to tell people of failures, by kind of notifier: sent, retried, or failed (given up).",
)

METRICS = (
    GATEWAY_REQUESTS,
    GATEWAY_ACCEPTED,
    GATEWAY_REJECTED,
    GATEWAY_INGEST,
    GATEWAY_CONNECTIONS,
    GATEWAY_CONNECTIONS_ENDED,
    GATEWAY_REJECTIONS_UNKEPT,
    SPOOL_EVENTS,
    SPOOL_SIZE,
    SPOOL_OLDEST,
    SPOOLED,
    SPOOL_DRAINED,
    SPOOL_REJECTED,
    DISPATCHED,
    UNMATCHED,
    REDELIVERED,
    QUEUE_DEPTH,
    CIRCUIT_OPEN,
    DEAD_LETTERS,
    DEAD_LETTERS_OPEN,
    DELIVERIES,
    ATTEMPTS,
    RETRIES,
    HELD,
    BREAKER_OPEN,
    PAUSED,
    END_TO_END,
    TICKS,
    TICKS_MISSED,
    SCHEDULES_STOPPED,
    NOTIFICATIONS,
)

SPAN_RECEIVE = SpanName("webhook receive", "server", "The gateway takes one webhook in, to its answer.")
SPAN_PUBLISH = SpanName("event publish", "producer", "The gateway publishes the event, to the PubAck.")
SPAN_DISPATCH = SpanName("event dispatch", "consumer", "The worker decides and starts the deliveries of one event.")
SPAN_DELIVER = SpanName("event deliver", "client", "One attempt at an action; its traceparent is sent outbound.")
SPAN_DEAD_LETTER = SpanName("dead letter record", "producer", "A dead letter is stored.")

SPANS = (SPAN_RECEIVE, SPAN_PUBLISH, SPAN_DISPATCH, SPAN_DELIVER, SPAN_DEAD_LETTER)

LOG_EVENTS = (
    LogEvent("bus.client_rebuilt", "warning", ("reason",), "nats-py gave its connection up; a new one is made."),
    LogEvent("bus.connect_failed", "warning", ("reason",), "NATS does not let us in; tried again."),
    LogEvent("bus.connected", "info", ("server",), "Connected to NATS."),
    LogEvent("bus.consume_fault", "warning", ("consumer", "reason"), "Pulling failed; the consumer is repaired."),
    LogEvent("bus.consumer_created", "info", ("stream", "consumer"), "A consumer was missing and was made."),
    LogEvent("bus.consumer_updated", "warning", ("consumer", "changes"), "A consumer was not as planned."),
    LogEvent("bus.dangerous_unsynced", "warning", ("reason",), "Losses at a power cut are accepted by configuration."),
    LogEvent("bus.disconnected", "warning", (), "The connection to NATS was lost."),
    LogEvent("bus.error", "debug", ("reason",), "NATS reported an error on the connection."),
    LogEvent("bus.handler_failed", "error", ("stream", "sequence"), "A bug; the message comes again."),
    LogEvent("bus.pull_deferred", "info", ("consumer", "reason"), "The server refused a pull for now."),
    LogEvent("bus.reconnected", "info", (), "The connection to NATS is back."),
    LogEvent("bus.stream_created", "info", ("stream",), "A stream was missing and was made."),
    LogEvent("bus.stream_updated", "warning", ("stream", "changes"), "A stream was changed to what is configured."),
    LogEvent("bus.tell_failed", "debug", ("code",), "An acknowledgement did not arrive; the message comes again."),
    LogEvent("breaker.turned", "warning", ("lane", "state"), "A circuit breaker opened, or closed again."),
    LogEvent("controls.changed", "warning", ("what", "state"), "Somebody paused or resumed a trigger or a target."),
    LogEvent("controls.unreadable", "warning", ("reason",), "What is paused cannot be read; the last answer holds."),
    LogEvent("defect", "error", ("error",), "A bug in Holdfast, with its traceback."),
    LogEvent(
        "dispatch.dead_lettered", "warning", ("dead_letter", "stage", "code", "sequence"), "An event was given up."
    ),
    LogEvent(
        "dispatch.redelivered",
        "warning",
        ("sequence", "deliveries", "code", "reason", "wait_seconds"),
        "A message goes back to the bus and comes again.",
    ),
    LogEvent("dispatcher.misconfigured", "error", ("reason",), "Nothing can be started until somebody mends it."),
    LogEvent("escalate.redelivered", "warning", ("dead_letter", "code", "reason"), "A case could not be started yet."),
    LogEvent("escalate.stray", "warning", ("sequence",), "A message in DEAD_LETTERS is no dead letter."),
    LogEvent(
        "escalation.unknown",
        "warning",
        ("escalation", "trigger", "case"),
        "A trigger names an escalation that the configuration does not have; `default` takes it, where it exists.",
    ),
    LogEvent("gate.still_shut", "warning", ("reason",), "Temporal is still away, for another reason."),
    LogEvent(
        "gate.turned", "warning", ("from", "to", "reason"), "The circuit breaker before Temporal: open, trial, shut."
    ),
    LogEvent("gateway.draining", "info", (), "Asked to stop; requests under way finish."),
    LogEvent("gateway.listening", "info", ("port", "ops_port"), "Both ports are bound."),
    LogEvent("gateway.not_ready", "warning", ("code", "reason"), "No event can be taken in."),
    LogEvent("gateway.prepare_failed", "error", (), "A bug while the bus was verified."),
    LogEvent("gateway.ready", "info", (), "Events can be taken in."),
    LogEvent("gateway.stopped", "info", (), "The gateway ended as asked."),
    LogEvent("handshake.answered", "info", ("source", "handshake"), "A provider's question before it sends events."),
    LogEvent("handshake.confirmed", "info", ("source",), "A subscription at Amazon SNS is confirmed."),
    LogEvent(
        "handshake.unconfirmed",
        "error",
        ("source", "reason"),
        "Amazon SNS could not be asked to confirm; let it send its question again.",
    ),
    LogEvent("handshake.unsubscribed", "warning", ("source",), "Amazon SNS says that no more events will come."),
    LogEvent("certificate.not_trusted", "warning", ("url",), "A sender named a certificate that is not its own."),
    LogEvent(
        "key_set.unavailable", "warning", ("url", "reason"), "An issuer's keys could not be fetched; tried again."
    ),
    LogEvent("janitor.bodies_removed", "info", ("bodies",), "Large bodies that nothing needs any more are gone."),
    LogEvent("janitor.failed", "info", ("code", "reason"), "A sweep failed; the next one tries again."),
    LogEvent("janitor.purged", "info", ("from", "to", "settled"), "Settled events made room."),
    LogEvent("news.untold", "debug", ("code",), "Whoever waits for an outcome was not told; answered 202 instead."),
    LogEvent("rejections.failed", "error", ("source",), "A bug while a refused request was written down."),
    LogEvent(
        "notification",
        "warning",
        ("about", "text", "escalation", "link"),
        "What an escalation says through a notifier `log`, at that notifier's level.",
    ),
    LogEvent(
        "notify.failed",
        "error",
        ("notifier", "about", "code", "reason"),
        "A notifier could not be told, for good; the next tier does not wait where nobody of this one was told.",
    ),
    LogEvent(
        "notify.retried", "warning", ("notifier", "about", "code", "reason"), "A notifier is told again in a moment."
    ),
    LogEvent("request.abandoned", "info", ("source",), "The sender left before the answer."),
    LogEvent("request.failed", "error", ("source", "correlation_id"), "A bug; answered 500."),
    LogEvent("request.rejected", "info", ("source", "code", "status", "reason"), "A request was not accepted."),
    LogEvent("sample.dead_letters_open", "debug", ("code",), "The count of open cases could not be read."),
    LogEvent("sample.queue_depth", "debug", ("code",), "The depth of the queue could not be read."),
    LogEvent(
        "schedules.tick_missed",
        "error",
        ("schedule", "tick", "code"),
        "A tick never ran; its dead letter can be redriven, which publishes it late.",
    ),
    LogEvent(
        "schedules.miscounted",
        "error",
        ("schedule", "count", "after", "until"),
        "Temporal counted ticks as missed that cannot be told apart from those of a pause.",
    ),
    LogEvent("schedules.stopped", "error", ("schedule", "reason"), "`stop_when` paused a schedule."),
    LogEvent("schedules.tick_unwanted", "info", ("schedule", "tick"), "`when` or `stop_when` kept a tick back."),
    LogEvent(
        "schedules.unwatchable", "error", ("schedule", "reason"), "A schedule whose times cannot be worked out here."
    ),
    LogEvent("schedules.watch_failed", "warning", ("code", "reason"), "The watch could not be started; tried again."),
    LogEvent("schedules.applied", "info", ("schedule", "change"), "A schedule was made, changed or removed."),
    LogEvent("spool.began", "warning", ("events",), "The bus is away: events are kept in the outbox."),
    LogEvent("spool.dead_lettered", "error", ("dead_letter", "code"), "The bus can never take an event of the outbox."),
    LogEvent("spool.drain_deferred", "info", ("code", "reason"), "An event of the outbox is tried again later."),
    LogEvent("spool.drain_failed", "error", (), "A bug while the outbox was emptied; tried again."),
    LogEvent("spool.drained", "info", ("events",), "The outbox is empty again."),
    LogEvent("spool.failed", "error", ("code", "reason"), "The outbox cannot be used; tried again."),
    LogEvent("spool.left", "warning", ("events",), "The gateway ended with events in its outbox, for its next start."),
    LogEvent("spool.mended", "warning", ("events",), "The outbox can be used again."),
    LogEvent("status.answer_failed", "error", (), "A bug while a gateway's question about deliveries was answered."),
    LogEvent("temporal.retention_not_raised", "warning", ("days", "reason"), "Enough, but less than was asked for."),
    LogEvent("temporal.retention_raised", "info", ("from_days", "to_days"), "The namespace keeps workflows longer."),
    LogEvent("temporal.search_attributes_added", "info", ("names",), "Search attributes were missing and were made."),
    LogEvent(
        "trigger_log",
        "info",
        ("text", "source", "event_id", "event_type"),
        "What a `log` action says, at its own level.",
    ),
    LogEvent("worker.draining", "info", (), "Asked to stop; what is under way finishes or goes back."),
    LogEvent("worker.fsync_not_verified", "warning", ("reason",), "It synced before; monitoring does not answer now."),
    LogEvent("worker.listening", "info", ("ops_port",), "The port for health and metrics is bound."),
    LogEvent("worker.stopped", "info", (), "The worker ended as asked."),
    LogEvent("worker.temporal_away", "warning", ("reason",), "Temporal does not answer yet; tried again."),
)
