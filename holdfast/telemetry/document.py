"""docs/telemetry.md, written from `names.py`: `python -m holdfast.telemetry.document > docs/telemetry.md`."""

import sys
from collections.abc import Iterator

from holdfast.telemetry import names

_HEAD = """# Telemetry

Generated from `holdfast/telemetry/names.py` by `python -m holdfast.telemetry.document`; do not edit.

Every process serves its metrics for Prometheus at `/metrics` on its own port for health and metrics (gateway 8081,
worker 8082). With `OTEL_EXPORTER_OTLP_ENDPOINT` set, metrics and spans are also pushed by OTLP over HTTP;
`OTEL_TRACES_EXPORTER=console` prints one line per span. The sender's W3C `traceparent` travels with the event and is
sent to the target in either case.

Labels hold names from `holdfast.yaml` and codes from `holdfast/errors.py`, never ids. `_` stands for none; past
{series} combinations of labels a metric counts the rest as `_other`.
"""


def telemetry_markdown() -> str:
    """Return the whole page."""
    return "\n".join([_HEAD.format(series=f"{names.MAX_SERIES:,}"), *_metrics(), *_spans(), *_logs()])


def _metrics() -> Iterator[str]:
    yield "## Metrics\n"
    yield "| Prometheus | OpenTelemetry | kind | unit | labels | what it says |"
    yield "|---|---|---|---|---|---|"
    for metric in names.METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        cells = (f"`{metric.prometheus}`", f"`{metric.name}`", metric.kind, metric.unit, labels, metric.description)
        yield _row(*cells)
    yield ""
    yield "Buckets, seconds:\n"
    for metric in names.METRICS:
        if metric.buckets:
            yield f"* `{metric.prometheus}`: {', '.join(f'{bound:g}' for bound in metric.buckets)}"
    yield "\n`process_…` (memory, CPU, open files) come beside them where the system tells (Linux).\n"


def _spans() -> Iterator[str]:
    yield "## Spans\n"
    yield "| name | kind | what it covers |"
    yield "|---|---|---|"
    for span in names.SPANS:
        yield _row(f"`{span.name}`", span.kind, span.description)
    yield ""
    yield "Between dispatch and delivery stand the Temporal SDK's own spans (`StartWorkflow:…`, `RunWorkflow:…`,"
    yield "`RunActivity:…`). A span that fails carries `error.type`, a code, and never a text.\n"


def _logs() -> Iterator[str]:
    yield "## Log events\n"
    yield "One line per event on standard error, JSON by default (`HOLDFAST_LOG_FORMAT=text` for people): `ts`,"
    yield "`level`, `logger`, `event`, the fields below, `trace_id` inside a recorded span, `error` with an exception."
    yield "Bodies, header values and secrets are never logged; control characters are escaped.\n"
    yield "| event | level | fields | when |"
    yield "|---|---|---|---|"
    for event in names.LOG_EVENTS:
        fields = ", ".join(f"`{field}`" for field in event.fields)
        yield _row(f"`{event.name}`", event.level, fields, event.description)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(telemetry_markdown() + "\n")
