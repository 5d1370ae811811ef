"""The trace's way through Temporal: the SDK's own interceptor, where spans are exported.

Apart from `tracing.py` because the gateway uses that, and the gateway never loads Temporal.
"""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from temporalio.contrib.opentelemetry import TracingInterceptor

from holdfast.telemetry.tracing import SCOPE


def temporal_interceptors() -> list[TracingInterceptor]:
    """Return what to give `Client.connect` as `interceptors`; a worker of that client has it from there."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        return []
    return [TracingInterceptor(provider.get_tracer(SCOPE))]
