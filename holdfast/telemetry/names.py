"""Every metric, span and log event by name, with units and labels: the one place that people's dashboards depend on.

`docs/telemetry.md` is these tables. Event ids are never labels: their number has no bound. A source label is the name
of a configured source, or `_` where a request named none.
"""

from holdfast.telemetry.kinds import LogEvent, MetricName, SpanName
from holdfast.telemetry.log_events import LOG_EVENTS
from holdfast.telemetry.sweep_names import SWEEP_METRICS, SWEPT, UNACCOUNTED

__all__ = ["LOG_EVENTS", "SWEPT", "UNACCOUNTED", "LogEvent", "MetricName", "SpanName"]

UNKNOWN = "_"
"""Label value where there is none: a request for no source, a dead letter of no trigger."""

OTHER = "_other"
"""Label value of everything past the first MAX_SERIES combinations of labels of one metric."""

MAX_SERIES = 1_000  # per metric; the SDK would make an unnamed overflow series of its own at 2,000

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds; the gateway answers within 2.5 s."""

END_TO_END_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0)
"""Seconds; from a first attempt that succeeds to a day of retries."""


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
CONFIG_INFO = MetricName(
    "holdfast.config.info", "gauge", "", ("hash",), "1, with the hash of the configuration that this process runs."
)
CONFIG_STALE = MetricName(
    "holdfast.config.stale", "gauge", "", (), "1 while holdfast.yaml was changed and could not be taken."
)
CONFIG_RELOADS = MetricName(
    "holdfast.config.reloads", "counter", "{reload}", ("outcome",), "Reloads of holdfast.yaml: applied or refused."
)
EVICTED = MetricName(
    "holdfast.bus.evicted",
    "counter",
    "{event}",
    ("stream",),
    "Events that left a stream unprocessed (discard old, or max_age); the log and `holdfast bus show` name them.",
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
AUDIT_FILL = MetricName(
    "holdfast.audit.fill", "gauge", "", (), "How full the audit log is: 1 is full, and the admin API does nothing more."
)
DELIVERIES = MetricName(
    "holdfast.deliveries",
    "counter",
    "{delivery}",
    ("trigger", "outcome"),
    "Deliveries that ended: delivered, dead_lettered or superseded.",
)
JOINS = MetricName(
    "holdfast.joins",
    "counter",
    "{window}",
    ("trigger", "outcome"),
    "Windows of joins that ended, by outcome: fired, ruled-out, otherwise, dropped, dead-lettered; and late events.",
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

API_REQUESTS = MetricName(
    "holdfast.api.requests",
    "counter",
    "{request}",
    ("operation", "status"),
    "Requests to the admin API, by operation (`_` where it came to none) and the answer's status.",
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
    EVICTED,
    CONFIG_INFO,
    CONFIG_STALE,
    CONFIG_RELOADS,
    QUEUE_DEPTH,
    CIRCUIT_OPEN,
    DEAD_LETTERS,
    DEAD_LETTERS_OPEN,
    AUDIT_FILL,
    DELIVERIES,
    JOINS,
    ATTEMPTS,
    RETRIES,
    HELD,
    BREAKER_OPEN,
    PAUSED,
    END_TO_END,
    *SWEEP_METRICS,
    TICKS,
    TICKS_MISSED,
    SCHEDULES_STOPPED,
    NOTIFICATIONS,
    API_REQUESTS,
)

SPAN_RECEIVE = SpanName("webhook receive", "server", "The gateway takes one webhook in, to its answer.")
SPAN_PUBLISH = SpanName("event publish", "producer", "The gateway publishes the event, to the PubAck.")
SPAN_DISPATCH = SpanName("event dispatch", "consumer", "The worker decides and starts the deliveries of one event.")
SPAN_DELIVER = SpanName("event deliver", "client", "One attempt at an action; its traceparent is sent outbound.")
SPAN_DEAD_LETTER = SpanName("dead letter record", "producer", "A dead letter is stored.")

SPANS = (SPAN_RECEIVE, SPAN_PUBLISH, SPAN_DISPATCH, SPAN_DELIVER, SPAN_DEAD_LETTER)
