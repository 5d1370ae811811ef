"""The exposition: names, units, labels, and what it costs to be flooded."""

import time
from pathlib import Path

from holdfast.telemetry import names
from holdfast.telemetry.document import telemetry_markdown
from holdfast.telemetry.metrics import Metrics

EXPOSED = {
    "holdfast_audit_fill",
    "holdfast_api_requests_total",
    "holdfast_deliveries_total",
    "holdfast_dead_letters_open",
    "holdfast_dead_letters_total",
    "holdfast_delivery_attempts_total",
    "holdfast_delivery_end_to_end_duration_seconds",
    "holdfast_delivery_retries_total",
    "holdfast_custody_unaccounted",
    "holdfast_dispatcher_circuit_open",
    "holdfast_bus_evicted_total",
    "holdfast_config_info",
    "holdfast_config_stale",
    "holdfast_config_reloads_total",
    "holdfast_dispatcher_redelivered_total",
    "holdfast_dispatcher_started_total",
    "holdfast_dispatcher_unmatched_total",
    "holdfast_gateway_connections",
    "holdfast_gateway_connections_ended_total",
    "holdfast_gateway_events_accepted_total",
    "holdfast_gateway_events_rejected_total",
    "holdfast_gateway_ingest_duration_seconds",
    "holdfast_gateway_rejections_unkept_total",
    "holdfast_gateway_requests_total",
    "holdfast_joins_total",
    "holdfast_notifications_total",
    "holdfast_queue_depth",
    "holdfast_schedules_missed_total",
    "holdfast_schedules_stopped_total",
    "holdfast_schedules_ticks_total",
    "holdfast_sweeper_findings_total",
    "holdfast_breaker_open",
    "holdfast_delivery_held_total",
    "holdfast_paused",
    "holdfast_spool_drained_total",
    "holdfast_spool_events",
    "holdfast_spool_oldest_age_seconds",
    "holdfast_spool_rejected_total",
    "holdfast_spool_size_bytes",
    "holdfast_spool_stored_total",
}


def test_exposition_has_exactly_the_documented_names() -> None:
    """Every metric shows under its name in names.py, units and `_total` once; the snapshot guards dashboards."""
    text = _exposition(_used())
    shown = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE holdfast_")}
    assert shown == {metric.prometheus for metric in names.METRICS} == EXPOSED
    assert "_total_total" not in text
    assert "_seconds_seconds" not in text
    assert "otel_scope" not in text
    assert "target_info" not in text


def test_exposition_has_the_documented_labels() -> None:
    """Each series carries the labels of names.py and no other."""
    text = _exposition(_used())
    for metric in names.METRICS:
        suffix = "_count" if metric.kind == "histogram" else ""
        line = next(
            line
            for line in text.splitlines()
            if line.startswith((metric.prometheus + suffix + "{", metric.prometheus + suffix + " "))
        )
        labels = {part.split("=")[0] for part in line.partition("{")[2].partition("}")[0].split(",") if part}
        assert labels == set(metric.labels), line


def test_numbers_are_those_that_were_counted() -> None:
    """A count, a gauge and a histogram say what they were told."""
    metrics = Metrics()
    for _ in range(3):
        metrics.requests("github", 202)
    metrics.queue_depth(7, 2)
    metrics.queue_depth(5, 1)
    metrics.circuit(True)
    metrics.delivered("receipt", 0.2)
    text = _exposition(metrics)
    assert 'holdfast_gateway_requests_total{source="github",status="202"} 3.0' in text
    assert 'holdfast_queue_depth{state="pending"} 5.0' in text
    assert 'holdfast_queue_depth{state="ack_pending"} 1.0' in text
    assert "holdfast_dispatcher_circuit_open 1.0" in text
    assert 'holdfast_delivery_end_to_end_duration_seconds_bucket{le="0.1",trigger="receipt"} 0.0' in text
    assert 'holdfast_delivery_end_to_end_duration_seconds_bucket{le="0.25",trigger="receipt"} 1.0' in text


def test_two_in_one_process_do_not_meet() -> None:
    """There is no global registry: what one counts the other does not show."""
    one, other = Metrics(), Metrics()
    one.unmatched("github")
    assert "unmatched" not in _exposition(other)


def test_flood_of_labels_is_bounded() -> None:
    """A stranger who could choose a label cannot fill the memory: the rest is counted together."""
    metrics = Metrics()
    for number in range(names.MAX_SERIES + 50):
        metrics.rejected(f"source-{number}", "source.unknown")
        metrics.ingest_seconds(f"source-{number}", 0.01)
    lines = _exposition(metrics).splitlines()
    counted = [line for line in lines if line.startswith("holdfast_gateway_events_rejected_total{")]
    assert len(counted) == names.MAX_SERIES + 1
    assert any('code="_other",source="_other"' in line and line.endswith(" 50.0") for line in counted)
    observed = [line for line in lines if line.startswith("holdfast_gateway_ingest_duration_seconds_count{")]
    assert len(observed) <= names.MAX_SERIES + 1


def test_counting_is_cheap() -> None:
    """A count costs microseconds: the gateway makes three for each of thousands of requests a second."""
    metrics = Metrics()
    best = min(_seconds_for(metrics, 2_000) for _ in range(5))
    assert best / 2_000 < 5e-6  # 0.3 µs here; an SDK counter costs 6


def test_page_is_current() -> None:
    """docs/telemetry.md is what names.py says."""
    page = Path(__file__).parents[3] / "docs" / "telemetry.md"
    assert page.read_text() == telemetry_markdown() + "\n", "python -m holdfast.telemetry.document > docs/telemetry.md"


def _seconds_for(metrics: Metrics, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        metrics.requests("github", 202)
    return time.perf_counter() - began


def _exposition(metrics: Metrics) -> str:
    body, content_type = metrics.exposition()
    assert content_type.startswith("text/plain")
    return body.decode()


def _used() -> Metrics:
    metrics = Metrics()
    metrics.requests("github", 202)
    metrics.accepted("github", False)
    metrics.rejected("", "source.unknown")
    metrics.ingest_seconds("github", 0.003)
    metrics.connections(3)
    metrics.connection_ended("slow_headers")
    metrics.spool_state(2, 3_000, 1.5)
    metrics.spooled("github")
    metrics.spool_drained("stored")
    metrics.spool_rejected("spool.full")
    metrics.rejection_unkept("github", "rate")
    metrics.dispatched("receipt")
    metrics.unmatched("github")
    metrics.dead_lettered("receipt", "delivery", "target.refused")
    metrics.redelivered("temporal.unavailable")
    metrics.evicted("EVENTS-telemetry", 3)
    metrics.config("0123456789ab", False)
    metrics.config_reloaded("applied")
    metrics.queue_depth(1, 2)
    metrics.dead_letters_open(4)
    metrics.audit_fill(0.5)
    metrics.circuit(False)
    metrics.attempted("receipt", "delivered")
    metrics.joined("chase", "fired")
    metrics.delivered("receipt", 0.1)
    metrics.ticked("nightly", "published")
    metrics.tick_missed("nightly", "missed")
    metrics.schedule_stopped("nightly")
    metrics.retried("receipt", "target.timeout")
    metrics.held("bill", "rate")
    metrics.breaker("target/billing", True)
    metrics.paused("trigger/bill", True)
    metrics.notified("slack", "sent")
    metrics.swept("run.terminated", "dead-lettered")
    metrics.unaccounted({"github": 0})
    metrics.api_request("dead-letter.list", 200)
    return metrics
