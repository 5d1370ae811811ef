"""The activity `publish_tick`: a schedule's tick becomes an event on the bus, like any webhook.

Flow: Temporal Schedule → ScheduledEvent → **publish_tick** → stream EVENTS → dispatcher.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from temporalio import activity

from activities.boundary import boundary
from holdfast.bus.connect import Bus
from holdfast.bus.publish import EventPublisher, Stored
from holdfast.clock import Clock, rfc3339
from holdfast.contracts import names
from holdfast.contracts.scheduled import PublishTickInput, ScheduledInput, ScheduledResult, tick_event_id
from holdfast.domain.events import Envelope, pack_body
from holdfast.domain.expressions import TICK, Absent, Failed, Found
from holdfast.errors import ErrorCode, PermanentFailure, RejectedInput
from holdfast.ids import sha256_hex
from holdfast.telemetry.names import SPAN_PUBLISH
from holdfast.telemetry.tracing import mint_traceparent, span

TIMEOUT = timedelta(seconds=8)  # below the attempt's 10 s, so that the reason is ours


@dataclass(frozen=True, slots=True)
class Ticks:
    """Publishes ticks."""

    bus: Bus
    clock: Clock

    @activity.defn(name=names.PUBLISH_TICK)
    async def publish_tick(self, given: PublishTickInput) -> ScheduledResult:
        """Publish one tick. Fails for good, `mapping.failed`, where its data cannot be worked out."""
        with boundary():
            stored, event_id = await self.publish(given.tick, given.nominal)
        return ScheduledResult(
            source=given.tick.schedule, event_id=event_id, sequence=stored.sequence, duplicate=stored.duplicate
        )

    async def publish(self, tick: ScheduledInput, nominal: datetime) -> tuple[Stored, str]:
        """Publish, and return where it lies and the event's id. Raises PermanentFailure `mapping.failed`."""
        body = _json(tick_data(tick, nominal))
        with span(SPAN_PUBLISH.name, traceparent=None, kind="producer", source=tick.schedule) as current:
            envelope = tick_envelope(
                tick,
                nominal,
                body,
                received_at=self.clock.now(),
                traceparent=current.traceparent or mint_traceparent(),
            )
            stored = await self.bus.part(EventPublisher).publish_event(envelope, timeout=TIMEOUT)
        return stored, envelope.id


def tick_data(tick: ScheduledInput, nominal: datetime) -> Any:
    """Return the event's data: the expression's value, or the literal. Raises PermanentFailure `mapping.failed`."""
    if tick.data_expression is None:
        return tick.data
    seen = {"schedule": tick.schedule, "time": rfc3339(nominal), "date": rfc3339(nominal)[:10]}
    try:
        found = TICK.compile(tick.data_expression).evaluate(TICK.bind(tick=seen))
    except RejectedInput as error:
        raise PermanentFailure(ErrorCode.MAPPING_FAILED, f"data: {error.message}") from error
    match found:
        case Found(value):
            return value
        case Absent(reason) | Failed(reason):
            raise PermanentFailure(ErrorCode.MAPPING_FAILED, f"data: {tick.data_expression}: {reason}")


def tick_envelope(
    tick: ScheduledInput, nominal: datetime, body: bytes, *, received_at: datetime, traceparent: str
) -> Envelope:
    """Return the tick as an event: source is the schedule, id its nominal time, data JSON."""
    encoding, text = pack_body(body)
    return Envelope(
        id=tick_event_id(nominal),
        source=tick.schedule,
        type=tick.type,
        time=nominal,
        subject=tick.subject,
        datacontenttype="application/json",
        traceparent=traceparent,
        received_at=received_at,
        body_encoding=encoding,
        body=text,
        body_sha256=sha256_hex(body),
    )


def _json(value: Any) -> bytes:
    try:
        # CEL's maps have no order, so the keys are sorted: a repeated tick has equal bytes
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:  # NaN, an infinity or a lone surrogate
        raise PermanentFailure(ErrorCode.MAPPING_FAILED, "data: the value cannot be written as JSON") from error
