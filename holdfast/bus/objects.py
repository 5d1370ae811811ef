"""Large bodies in a JetStream object store: every chunk acknowledged before the object counts as stored, once per name.

The layout is the standard one, so `nats object` reads it. The put is our own: nats-py's sends one chunk at a time,
without a bound on the whole, and replaces what is there, under readers. Here an object is never replaced: whoever
stores it again renews its description, which is compared and set, so that a removal cannot cross with it.
Flow: identify → **put** → publish; load → deliver.
"""

import asyncio
import base64
import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.errors import of_api_error
from holdfast.bus.lookup import Raw, last_of, read
from holdfast.bus.requests import Requests
from holdfast.bus.retention import purge_subject
from holdfast.bus.streams import BODIES, BODIES_STREAM, EXPECTED_STREAM, source_token
from holdfast.clock import rfc3339
from holdfast.domain.events import BodyReference, Envelope
from holdfast.errors import ErrorCode, PermanentFailure, Unavailable

CHUNK = 262_144  # bytes; each is synced to disk on its own, so larger ones are faster and smaller ones lighter
WINDOW = 8  # chunks on the way at once
CALL = timedelta(seconds=5)
READ_WITHIN = timedelta(minutes=5)  # a body in all; a slow target reads it as fast as it takes it
MAX_LOADED = 67_108_864  # bytes of bodies that one process holds whole
_FRAME = 4_096  # bytes of a message that are not its payload
_CHANGED = frozenset({10071, 10164})  # somebody else has written the description meanwhile
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Description:
    """What the store says of an object; `sequence` and `stored_at` are those of the description itself."""

    name: str
    nuid: str  # of its chunks
    size: int
    digest: str  # SHA-256, hex
    sequence: int
    stored_at: datetime
    deleted: bool
    source: str
    event_id: str


def reference_for(source: str, event_id: str, size: int, sha256: str) -> BodyReference:
    """Name the object of an event's body: the same for every repeat of the same event with the same body."""
    name = f"{source_token(source)}/{ids.message_id(source, event_id)}/{sha256[: ids.HASH_CHARS]}"
    return BodyReference(bucket=BODIES, name=name, size=size)


def chunks_subject(nuid: str) -> str:
    """Subject of an object's chunks."""
    return f"$O.{BODIES}.C.{nuid}"


def description_subject(name: str) -> str:
    """Subject of an object's description."""
    return f"$O.{BODIES}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


async def put_body(bus: Bus, envelope: Envelope, body: bytes, *, timeout: timedelta) -> None:
    """Store the body that `envelope.body_ref` names, within `timeout`; again is no error, and renews it.

    Raises Unavailable: `bus.…` as `Publisher.publish` does; what was begun is removed by the janitor.
    """
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            await _put(bus, envelope, body)
    except TimeoutError as error:
        raise Unavailable(ErrorCode.BUS_TIMEOUT, "the bus did not store the body in time") from error


async def chunks_of(bus: Bus, envelope: Envelope) -> AsyncIterator[bytes]:
    """Iterate over a body; the last chunk comes only when the hash of all is right.

    Raises PermanentFailure `body.missing`, `body.damaged`; Unavailable.
    """
    reference = envelope.body_ref
    if reference is None:
        yield envelope.raw_body
        return
    found = await describe(bus, reference.name)
    if found is None or found.deleted:
        raise PermanentFailure(ErrorCode.BODY_MISSING, f"the body {reference.name} is not in the bucket {BODIES}")
    digest, size, held = hashlib.sha256(), 0, b""
    async for raw in read(bus, BODIES_STREAM, chunks_subject(found.nuid), within=READ_WITHIN):
        digest.update(raw.data)
        size += len(raw.data)
        if size > reference.size:
            break
        if held:
            yield held
        held = raw.data
        if size == reference.size:
            break
    if size == 0:
        raise PermanentFailure(
            ErrorCode.BODY_MISSING, f"the body {reference.name} has no chunks in the bucket {BODIES}"
        )
    if size != reference.size or digest.hexdigest() != envelope.body_sha256:
        raise PermanentFailure(ErrorCode.BODY_DAMAGED, f"the body {reference.name} is not the one that was received")
    yield held


async def load_body(bus: Bus, envelope: Envelope) -> bytes:
    """Return a body whole. Hold `Loading.room` meanwhile. Raises as `chunks_of` does."""
    if envelope.body_ref is None:
        return envelope.raw_body
    whole = bytearray()
    async for chunk in chunks_of(bus, envelope):
        whole += chunk
    return bytes(whole)


