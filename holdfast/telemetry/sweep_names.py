"""Metrics and log events of the sweeper and of the custody report; `holdfast/telemetry/names.py` lists them all."""

from holdfast.telemetry.kinds import LogEvent, MetricName

SWEPT = MetricName(
    "holdfast.sweeper.findings",
    "counter",
    "{finding}",
    ("kind", "answer"),
    "What the sweeper found, and what it did about it; what is still so at the next sweep counts again.",
)
UNACCOUNTED = MetricName(
    "holdfast.custody.unaccounted",
    "gauge",
    "{event}",
    ("source",),
    "Events that the last custody report could not account for.",
)
SWEEP_METRICS = (SWEPT, UNACCOUNTED)

SWEEP_EVENTS = (
    LogEvent("sample.custody", "debug", ("code",), "The last custody report could not be read."),
    LogEvent(
        "housekeeping.failed", "warning", ("schedule", "code", "reason"), "A schedule of our own is not made yet."
    ),
    LogEvent("housekeeping.scheduled", "info", ("schedule", "change"), "A schedule of our own was made or changed."),
    LogEvent(
        "sweep.found",
        "warning",
        ("kind", "answer", "workflow_id", "source", "sequence", "detail"),
        "The sweeper found something that fell through, or is about to.",
    ),
    LogEvent("sweep.done", "info", ("examined", "found"), "A sweep ended."),
    LogEvent(
        "custody.counted",
        "info",
        (
            "since",
            "until",
            "received",
            "delivered",
            "dead_lettered",
            "unmatched",
            "in_flight",
            "unaccounted",
            "evicted",
            "unnamed",
        ),
        "A custody report was made.",
    ),
    LogEvent(
        "custody.evicted",
        "warning",
        ("stream", "from", "to", "events"),
        "Events that left their stream before anybody had them, as its policy allows.",
    ),
    LogEvent(
        "custody.unaccounted",
        "error",
        ("source", "event_id", "stream", "sequence", "detail", "remedy"),
        "An event that was answered 2xx cannot be accounted for; `remedy` is the command that delivers it.",
    ),
)
