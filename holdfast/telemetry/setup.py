"""Telemetry of one process, from its settings: log lines, numbers, and spans where an exporter is named.

The composition root calls `start_telemetry` once, first of all, and `Telemetry.close` last. The OpenTelemetry SDK
reads its own standard variables (endpoint, headers, sampler, resource attributes) itself.
"""

import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

from holdfast import __version__
from holdfast.telemetry.logs import configure_logging, escape
from holdfast.telemetry.metrics import Metrics
from holdfast.telemetry.tracing import OwnSpans

FLUSH_WITHIN = timedelta(seconds=3)  # what a process that ends gives its exporters; their own retries take 10 s


class TelemetrySettings(Protocol):
    """What this package needs of the process settings."""

    @property
    def log_level(self) -> str:
        """DEBUG, INFO, WARNING or ERROR."""

    @property
    def log_format(self) -> str:
        """`json` or `text`."""

    @property
    def traces_exporter(self) -> Literal["none", "otlp", "console"]:
        """Where spans go."""

    @property
    def metrics_pushed(self) -> bool:
        """Whether numbers are pushed by OTLP besides being shown to Prometheus."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What a process holds on to while it lives."""

    metrics: Metrics
    tracer: TracerProvider | None

    def close(self) -> None:
        """Push what is left, within 3 s in all; a collector that is away holds no shutdown up."""
        steps = [self.metrics.close] if self.tracer is None else [self.metrics.close, self.tracer.shutdown]
        closing = [threading.Thread(target=step, daemon=True, name="telemetry-close") for step in steps]
        for thread in closing:
            thread.start()
        deadline = time.monotonic() + FLUSH_WITHIN.total_seconds()
        for thread in closing:
            thread.join(max(deadline - time.monotonic(), 0.0))


def start_telemetry(service: str, settings: TelemetrySettings) -> Telemetry:
    """Set logging, metrics and tracing up for the process; `service` is gateway or worker."""
    configure_logging(settings.log_level, settings.log_format)
    if settings.traces_exporter == "none" and not settings.metrics_pushed:
        return Telemetry(Metrics(), None)
    resource = Resource.create({SERVICE_NAME: f"holdfast-{service}", SERVICE_VERSION: __version__})
    readers: list[MetricReader] = []
    if settings.metrics_pushed:
        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
    tracer = None
    if settings.traces_exporter != "none":
        tracer = OwnSpans(resource=resource, shutdown_on_exit=False)
        tracer.add_span_processor(_processor(settings.traces_exporter))
        trace.set_tracer_provider(tracer)
    return Telemetry(Metrics(readers, resource), tracer)


def _processor(exporter: Literal["otlp", "console"]) -> SpanProcessor:
    if exporter == "otlp":
        return BatchSpanProcessor(OTLPSpanExporter())
    return SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr, formatter=_span_line))


def _span_line(span: ReadableSpan) -> str:
    """`span webhook receive 1.2ms trace=… span=… parent=… holdfast.source=github`."""
    took = ((span.end_time or 0) - (span.start_time or 0)) / 1e6
    context = span.get_span_context()
    ids = f"trace={context.trace_id:032x} span={context.span_id:016x}" if context else ""
    parent = f" parent={span.parent.span_id:016x}" if span.parent else ""
    facts = "".join(f" {name}={value!s}" for name, value in (span.attributes or {}).items())
    return escape(f"span {span.name} {took:.1f}ms {ids}{parent} {span.status.status_code.name}{facts}") + "\n"
