"""Large bodies live as long as anything can need them, and no longer.

A body is needed while its event lies in a stream of events, while a delivery or a case of it is open in Temporal, and
while a dead letter refers to it: asked in the order in which events move, so that one on its way is met. What nobody
needs goes when that was found twice, ten minutes apart; what was never referred to (the gateway died in between) after
an hour.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError
from temporalio.client import Client

from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.lookup import event_streams, last_of, read
from holdfast.bus.objects import Description, chunks_subject, descriptions, remove
from holdfast.bus.retention import fill_of, purge_subject, subjects_of
from holdfast.bus.streams import BODIES_STREAM, DEAD_LETTERS, source_token, subject_for
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.errors import HoldfastError
from holdfast.temporal.deliveries import is_under_way

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=5)
GRACE = timedelta(hours=1)  # from the storing of a body; its event follows within seconds
SURE = timedelta(minutes=10)  # between the first time that nobody is found to need it and its removal


@dataclass(frozen=True, slots=True)
class BodyJanitor:
    """Removes the bodies that nothing needs."""

    bus: Bus
    client: Client
    grace: timedelta = GRACE
    sure: timedelta = SURE
    _lies_at: dict[str, tuple[str, int]] = field(default_factory=dict)  # name → stream, sequence of an event with it
    _unneeded: dict[str, tuple[int, datetime]] = field(default_factory=dict)  # name → description, and since when

    async def run(self) -> None:
        """Sweep for ever; a sweep that fails is repeated with the next."""
        while True:
            try:
                await self.sweep(datetime.now(UTC))
            except HoldfastError as error:
                log.info("janitor.failed", extra={"code": error.code, "reason": error.message})
            await asyncio.sleep(EVERY.total_seconds())

    async def sweep(self, now: datetime) -> list[str]:
        """Look at every body once; return the names of those removed. Raises Unavailable, and then all is kept."""
        first = {stream: (await fill_of(self.bus, stream)).first for stream in await event_streams(self.bus)}
        known: set[str] = set()
        present: set[str] = set()
        gone: list[str] = []
        async for found in descriptions(self.bus):
            known.add(found.nuid)
            present.add(found.name)
            if not found.source or found.stored_at > now - self.grace:
                continue  # put there by somebody else, or just now
            if found.deleted or await self._may_go(found, first, now):
                if await remove(self.bus, found) and not found.deleted:
                    gone.append(found.name)
                self._unneeded.pop(found.name, None)
        for name in (self._lies_at.keys() | self._unneeded.keys()) - present:
            self._lies_at.pop(name, None)
            self._unneeded.pop(name, None)
        await self._drop_chunks(known, now)
        if gone:
            log.info("janitor.bodies_removed", extra={"bodies": len(gone)})
        return gone

    async def _may_go(self, found: Description, first: dict[str, int], now: datetime) -> bool:
        stream, at = self._lies_at.get(found.name, ("", 0))
        # where settling removes an event, its place says nothing of the ones before
        if first.get(stream, at + 1) <= at and await self._still(stream, at):
            return False
        if await self._needed(found, tuple(first)):
            self._unneeded.pop(found.name, None)
            return False
        sequence, since = self._unneeded.setdefault(found.name, (found.sequence, now))
        if sequence != found.sequence:  # stored again meanwhile
            self._unneeded[found.name] = (found.sequence, now)
            return False
        return now - since >= self.sure

    async def _still(self, stream: str, sequence: int) -> bool:
        found = await anext(read(self.bus, stream, ">", after=sequence - 1), None)
        return found is not None and found.sequence == sequence

    async def _needed(self, found: Description, streams: tuple[str, ...]) -> bool:
        name = found.name.encode()
        for stream in streams:
            async for event in read(self.bus, stream, subject_for(found.source, found.event_id, stream)):
                if name in event.data:
                    self._lies_at[found.name] = (stream, event.sequence)
                    return True
        if await is_under_way(self.client, found.source, found.event_id):
            return True
        shard = ids.shard(found.source, found.event_id)
        async for letter in read(self.bus, DEAD_LETTERS, f"dead-letters.{source_token(found.source)}.{shard}"):
            if name in letter.data:
                return True
        async for stray in self._strays():
            if name in stray:
                return True
        return False

    async def _strays(self) -> AsyncIterator[bytes]:
        """Iterate over the bytes of dead letters that were no event to whoever read them: they may be one yet."""
        async for letter in read(self.bus, DEAD_LETTERS, f"dead-letters.{source_token('')}.*"):
            try:
                record = DeadLetterRecord.model_validate_json(letter.data)
                yield base64.b64decode(record.raw_base64 or "")
            except (ValidationError, binascii.Error):
                yield letter.data

    async def _drop_chunks(self, known: set[str], now: datetime) -> None:
        """Remove chunks of no object: their gateway died before it described them."""
        for subject in await subjects_of(self.bus, BODIES_STREAM, chunks_subject(">")):
            if subject.rpartition(".")[2] in known:
                continue
            last = await last_of(self.bus, BODIES_STREAM, subject)
            if last is not None and last.stored_at <= now - self.grace:
                await purge_subject(self.bus, BODIES_STREAM, subject)
