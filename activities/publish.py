"""The activity `publish_tick`: a schedule's tick becomes an event on the bus, like any webhook.

Flow: Temporal Schedule → ScheduledEvent → **publish_tick** → stream EVENTS → dispatcher.
"""

import json
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from temporalio import activity

from activities.boundary import boundary
from activities.stops import Stops
from holdfast.bus.connect import Bus
from holdfast.bus.publish import EventPublisher, Stored
from holdfast.clock import Clock, rfc3339
from holdfast.contracts import names
from holdfast.contracts.scheduled import PublishTickInput, ScheduledInput, ScheduledResult, tick_event_id
from holdfast.domain.calendars import WEEKDAYS
from holdfast.domain.events import Envelope, pack_body
from holdfast.domain.expressions import TICK, Absent, Failed, Found
from holdfast.errors import ErrorCode, PermanentFailure, RejectedInput
from holdfast.ids import sha256_hex
from holdfast.telemetry.metrics import Metrics
from holdfast.telemetry.names import SPAN_PUBLISH
from holdfast.telemetry.tracing import mint_traceparent, span

log = logging.getLogger(__name__)

TIMEOUT = timedelta(seconds=8)  # below the attempt's 10 s, so that the reason is ours


@dataclass(frozen=True, slots=True)
class Ticks:
    """Publishes ticks."""

    bus: Bus
    clock: Clock
    metrics: Metrics
    stops: Stops

    @activity.defn(name=names.PUBLISH_TICK)
    async def publish_tick(self, given: PublishTickInput) -> ScheduledResult:
        """Publish one tick, or say why it is not wanted.

        Fails for good, `mapping.failed` or `filter.failed`, where its expressions cannot be worked out.
        """
        tick, event_id = given.tick, tick_event_id(given.nominal)
        with boundary():
            reason = unwanted(tick, given.nominal)
            if not reason and tick.stop_when is not None and given.schedule_id:
                reason = await self.stops.stop(activity.client(), given)
            if reason:
                self.metrics.ticked(tick.schedule, "unwanted")
                log.info("schedules.tick_unwanted", extra={"schedule": tick.schedule, "tick": event_id})
                return ScheduledResult(source=tick.schedule, event_id=event_id, published=False, reason=reason)
            stored, event_id = await self.publish(tick, given.nominal)
            self.metrics.ticked(tick.schedule, "published")
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
    try:
        found = TICK.compile(tick.data_expression).evaluate(TICK.bind(tick=tick_view(tick, nominal)))
    except RejectedInput as error:
        raise PermanentFailure(ErrorCode.MAPPING_FAILED, f"data: {error.message}") from error
    match found:
        case Found(value):
            return value
        case Absent(reason) | Failed(reason):
            raise PermanentFailure(ErrorCode.MAPPING_FAILED, f"data: {tick.data_expression}: {reason}")


def unwanted(tick: ScheduledInput, nominal: datetime) -> str:
    """Return why `when` does not want this tick, or nothing. Raises PermanentFailure `filter.failed`."""
    if tick.when is None:
        return ""
    try:
        found = TICK.compile(tick.when).evaluate(TICK.bind(tick=tick_view(tick, nominal)))
    except RejectedInput as error:
        raise PermanentFailure(ErrorCode.FILTER_FAILED, f"when: {error.message}") from error
    match found:
        case Found(True):
            return ""
        case Found(False):
            return f"when is false: {tick.when}"
        case Absent(reason):
            return f"when is false: {tick.when}: {reason}"
        case Found(value):
            raise PermanentFailure(ErrorCode.FILTER_FAILED, f"when: {tick.when}: is {type(value).__name__}, not a bool")
        case Failed(reason):
            raise PermanentFailure(ErrorCode.FILTER_FAILED, f"when: {tick.when}: {reason}")


def tick_view(tick: ScheduledInput, nominal: datetime) -> dict[str, Any]:
    """Return what an expression sees as `tick`. Raises PermanentFailure `mapping.failed` for an unknown time zone."""
    try:
        local = nominal.astimezone(ZoneInfo(tick.timezone))
    except (KeyError, ValueError, OSError) as error:
        raise PermanentFailure(ErrorCode.MAPPING_FAILED, f"{tick.timezone!r} is not an IANA time zone") from error
    return {
        "schedule": tick.schedule,
        "time": rfc3339(nominal),
        "timezone": tick.timezone,
        "local_time": local.isoformat(timespec="seconds"),
        "date": local.date().isoformat(),
        "weekday": WEEKDAYS[local.isoweekday() % 7].upper(),
    }


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
