"""Storing on the bus: nothing counts as stored before JetStream's own acknowledgement names the stream.

Flow: identify → **publish** ─PubAck→ answer; and: give up → **publish_dead_letter**. Same `Nats-Msg-Id` on every try.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.errors import of_reply
from holdfast.bus.news import AWAITED_UNTIL
from holdfast.bus.objects import put_body
from holdfast.bus.requests import Requests
from holdfast.bus.streams import (
    DEAD_LETTERS,
    EVENTS,
    EVICTIONS,
    EXPECTED_STREAM,
    LIMITS,
    MAX_MESSAGE,
    UNMATCHED,
    Evicted,
    Unmatched,
    dead_letter_subject,
    evictions_subject,
    subject_for,
    unmatched_subject,
)
from holdfast.clock import rfc3339
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.domain.events import Envelope
from holdfast.errors import Defect, ErrorCode, RejectedInput, Unavailable

HEADER_FRAME = len("NATS/1.0\r\n\r\n")
MESSAGE_ID = "Nats-Msg-Id"
EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"
_SMALLER: tuple[dict[str, None], ...] = ({}, {"spec": None}, {"spec": None, "raw_base64": None, "envelope": None})


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a message lies. `duplicate`: it lay there before, and `sequence` is that of the first."""

    stream: str
    sequence: int
    duplicate: bool


class Publisher:
    """Publishes over one inbox; make one per process and keep it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._requests = Requests(bus)

    async def publish(
        self,
        subject: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        expected: str | None,
        timeout: timedelta,
    ) -> Stored:
        """Store one message and return where.

        Raises RejectedInput `request.too_large`; Unavailable `bus.unavailable` (not connected; nothing was sent),
        `bus.timeout` (outcome unknown), `bus.full`, `bus.misconfigured`.
        """
        sent = dict(headers)
        if expected is not None:
            sent[EXPECTED_STREAM] = expected
        _check_size(body, sent, min(self._bus.max_payload, _limit(expected, self._bus.max_payload)))
        return _stored(await self._requests.request(subject, body, sent, timeout=timeout), expected)


class EventPublisher:
    """The gateway's hot path: accepted events into the stream of their source."""

    def __init__(self, bus: Bus, stream_of: Callable[[str], str] = lambda _: EVENTS) -> None:
        """`stream_of` returns the JetStream stream of a source."""
        self._bus = bus
        self._stream_of = stream_of
        self._publisher = Publisher(bus)

    async def store_body(self, envelope: Envelope, body: bytes, *, timeout: timedelta) -> None:
        """Store the body of an event that refers to it; before the event itself. Raises Unavailable `bus.…`."""
        await put_body(self._bus, envelope, body, timeout=timeout)

    async def publish_event(
        self, envelope: Envelope, *, timeout: timedelta, awaited_until: datetime | None = None
    ) -> Stored:
        """Store one event; `awaited_until`: somebody waits for its outcome. Raises as `Publisher.publish` does."""
        marks = {AWAITED_UNTIL: rfc3339(awaited_until)} if awaited_until is not None else {}
        return await self.publish_record(envelope.source, envelope.id, envelope.encode(), timeout=timeout, marks=marks)

    async def publish_record(
        self, source: str, event_id: str, record: bytes, *, timeout: timedelta, marks: Mapping[str, str] | None = None
    ) -> Stored:
        """Store one event that is encoded already, with further headers. Raises as `Publisher.publish` does."""
        headers = {MESSAGE_ID: ids.message_id(source, event_id), **(marks or {})}
        stream = self._stream_of(source)
        return await self._publisher.publish(
            subject_for(source, event_id, stream), record, headers, expected=stream, timeout=timeout
        )

    def check_size(self, source: str, event_id: str, record: bytes) -> None:
        """Refuse what the bus would refuse, as far as is known while it is away: RejectedInput `request.too_large`."""
        headers = {MESSAGE_ID: ids.message_id(source, event_id), EXPECTED_STREAM: self._stream_of(source)}
        _check_size(record, headers, min(self._bus.known_max_payload or MAX_MESSAGE, MAX_MESSAGE))


