"""Reading the bus without consuming it: one event, one unmatched record, the dead letters. Bounded, never exact-timed.

An event is found by reading its subject, 1/4096 of its source's events, from the oldest on.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.errors import of_api_error
from holdfast.bus.requests import Requests
from holdfast.bus.streams import (
    DEAD_LETTERS,
    EVENTS,
    EVICTIONS,
    OWN_EVENTS,
    UNMATCHED,
    Evicted,
    Unmatched,
    dead_letter_subject,
    dispatcher_of,
    evictions_subject,
    source_token,
    subject_for,
    unmatched_subject,
)
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.domain.events import Envelope, decode_envelope
from holdfast.errors import ErrorCode, RejectedInput, Unavailable

READ_WITHIN = timedelta(seconds=30)  # a look-up in all; one message takes about 0.3 ms
CALL = timedelta(seconds=5)
_NO_MESSAGE = 10037
_NO_CONSUMER = 10014


@dataclass(frozen=True, slots=True)
class Raw:
    """One stored message as it lies there."""

    sequence: int
    subject: str
    data: bytes
    headers: bytes
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """An event on the bus. `settled`: the dispatcher is done with it and with everything before it."""

    sequence: int
    envelope: Envelope
    stored_at: datetime
    settled: bool
    stream: str = EVENTS


@dataclass(frozen=True, slots=True)
class FoundDeadLetter:
    """A dead letter in its stream."""

    sequence: int
    record: DeadLetterRecord
    stored_at: datetime


async def event_streams(bus: Bus) -> list[str]:
    """Return the streams of events that exist, EVENTS first, also those no longer configured. Raises Unavailable."""
    found: list[str] = []
    while True:
        question = json.dumps({"subject": "events.>", "offset": len(found)}).encode()
        reply, error = _json(await bus.part(Requests).request("$JS.API.STREAM.NAMES", question, timeout=CALL))
        if error is not None:
            raise of_api_error(error.get("err_code"), error.get("code"), error.get("description"))
        page = [name for name in reply.get("streams") or [] if isinstance(name, str)]
        found += page
        if not page or len(found) >= int(reply.get("total", 0)):
            return sorted((name for name in found if name == EVENTS or name.startswith(OWN_EVENTS)), key=_events_first)


def _events_first(stream: str) -> tuple[bool, str]:
    return stream != EVENTS, stream


async def find_event(bus: Bus, source: str, event_id: str) -> FoundEvent | None:
    """Find one event in whichever stream of events has it, or None. Raises Unavailable."""
    for stream in await event_streams(bus):
        async for raw in read(bus, stream, subject_for(source, event_id, stream)):
            try:
                envelope = decode_envelope(raw.data)
            except RejectedInput:
                continue
            if (envelope.source, envelope.id) == (source, event_id):
                settled = raw.sequence <= await settled_up_to(bus, stream)
                return FoundEvent(raw.sequence, envelope, raw.stored_at, settled, stream)
    return None


async def find_record(bus: Bus, record: DeadLetterRecord) -> FoundDeadLetter | None:
    """Find the dead letter with the id of `record`, which says where it would lie, or None. Raises Unavailable."""
    async for raw in read(bus, DEAD_LETTERS, dead_letter_subject(record)):
        try:
            known = DeadLetterRecord.model_validate_json(raw.data)
        except ValidationError:
            continue
        if known.id == record.id:
            return FoundDeadLetter(raw.sequence, known, raw.stored_at)
    return None


async def find_unmatched(bus: Bus, source: str, event_id: str) -> Unmatched | None:
    """Find the record that no trigger wanted an event, or None. Raises Unavailable."""
    async for raw in read(bus, UNMATCHED, unmatched_subject(source, event_id)):
        record = unwanted(raw.data)
        if record is not None and (record.source, record.event_id) == (source, event_id):
            return record
    return None


def unwanted(data: bytes) -> Unmatched | None:
    """Read one record of UNMATCHED; None for what is none."""
    try:
        return Unmatched.model_validate_json(data)
    except ValidationError:
        return None


async def find_dead_letters(
    bus: Bus,
    *,
    source: str | None = None,
    event_id: str | None = None,
    after: int = 0,
    within: timedelta = READ_WITHIN,
) -> AsyncIterator[FoundDeadLetter]:
    """Iterate over dead letters from the oldest, those of one source or event where given. Raises Unavailable.

    What lies in the stream and is no dead letter is left out; the escalator has made a case of it.
    """
    token = "*" if source is None else source_token(source)
    shard = "*" if source is None or event_id is None else ids.shard(source, event_id)
    async for raw in read(bus, DEAD_LETTERS, f"dead-letters.{token}.{shard}", after=after, within=within):
        try:
            record = DeadLetterRecord.model_validate_json(raw.data)
        except ValidationError:
            continue
        if event_id is None or record.event_id == event_id:
            yield FoundDeadLetter(raw.sequence, record, raw.stored_at)


async def find_evictions(bus: Bus, stream: str) -> AsyncIterator[Evicted]:
    """Iterate over what was evicted from a stream unprocessed, from the oldest record kept. Raises Unavailable."""
    async for raw in read(bus, EVICTIONS, evictions_subject(stream)):
        if (record := evicted(raw.data)) is not None:
            yield record


def evicted(data: bytes) -> Evicted | None:
    """Read one record of EVICTIONS; None for what is none."""
    try:
        return Evicted.model_validate_json(data)
    except ValidationError:
        return None


async def settled_up_to(bus: Bus, stream: str = EVENTS) -> int:
    """Return the dispatcher's ack floor in a stream: everything up to it is settled; 0 without a dispatcher."""
    return await _position(bus, stream, "ack_floor")


