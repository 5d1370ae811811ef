"""One trace from the webhook to the outbound call, as W3C `traceparent`; free where nothing exports it.

Where no exporter is set up a span is a pass-through: it makes nothing and hands the incoming `traceparent` on
unchanged, so the sender's trace still reaches the target.
"""

import contextlib
import re
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracer, Span, SpanContext, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from holdfast.errors import HoldfastError

Kind = Literal["server", "producer", "consumer", "client", "internal"]

SCOPE = "holdfast"
"""Instrumentation scope of every span of ours."""

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_PROPAGATOR = TraceContextTextMapPropagator()


class OwnSpans(TracerProvider):
    """Records our spans only: libraries that trace by themselves (FastAPI) would add every health check and its URL."""

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Tracer:
        """Return a tracer that does nothing to whoever is not us."""
        if instrumenting_module_name != SCOPE:
            return NoOpTracer()
        return super().get_tracer(instrumenting_module_name, instrumenting_library_version, schema_url, attributes)


@dataclass(frozen=True, slots=True)
class ActiveSpan:
    """The span one is in. `traceparent` is what goes outbound: None only where none came in and nothing records."""

    traceparent: str | None
    tracestate: str | None
    recording: Span | None = None

    def set(self, **attributes: str | int | bool) -> None:
        """Add facts that are known only now; names come out as `holdfast.{name}`."""
        if self.recording is not None:
            self.recording.set_attributes(_named(attributes))


def span(
    name: str,
    *,
    traceparent: str | None,
    tracestate: str | None = None,
    kind: Kind = "internal",
    **attributes: str | int | bool,
) -> AbstractContextManager[ActiveSpan]:
    """Run a block as one span, child of the span one is in, else of `traceparent`; usable around `await`.

    An exception ends the span as an error with its code, without its text or traceback, and goes on.
    """
    # the public getter reads the environment on every call until a provider is set, which shows in the gateway
    provider = trace._TRACER_PROVIDER  # noqa: SLF001
    if not isinstance(provider, TracerProvider):
        return contextlib.nullcontext(ActiveSpan(traceparent, tracestate))
    return _recorded(provider, name, _parent(traceparent, tracestate), kind, attributes)


@contextlib.contextmanager
def _recorded(
    provider: TracerProvider,
    name: str,
    parent: Context | None,
    kind: Kind,
    attributes: dict[str, str | int | bool],
) -> Iterator[ActiveSpan]:
    tracer = provider.get_tracer(SCOPE)
    with tracer.start_as_current_span(
        name,
        context=parent,
        kind=SpanKind[kind.upper()],
        attributes=_named(attributes),
        record_exception=False,  # a traceback shows local texts, and an exception's text may quote a body
        set_status_on_exception=False,
    ) as current:
        try:
            yield ActiveSpan(*_carried(current), current)
        except BaseException as error:
            code = error.code if isinstance(error, HoldfastError) else type(error).__name__
            current.set_attribute("error.type", str(code))
            current.set_status(Status(StatusCode.ERROR, str(code)))
            raise


def valid_traceparent(value: str | None) -> bool:
    """Whether `value` is a W3C traceparent of version 00 with a trace and a span: what we pass on."""
    return value is not None and _TRACEPARENT.fullmatch(value) is not None


def mint_traceparent() -> str:
    """Return a fresh, sampled traceparent, for an event that got none: neither from its sender nor from a span.

    Take it after the span (`active.traceparent or mint_traceparent()`): given to a span, it would be a parent that
    nobody ever exports.
    """
    trace_id = secrets.token_hex(16)
    span_id = secrets.token_hex(8)
    fresh = f"00-{trace_id}-{span_id}-01"
    return fresh if valid_traceparent(fresh) else mint_traceparent()  # all zeroes, once in 2^64


def current_trace_id() -> str | None:
    """Return the trace id one is in, 32 hex digits, for log lines; None where nothing records."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def _parent(traceparent: str | None, tracestate: str | None) -> Context | None:
    """Choose the parent: the current span if it belongs to the same trace, for it is nearer; else the carried one."""
    if traceparent is None or not valid_traceparent(traceparent):
        return None
    current: SpanContext = trace.get_current_span().get_span_context()
    if current.is_valid and trace.format_trace_id(current.trace_id) == traceparent[3:35]:
        return None
    carrier = {"traceparent": traceparent}
    if tracestate:
        carrier["tracestate"] = tracestate
    return _PROPAGATOR.extract(carrier, context=Context())


def _carried(current: Span) -> tuple[str | None, str | None]:
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, context=trace.set_span_in_context(current))
    return carrier.get("traceparent"), carrier.get("tracestate")


def _named(attributes: dict[str, str | int | bool]) -> dict[str, str | int | bool]:
    return {f"holdfast.{name}": value for name, value in attributes.items()}
