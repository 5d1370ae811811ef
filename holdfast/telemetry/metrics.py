"""The numbers of one process: counted with OpenTelemetry, shown to Prometheus, pushed by OTLP where that is set up.

Counters and gauges are plain dictionary entries that the SDK observes when it collects: an SDK counter costs 6 µs per
`add`, a dictionary entry 0.3 µs, and the gateway counts several times for each of 4,000 requests a second. Names:
`holdfast/telemetry/names.py`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from holdfast.telemetry import names
from holdfast.telemetry.kinds import MetricName
from holdfast.telemetry.names import MAX_SERIES, OTHER, UNKNOWN


class Metrics:
    """Every number of one process, with its own registry: two in one process do not meet.

    The methods are cheap, never raise and never block. Call them from one thread, the event loop's; collecting may
    happen on any. Labels are names from the configuration and error codes, never ids; empty becomes `_`.
    """

    def __init__(self, readers: Sequence[MetricReader] = (), resource: Resource | None = None) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        prometheus = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=self._registry)
        ProcessCollector(registry=self._registry)
        self._provider = MeterProvider(
            [prometheus, *readers],
            resource=resource or Resource.get_empty(),
            exemplar_filter=AlwaysOffExemplarFilter(),  # an exemplar costs more than the number it explains
            shutdown_on_exit=False,
        )
        self._meter = self._provider.get_meter("holdfast")
        self._requests = self._tally(names.GATEWAY_REQUESTS)
        self._accepted = self._tally(names.GATEWAY_ACCEPTED)
        self._rejected = self._tally(names.GATEWAY_REJECTED)
        self._connections = self._tally(names.GATEWAY_CONNECTIONS)
        self._connections_ended = self._tally(names.GATEWAY_CONNECTIONS_ENDED)
        self._rejections_unkept = self._tally(names.GATEWAY_REJECTIONS_UNKEPT)
        self._dispatched = self._tally(names.DISPATCHED)
        self._unmatched = self._tally(names.UNMATCHED)
        self._redelivered = self._tally(names.REDELIVERED)
        self._evicted = self._tally(names.EVICTED)
        self._config_info = self._tally(names.CONFIG_INFO)
        self._config_stale = self._tally(names.CONFIG_STALE)
        self._config_reloads = self._tally(names.CONFIG_RELOADS)
        self._queue_depth = self._tally(names.QUEUE_DEPTH)
        self._circuit = self._tally(names.CIRCUIT_OPEN)
        self._dead_letters = self._tally(names.DEAD_LETTERS)
        self._dead_letters_open = self._tally(names.DEAD_LETTERS_OPEN)
        self._audit_fill = self._tally(names.AUDIT_FILL)
        self._deliveries = self._tally(names.DELIVERIES)
        self._joins = self._tally(names.JOINS)
        self._attempts = self._tally(names.ATTEMPTS)
        self._retries = self._tally(names.RETRIES)
        self._spool_events = self._tally(names.SPOOL_EVENTS)
        self._spool_size = self._tally(names.SPOOL_SIZE)
        self._spool_oldest = self._tally(names.SPOOL_OLDEST)
        self._spooled = self._tally(names.SPOOLED)
        self._spool_drained = self._tally(names.SPOOL_DRAINED)
        self._spool_rejected = self._tally(names.SPOOL_REJECTED)
        self._held = self._tally(names.HELD)
        self._breaker = self._tally(names.BREAKER_OPEN)
        self._paused = self._tally(names.PAUSED)
        self._swept = self._tally(names.SWEPT)
        self._unaccounted = self._tally(names.UNACCOUNTED)
        self._notifications = self._tally(names.NOTIFICATIONS)
        self._ingest = self._histogram(names.GATEWAY_INGEST)
        self._end_to_end = self._histogram(names.END_TO_END)
        self._ticks = self._tally(names.TICKS)
        self._ticks_missed = self._tally(names.TICKS_MISSED)
        self._schedules_stopped = self._tally(names.SCHEDULES_STOPPED)
        self._api_requests = self._tally(names.API_REQUESTS)

    def requests(self, source: str, status: int) -> None:
        """Count one webhook request answered with `status`."""
        self._requests.add(source, str(status))

    def accepted(self, source: str, duplicate: bool) -> None:
        """Count one event stored, on the bus or in the outbox, and answered 2xx."""
        self._accepted.add(source, "true" if duplicate else "false")

    def rejected(self, source: str, code: str) -> None:
        """Count one request not answered 2xx; `code` is an ErrorCode."""
        self._rejected.add(source, code)

    def ingest_seconds(self, source: str, seconds: float) -> None:
        """Observe how long one webhook took to its answer."""
        self._ingest.record(source, seconds)

    def connections(self, open: int) -> None:  # noqa: A002 - open is what they are
        """Show how many connections the public port has."""
        self._connections.put(open)

    def connection_ended(self, reason: str) -> None:
        """Count one connection that the gateway ended; `reason` is one of `gateway.connections.Reason`."""
        self._connections_ended.add(reason)

    def rejection_unkept(self, source: str, reason: str) -> None:
        """Count one refused request that is not in the log; `reason` is rate, queue or bus."""
        self._rejections_unkept.add(source, reason)

    def spooled(self, source: str) -> None:
        """Count one event kept in the outbox."""
        self._spooled.add(source)

    def spool_drained(self, outcome: str) -> None:
        """Count one event that left the outbox; `outcome` is stored, duplicate or dead_lettered."""
        self._spool_drained.add(outcome)

    def spool_rejected(self, code: str) -> None:
        """Count one event that the outbox could not keep; `code` is an ErrorCode."""
        self._spool_rejected.add(code)

    def spool_state(self, events: int, size: int, oldest_age: float) -> None:
        """Show what the outbox holds: events, bytes, and for how long the oldest has waited, seconds."""
        self._spool_events.put(events)
        self._spool_size.put(size)
        self._spool_oldest.put(oldest_age)

    def dispatched(self, trigger: str) -> None:
        """Count one delivery that Temporal accepted."""
        self._dispatched.add(trigger)

    def unmatched(self, source: str) -> None:
        """Count one event that no trigger wanted."""
        self._unmatched.add(source)

    def config(self, fingerprint: str, stale: bool) -> None:
        """Show which configuration is in force, and whether the file is another."""
        self._config_info.only(1, fingerprint)
        self._config_stale.put(1 if stale else 0)

    def config_reloaded(self, outcome: str) -> None:
        """Count one reload; `outcome` is applied or refused."""
        self._config_reloads.add(outcome)

    def evicted(self, stream: str, events: int) -> None:
        """Count events that left their stream unprocessed."""
        self._evicted.add(stream, by=events)

    def redelivered(self, reason: str) -> None:
        """Count one message handed back to the bus; `reason` is an ErrorCode."""
        self._redelivered.add(reason)

    def queue_depth(self, pending: int, ack_pending: int) -> None:
        """Show how many events the bus still holds unsettled: not handed out, and handed out."""
        self._queue_depth.put(pending, "pending")
        self._queue_depth.put(ack_pending, "ack_pending")

    def circuit(self, open: bool) -> None:  # noqa: A002 - the state of a circuit is called open
        """Show whether the dispatcher has stopped fetching because Temporal is away."""
        self._circuit.put(int(open))

    def dead_lettered(self, trigger: str, stage: str, code: str) -> None:
        """Count one event given up; `stage` is a Stage, `code` an ErrorCode."""
        self._dead_letters.add(trigger, stage, code)
        self._deliveries.add(trigger, "dead_lettered")

    def dead_letters_open(self, count: int) -> None:
        """Show how many cases wait for somebody."""
        self._dead_letters_open.put(count)

    def joined(self, trigger: str, outcome: str) -> None:
        """Count a window that ended, or an event that came late to one."""
        self._joins.add(trigger, outcome)

    def audit_fill(self, part: float) -> None:
        """Show how full the audit log is, from 0 to 1."""
        self._audit_fill.put(part)

    def attempted(self, trigger: str, outcome: str) -> None:
        """Count one attempt at an action; `outcome` is delivered, transient or permanent."""
        self._attempts.add(trigger, outcome)

    def retried(self, trigger: str, code: str) -> None:
        """Count one failed attempt that is tried again; `code` is an ErrorCode."""
        self._retries.add(trigger, code)

    def held(self, trigger: str, why: str) -> None:
        """Count one delivery that was held back without an attempt; `why` as in `HeldBack`."""
        self._held.add(trigger, why)

    def breaker(self, lane: str, open: bool) -> None:  # noqa: A002 - the state of a circuit is called open
        """Show whether the circuit breaker of a lane is open."""
        self._breaker.put(int(open), lane)

    def paused(self, lane: str, paused: bool) -> None:
        """Show whether a trigger or a target is paused."""
        self._paused.put(int(paused), lane)

    def delivered(self, trigger: str, end_to_end_seconds: float) -> None:
        """Count one delivery, and observe the time from the webhook's receipt to it."""
        self._deliveries.add(trigger, "delivered")
        self._end_to_end.record(trigger, end_to_end_seconds)

    def swept(self, kind: str, answer: str) -> None:
        """Count one finding of the sweeper; `kind` is a FindingKind, `answer` an Answer."""
        self._swept.add(kind, answer)

    def unaccounted(self, counts: Mapping[str, int]) -> None:
        """Show how many events of each source the last custody report could not account for."""
        self._unaccounted.replace({(source,): count for source, count in counts.items()})

    def ticked(self, schedule: str, outcome: str) -> None:
        """Count one tick of a schedule; `outcome` is published or unwanted."""
        self._ticks.add(schedule, outcome)

    def tick_missed(self, schedule: str, reason: str) -> None:
        """Count one tick that never ran; `reason` is missed, skipped or lost."""
        self._ticks_missed.add(schedule, reason)

    def schedule_stopped(self, schedule: str) -> None:
        """Count one schedule that `stop_when` paused."""
        self._schedules_stopped.add(schedule)

    def notified(self, kind: str, outcome: str) -> None:
        """Count one attempt to tell people; `kind` is of the notifier, `outcome` sent, retried or failed."""
        self._notifications.add(kind, outcome)

    def api_request(self, operation: str, status: int) -> None:
        """Count one request to the admin API; `operation` is its name in OpenAPI."""
        self._api_requests.add(operation, str(status))

    def exposition(self) -> tuple[bytes, str]:
        """Return the body and the Content-Type of a Prometheus scrape."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def close(self) -> None:
        """Push what OTLP has not seen yet, and stop; blocks for seconds where a collector is away."""
        self._provider.shutdown(timeout_millis=3_000)

    def _tally(self, name: MetricName) -> "_Tally":
        tally = _Tally(name.labels)
        create = (
            self._meter.create_observable_counter if name.kind == "counter" else self._meter.create_observable_gauge
        )
        create(name.name, [tally.observe], unit=name.unit, description=name.description)
        return tally

    def _histogram(self, name: MetricName) -> "_Histogram":
        instrument = self._meter.create_histogram(
            name.name, name.unit, name.description, explicit_bucket_boundaries_advisory=name.buckets
        )
        (label,) = name.labels
        return _Histogram(instrument.record, label)


class _Tally:
    """One number per combination of label values; everything past MAX_SERIES combinations is one series."""

    __slots__ = ("_labels", "_values")

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._values: dict[tuple[str, ...], int | float] = {}

    def add(self, *key: str, by: int = 1) -> None:
        """Add one, or `by`."""
        try:
            self._values[key] += by
        except KeyError:
            key = self._admitted(key)
            self._values[key] = self._values.get(key, 0) + by

    def put(self, value: float, *key: str) -> None:
        """Replace the number."""
        self._values[self._admitted(key)] = value

    def replace(self, numbers: Mapping[tuple[str, ...], int | float]) -> None:
        """Replace all numbers: what is not among them is gone."""
        self._values = dict(list(numbers.items())[:MAX_SERIES])

    def only(self, value: float, *key: str) -> None:
        """Replace the number, and forget every other series."""
        self._values = {key: value}

    def observe(self, _: CallbackOptions) -> Iterable[Observation]:
        """Hand every number to the SDK; the copy is one step, so a collecting thread sees no half of it."""
        for key, value in self._values.copy().items():
            labels = dict(zip(self._labels, (part or UNKNOWN for part in key), strict=True))
            yield Observation(value, labels)

    def _admitted(self, key: tuple[str, ...]) -> tuple[str, ...]:
        if key in self._values or len(self._values) < MAX_SERIES:
            return key
        return (OTHER,) * len(self._labels)


class _Histogram:
    """One histogram with one label; label sets are made once per value."""

    __slots__ = ("_label", "_record", "_sets")

    def __init__(self, record: Callable[[float, dict[str, str]], None], label: str) -> None:
        self._record = record
        self._label = label
        self._sets: dict[str, dict[str, str]] = {}

    def record(self, value: str, seconds: float) -> None:
        """Observe one duration; a clock that went backwards counts as zero."""
        labels = self._sets.get(value)
        if labels is None:
            shown = (value or UNKNOWN) if len(self._sets) < MAX_SERIES else OTHER
            labels = self._sets.setdefault(shown, {self._label: shown})
        self._record(max(seconds, 0.0), labels)
