"""The audit log: the stream AUDIT, which forgets nothing; when it is full, operations are refused.

Flow: admin API → **record** ─PubAck→ the operation → **record**; and: **newest_entries** → `holdfast audit list`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from holdfast import ids
from holdfast.bus.backwards import backwards
from holdfast.bus.connect import Bus
from holdfast.bus.publish import MESSAGE_ID, Publisher
from holdfast.bus.streams import AUDIT, source_token
from holdfast.contracts.audit import AuditEntry

PUBLISH_WITHIN = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; None means any. `action` is a whole name, or its first word: `schedule`."""

    since: datetime
    by: str | None = None
    action: str | None = None
    target: str | None = None

    def takes(self, entry: AuditEntry) -> bool:
        """Whether an entry is meant."""
        return (
            (self.by is None or entry.by == self.by)
            and (self.action is None or self.action in {entry.action, entry.action.partition(".")[0]})
            and (self.target is None or entry.target == self.target)
        )


async def record(bus: Bus, entry: AuditEntry) -> None:
    """Store one entry. Raises Unavailable: `bus.unavailable`, `bus.timeout`, `bus.full`."""
    await bus.part(Publisher).publish(
        f"audit.{source_token(entry.by)}",
        entry.model_dump_json(exclude_defaults=True).encode(),
        {MESSAGE_ID: ids.fingerprint("audit", entry.id, entry.outcome)},
        expected=AUDIT,
        timeout=PUBLISH_WITHIN,
    )


async def newest_entries(bus: Bus, wanted: AuditFilter, *, limit: int = 100) -> list[AuditEntry]:
    """Return at most `limit` operations, the newest first, each once: `started` where its end was never stored.

    Raises Unavailable.
    """
    found: list[AuditEntry] = []
    ended: set[str] = set()
    async for entry in _entries(bus, wanted):
        if entry.outcome != "started":
            ended.add(entry.id)
        elif entry.id in ended:
            ended.discard(entry.id)
            continue
        if wanted.takes(entry):
            found.append(entry)
            if len(found) == limit:
                break
    return found


async def _entries(bus: Bus, wanted: AuditFilter) -> AsyncIterator[AuditEntry]:
    subject = "audit.*" if wanted.by is None else f"audit.{source_token(wanted.by)}"
    async for raw in backwards(bus, AUDIT, subject, wanted.since):
        try:
            yield AuditEntry.model_validate_json(raw.data)
        except ValidationError:
            continue  # of a later version