async def publish_dead_letter(bus: Bus, record: DeadLetterRecord, *, timeout: timedelta) -> Stored:
    """Store a dead letter: after it, whoever gave up is free. Raises as `Publisher.publish` does.

    Where the NATS server takes only small messages the record is stored without what made it large: a dead letter
    with less in it is visible, one that cannot be stored is not.
    """
    for smaller in _SMALLER:
        try:
            return await _publisher(bus).publish(
                dead_letter_subject(record),
                record.model_copy(update=smaller).model_dump_json(exclude_none=True).encode(),
                {MESSAGE_ID: ids.fingerprint("dead-letter", record.id)},
                expected=DEAD_LETTERS,
                timeout=timeout,
            )
        except RejectedInput as error:
            if error.code != ErrorCode.REQUEST_TOO_LARGE or smaller is _SMALLER[-1]:
                raise
    raise Defect(ErrorCode.DEFECT, "unreachable: the last attempt returns or raises")


async def publish_unmatched(bus: Bus, record: Unmatched, *, timeout: timedelta) -> Stored:
    """Record that no trigger wanted an event. Raises as `Publisher.publish` does."""
    return await _publisher(bus).publish(
        unmatched_subject(record.source, record.event_id),
        record.model_dump_json(exclude_none=True).encode(),
        {MESSAGE_ID: ids.fingerprint("unmatched", record.source, record.event_id, *filter(None, [record.trigger]))},
        expected=UNMATCHED,
        timeout=timeout,
    )


async def publish_message(  # noqa: PLR0913 - one message has this many parts
    bus: Bus,
    subject: str,
    body: bytes,
    message_id: str,
    *,
    timeout: timedelta,
    headers: Mapping[str, str] | None = None,
) -> Stored:
    """Store a message in whichever stream takes `subject`: the action `nats`. Raises as `Publisher.publish` does."""
    sent = {MESSAGE_ID: message_id, **(headers or {})}
    return await _publisher(bus).publish(subject, body, sent, expected=None, timeout=timeout)


async def publish_evicted(bus: Bus, record: Evicted, *, after: int, timeout: timedelta) -> Stored:
    """Record that events were evicted, if nothing was recorded past sequence `after` of EVICTIONS meanwhile.

    Raises as `Publisher.publish` does; Conflict-like refusals of the expected sequence come as Unavailable.
    """
    return await _publisher(bus).publish(
        evictions_subject(record.stream),
        record.model_dump_json().encode(),
        {EXPECTED_LAST: str(after)},
        expected=EVICTIONS,
        timeout=timeout,
    )


def _limit(stream: str | None, largest: int) -> int:
    return largest if stream is None else LIMITS.get(stream, MAX_MESSAGE)


def _check_size(body: bytes, headers: Mapping[str, str], limit: int) -> None:
    # headers count too, and a message over max_payload makes the server end the connection
    size = len(body) + HEADER_FRAME + sum(len(k) + len(v.encode()) + 4 for k, v in headers.items())
    if size > limit:
        raise RejectedInput(ErrorCode.REQUEST_TOO_LARGE, f"{size} bytes as a message; the bus takes {limit}")


def _publisher(bus: Bus) -> Publisher:
    """Return the publisher that belongs to `bus`; it lives as long as the bus does."""
    return bus.part(Publisher)


def _stored(raw: bytes, expected: str | None) -> Stored:
    reply, refusal = of_reply(raw)
    if refusal is not None:
        raise refusal
    stream, sequence = (reply or {}).get("stream"), (reply or {}).get("seq")
    if not isinstance(stream, str) or not isinstance(sequence, int):
        raise Unavailable(ErrorCode.BUS_UNAVAILABLE, "the reply is no acknowledgement of JetStream")
    if expected is not None and stream != expected:
        raise Unavailable(ErrorCode.BUS_MISCONFIGURED, f"stored in the stream {stream}, not in {expected}")
    return Stored(stream, sequence, bool((reply or {}).get("duplicate", False)))