async def handed_out_up_to(bus: Bus, stream: str) -> int:
    """Return the last sequence that a stream's dispatcher was given; 0 without a dispatcher. Raises Unavailable."""
    return await _position(bus, stream, "delivered")


async def _position(bus: Bus, stream: str, which: str) -> int:
    subject = f"$JS.API.CONSUMER.INFO.{stream}.{dispatcher_of(stream).name}"
    reply, error = _json(await bus.part(Requests).request(subject, b"", timeout=CALL))
    if error is not None:
        if error.get("err_code") == _NO_CONSUMER:
            return 0
        raise of_api_error(error.get("err_code"), error.get("code"), error.get("description"))
    try:
        return int(reply[which]["stream_seq"])
    except (KeyError, TypeError, ValueError, OverflowError) as unreadable:
        raise Unavailable(
            ErrorCode.BUS_UNAVAILABLE, "the bus describes a consumer without its position"
        ) from unreadable


async def read(
    bus: Bus, stream: str, subject: str, *, after: int = 0, within: timedelta = READ_WITHIN
) -> AsyncIterator[Raw]:
    """Iterate over the messages of `subject` (may hold wildcards) past sequence `after`.

    Raises Unavailable; `bus.timeout` where reading has taken longer than `within`.
    """
    deadline = asyncio.get_running_loop().time() + within.total_seconds()
    api = f"$JS.API.STREAM.MSG.GET.{stream}"
    sequence = after + 1
    while True:
        if asyncio.get_running_loop().time() > deadline:
            raise Unavailable(ErrorCode.BUS_TIMEOUT, f"reading {subject} took longer than {within}")
        question = json.dumps({"seq": sequence, "next_by_subj": subject}).encode()
        # asked as JSON and not by direct get, whose headers a stored message could imitate
        reply, error = _json(await bus.part(Requests).request(api, question, timeout=CALL))
        if error is not None:
            if error.get("err_code") == _NO_MESSAGE:
                return
            raise of_api_error(error.get("err_code"), error.get("code"), error.get("description"))
        raw = _raw(reply.get("message"))
        yield raw
        sequence = raw.sequence + 1


async def last_of(bus: Bus, stream: str, subject: str) -> Raw | None:
    """Return the last message of a subject, or None. Raises Unavailable."""
    question = json.dumps({"last_by_subj": subject}).encode()
    reply, error = _json(await bus.part(Requests).request(f"$JS.API.STREAM.MSG.GET.{stream}", question, timeout=CALL))
    if error is None:
        return _raw(reply["message"])
    if error.get("err_code") == _NO_MESSAGE:
        return None
    raise of_api_error(error.get("err_code"), error.get("code"), error.get("description"))


def _json(raw: bytes) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return a reply and, where it is one, its error."""
    try:
        reply = json.loads(raw)
    except (ValueError, RecursionError):
        reply = None
    error = reply.get("error") if isinstance(reply, dict) else None
    if not isinstance(reply, dict) or not (error is None or isinstance(error, dict)):
        raise Unavailable(ErrorCode.BUS_UNAVAILABLE, "the bus answered with something that is no JSON object")
    return reply, error


def _raw(message: Any) -> Raw:
    try:
        return Raw(
            sequence=int(message["seq"]),
            subject=message["subject"],
            data=base64.b64decode(message.get("data") or ""),
            headers=base64.b64decode(message.get("hdrs") or ""),
            stored_at=datetime.fromisoformat(message["time"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, binascii.Error) as error:
        raise Unavailable(ErrorCode.BUS_UNAVAILABLE, "the bus answered with a message that cannot be read") from error