class Loading:
    """Room for bodies that are held whole, by one process: whoever finds none waits for its turn."""

    def __init__(self, bus: Bus) -> None:  # noqa: ARG002 - a part of the bus (`bus.part(Loading)`)
        self.room = asyncio.Semaphore(MAX_LOADED // 26_214_400)


async def describe(bus: Bus, name: str) -> Description | None:
    """Return what the store says of an object, or None. Raises Unavailable."""
    raw = await last_of(bus, BODIES_STREAM, description_subject(name))
    return None if raw is None else read_description(raw)


async def descriptions(bus: Bus) -> AsyncIterator[Description]:
    """Iterate over the descriptions of all objects. Raises Unavailable."""
    async for raw in read(bus, BODIES_STREAM, f"$O.{BODIES}.M.>", within=READ_WITHIN):
        if (found := read_description(raw)) is not None:
            yield found


async def remove(bus: Bus, found: Description) -> bool:
    """Remove an object whose description is still the one given; else leave it and return False. Raises Unavailable."""
    if (
        not found.deleted
        and await _describe(bus, found.name, _told(found) | {"deleted": True}, after=found.sequence) is None
    ):
        return False
    await purge_subject(bus, BODIES_STREAM, chunks_subject(found.nuid))
    last = await describe(bus, found.name)
    if last is not None and last.deleted:
        # nothing past this very message: a body of that name may be stored again at this moment
        await purge_subject(bus, BODIES_STREAM, description_subject(found.name), before=last.sequence + 1)
    return True


def read_description(raw: Raw) -> Description | None:
    """Read a description; None where it is none."""
    try:
        told = json.loads(raw.data)
        digest = base64.urlsafe_b64decode(str(told.get("digest", "")).partition("=")[2]).hex()
        about = told.get("metadata") or {}
        return Description(
            name=str(told["name"]),
            nuid=str(told["nuid"]),
            size=int(told.get("size", 0)),
            digest=digest,
            sequence=raw.sequence,
            stored_at=raw.stored_at,
            deleted=bool(told.get("deleted", False)),
            source=str(about.get("source", "")),
            event_id=str(about.get("event_id", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None


async def _put(bus: Bus, envelope: Envelope, body: bytes) -> None:
    reference = envelope.body_ref
    if reference is None:
        return
    for _ in range(_TRIES):
        found = await describe(bus, reference.name)
        whole = found is not None and not found.deleted and found.digest == envelope.body_sha256
        nuid = found.nuid if whole and found is not None else await _send_chunks(bus, body)
        told = _told_of(envelope, reference, nuid)
        if await _describe(bus, reference.name, told, after=found.sequence if found is not None else 0) is not None:
            return
        if not whole:  # another request stored the same meanwhile: its chunks are the ones that count
            await purge_subject(bus, BODIES_STREAM, chunks_subject(nuid))
    raise Unavailable(ErrorCode.BUS_UNAVAILABLE, "the body is being stored by others, again and again")


async def _send_chunks(bus: Bus, body: bytes) -> str:
    """Store the chunks in order, some on the way at once; return their nuid. Raises Unavailable."""
    nuid, size = uuid.uuid4().hex[:22], min(CHUNK, bus.max_payload - _FRAME)
    subject, view = chunks_subject(nuid), memoryview(body)
    under_way: list[asyncio.Task[int]] = []
    try:
        for at in range(0, len(body), size):
            if len(under_way) >= WINDOW:
                await under_way.pop(0)
            task = asyncio.create_task(_store(bus, subject, bytes(view[at : at + size]), {}))
            under_way.append(task)
            await asyncio.sleep(0)  # it leaves before the next: the stream keeps the order
        while under_way:
            await under_way.pop(0)
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
    return nuid


async def _describe(bus: Bus, name: str, told: dict[str, Any], *, after: int) -> int | None:
    """Write a description where the last one is message `after` (0: none); None where it is not. Raises Unavailable."""
    headers = {"Nats-Rollup": "sub", "Nats-Expected-Last-Subject-Sequence": str(after)}
    try:
        return await _store(bus, description_subject(name), json.dumps(told).encode(), headers)
    except _ChangedError:
        return None


async def _store(bus: Bus, subject: str, payload: bytes, headers: dict[str, str]) -> int:
    raw = await bus.part(Requests).request(subject, payload, {**headers, EXPECTED_STREAM: BODIES_STREAM}, timeout=CALL)
    try:
        reply = json.loads(raw)
    except ValueError:
        reply = {}
    error = reply.get("error")
    if error is not None:
        if error.get("err_code") in _CHANGED:
            raise _ChangedError
        raise of_api_error(error.get("err_code"), error.get("code"), error.get("description"))
    if reply.get("stream") != BODIES_STREAM:
        raise Unavailable(ErrorCode.BUS_UNAVAILABLE, "the reply is no acknowledgement of the object store")
    return int(reply["seq"])


def _told_of(envelope: Envelope, reference: BodyReference, nuid: str) -> dict[str, Any]:
    digest = base64.urlsafe_b64encode(bytes.fromhex(envelope.body_sha256)).decode()
    return {
        "name": reference.name,
        "description": "body of an event of Holdfast",
        "metadata": {"source": envelope.source, "event_id": envelope.id},
        "options": {"max_chunk_size": CHUNK},
        "bucket": BODIES,
        "nuid": nuid,
        "size": reference.size,
        "mtime": rfc3339(datetime.now(UTC)),
        "chunks": -(-reference.size // CHUNK),
        "digest": f"SHA-256={digest}",
    }


def _told(found: Description) -> dict[str, Any]:
    """Return a description as it is written when its object is removed."""
    return {
        "name": found.name,
        "metadata": {"source": found.source, "event_id": found.event_id},
        "bucket": BODIES,
        "nuid": found.nuid,
        "size": 0,
        "chunks": 0,
        "mtime": rfc3339(datetime.now(UTC)),
    }


class _ChangedError(Exception):
    """The description is no longer the one that was looked at."""
