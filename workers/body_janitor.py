"""Large bodies live as long as anything can need them, and no longer.

A body is needed while its event lies in EVENTS, while a delivery or a case of it is open in Temporal, and while a dead
letter refers to it: asked in the order in which events move, so that one on its way is met. What nobody needs goes when
that was found twice, ten minutes apart; what was never referred to (the gateway died in between) after an hour.
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
from holdfast.bus.lookup import last_of, read
from holdfast.bus.objects import Description, chunks_subject, descriptions, remove
from holdfast.bus.retention import fill_of, purge_subject, subjects_of
from holdfast.bus.streams import BODIES_STREAM, DEAD_LETTERS, EVENTS, source_token, subject_for
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
    _lies_at: dict[str, int] = field(default_factory=dict)  # name → sequence of an event in EVENTS that refers to it
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
        first = (await fill_of(self.bus, EVENTS)).first
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
        for memory in (self._lies_at, self._unneeded):
            for name in memory.keys() - present:
                memory.pop(name)
        await self._drop_chunks(known, now)
        if gone:
            log.info("janitor.bodies_removed", extra={"bodies": len(gone)})
        return gone

    async def _may_go(self, found: Description, first: int, now: datetime) -> bool:
        if self._lies_at.get(found.name, 0) >= first:
            return False
        if await self._needed(found):
            self._unneeded.pop(found.name, None)
            return False
        sequence, since = self._unneeded.setdefault(found.name, (found.sequence, now))
        if sequence != found.sequence:  # stored again meanwhile
            self._unneeded[found.name] = (found.sequence, now)
            return False
        return now - since >= self.sure

    async def _needed(self, found: Description) -> bool:
        name = found.name.encode()
        async for event in read(self.bus, EVENTS, subject_for(found.source, found.event_id)):
            if name in event.data:
                self._lies_at[found.name] = event.sequence
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
