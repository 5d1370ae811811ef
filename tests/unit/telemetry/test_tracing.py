"""One trace: spans, the traceparent that goes outbound, and nothing at all where nothing is exported."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from holdfast.embedded.servers import free_ports
from holdfast.errors import ErrorCode, TransientFailure
from holdfast.telemetry.temporal import temporal_interceptors
from holdfast.telemetry.tracing import OwnSpans, mint_traceparent, span, valid_traceparent

INCOMING = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

PROCESS = """
from holdfast.settings.process import ProcessSettings
from holdfast.telemetry.setup import start_telemetry
from holdfast.telemetry.tracing import span
telemetry = start_telemetry("gateway", ProcessSettings.load())
with span("webhook receive", traceparent=None, source="github"):
    telemetry.metrics.requests("github", 202)
telemetry.close()
"""


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Record spans in memory, for this test only."""
    exporter = InMemorySpanExporter()
    provider = OwnSpans(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def unexported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make sure that no other test's provider is in place."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)


@pytest.mark.usefixtures("unexported")
def test_without_exporter_the_incoming_trace_goes_out_unchanged() -> None:
    """Nothing records, and the target still gets the sender's traceparent."""
    with span("webhook receive", traceparent=INCOMING, tracestate="vendor=1", kind="server") as outer:
        with span("event deliver", traceparent=outer.traceparent, kind="client") as inner:
            assert inner.traceparent == INCOMING
        assert outer.tracestate == "vendor=1"
    assert temporal_interceptors() == []


def test_webhook_to_outbound_is_one_trace(exported: InMemorySpanExporter) -> None:
    """Three processes that share only the envelope's traceparent make one trace, each the child of the one before."""
    with span("webhook receive", traceparent=INCOMING, tracestate="vendor=1", kind="server") as received:
        carried = received.traceparent
        assert received.tracestate == "vendor=1"
    with span("event dispatch", traceparent=carried, kind="consumer") as dispatched:
        handed_on = dispatched.traceparent
    with span("event deliver", traceparent=handed_on, kind="client", trigger="receipt") as delivered:
        outbound = delivered.traceparent
    deliver, dispatch, receive = (_by_name(exported, n) for n in ("event deliver", "event dispatch", "webhook receive"))
    assert {f"{s.context.trace_id:032x}" for s in (deliver, dispatch, receive)} == {INCOMING[3:35]}
    assert receive.parent is not None
    assert f"{receive.parent.span_id:016x}" == INCOMING[36:52]
    assert dispatch.parent is not None
    assert dispatch.parent.span_id == receive.context.span_id
    assert deliver.parent is not None
    assert deliver.parent.span_id == dispatch.context.span_id
    assert outbound == f"00-{INCOMING[3:35]}-{deliver.context.span_id:016x}-01"
    assert deliver.attributes == {"holdfast.trigger": "receipt"}


async def test_the_nearer_parent_wins(exported: InMemorySpanExporter) -> None:
    """Inside a span of the same trace, as in an activity, that span is the parent and not the older, carried one."""
    with span("outer", traceparent=INCOMING):
        await asyncio.sleep(0)
        with span("inner", traceparent=INCOMING):
            await asyncio.sleep(0)
    parent = _by_name(exported, "inner").parent
    assert parent is not None
    assert parent.span_id == _by_name(exported, "outer").context.span_id


def test_a_foreign_current_span_does_not_capture(exported: InMemorySpanExporter) -> None:
    """An event keeps its own trace where the code that handles it runs inside another."""
    with span("loop", traceparent=None), span("event dispatch", traceparent=INCOMING):
        pass
    assert f"{_by_name(exported, 'event dispatch').context.trace_id:032x}" == INCOMING[3:35]


def test_failure_is_marked_by_code_only(exported: InMemorySpanExporter) -> None:
    """A failed span says which code, and no text that might quote a body."""
    with (
        pytest.raises(TransientFailure),
        span("event deliver", traceparent=INCOMING),
    ):
        raise TransientFailure(ErrorCode.TARGET_TIMEOUT, "the secret body")
    failed = _by_name(exported, "event deliver")
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes == {"error.type": "target.timeout"}
    assert "secret" not in failed.to_json()


def test_unsampled_stays_unsampled(exported: InMemorySpanExporter) -> None:
    """A sender that chose not to sample is obeyed, and the target hears so."""
    with span("webhook receive", traceparent=INCOMING[:-1] + "0") as active:
        assert active.traceparent is not None
        assert active.traceparent.endswith("-00")
    assert exported.get_finished_spans() == ()


def test_libraries_add_no_spans(exported: InMemorySpanExporter) -> None:
    """A library that traces by itself, as FastAPI does, records nothing, and our spans keep their parents across it."""
    with (
        span("webhook receive", traceparent=INCOMING) as outer,
        trace.get_tracer_provider().get_tracer("fastapi").start_as_current_span("GET /healthz/live"),
        span("event publish", traceparent=outer.traceparent),
    ):
        pass
    assert {s.name for s in exported.get_finished_spans()} == {"webhook receive", "event publish"}
    parent = _by_name(exported, "event publish").parent
    assert parent is not None
    assert parent.span_id == _by_name(exported, "webhook receive").context.span_id


def test_temporal_is_traced_where_spans_are_exported(exported: InMemorySpanExporter) -> None:
    """The SDK's interceptor is there, once."""
    assert exported.get_finished_spans() == ()
    assert len(temporal_interceptors()) == 1


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "garbage",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        INCOMING.upper(),
        INCOMING + "\n",
        INCOMING + "-more",
    ],
)
def test_what_is_no_traceparent(value: str | None) -> None:
    """A sender's header is passed on only where it is well formed."""
    assert not valid_traceparent(value)


def test_minted_is_valid_and_fresh() -> None:
    """Each minted traceparent is well formed and differs from the last."""
    assert valid_traceparent(INCOMING)
    minted = {mint_traceparent() for _ in range(100)}
    assert len(minted) == 100
    assert all(valid_traceparent(value) for value in minted)


def test_console_exporter_shows_spans_of_a_real_process() -> None:
    """OTEL_TRACES_EXPORTER=console, read from the environment, prints one line per span."""
    (line,) = _run({"OTEL_TRACES_EXPORTER": "console", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}).splitlines()
    assert line.startswith("span webhook receive ")
    assert "holdfast.source=github" in line


def test_otlp_reaches_a_collector() -> None:
    """OTEL_EXPORTER_OTLP_ENDPOINT alone sends spans and metrics there by HTTP, and closing waits for both."""
    paths: list[str] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            paths.append(self.path)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            _run({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}"})
        finally:
            server.shutdown()
    assert set(paths) == {"/v1/traces", "/v1/metrics"}


def test_a_collector_that_is_away_holds_nobody_up() -> None:
    """Without a listener the process works, and gives up what it could not send after three seconds."""
    (port,) = free_ports(1)
    began = time.monotonic()
    _run({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"})
    assert time.monotonic() - began < 8  # three for the exporters, the rest for starting Python on a busy machine


def _run(environment: dict[str, str]) -> str:
    """Run a process that makes one span and one count; return what it wrote to standard error."""
    command = [sys.executable, "-W", "error", "-c", PROCESS]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return ended.stderr


def _by_name(exporter: InMemorySpanExporter, name: str) -> Any:
    (found,) = [s for s in exporter.get_finished_spans() if s.name == name]
    return found
