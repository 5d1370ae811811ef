"""The activity `count_custody`: every event of a period, and where each one is; counted from the bus, not from us.

Received is read from the stream EVENTS, unmatched from UNMATCHED, the rest from Temporal's visibility, hundreds of
events per query; only what does not add up by then is looked at one by one. Flow: Custody → **count** → report.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from temporalio import activity

from activities.boundary import boundary
from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.lookup import find_dead_letters, find_unmatched, read, settled_up_to
from holdfast.bus.retention import fill_of, first_after
from holdfast.bus.streams import EVENTS, UNMATCHED, Unmatched
from holdfast.clock import Clock, rfc3339
from holdfast.contracts import names
from holdfast.contracts.custody import (
    MOST_CARRIED,
    MOST_NAMED,
    CustodyInput,
    CustodyReport,
    EventRef,
    SourceCount,
)
from holdfast.domain.custody import Fate, Judged, Trace, judge
from holdfast.domain.events import decode_envelope
from holdfast.errors import RejectedInput
from holdfast.settings.file import LoadedConfig
from holdfast.settings.live import LiveConfig
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal.connect import TemporalClient
from holdfast.temporal.event_runs import traces_now, traces_of
from holdfast.temporal.housekeeping import last_completed, result_of

log = logging.getLogger(__name__)

BATCH = 200  # events in one query
READ_WITHIN = timedelta(hours=1)
CALL = timedelta(seconds=10)
_STRAY = "~stream/"


@dataclass(frozen=True, slots=True)
class Period:
    """Which events one report is about: sequences `first` to `last` of EVENTS, and those carried from before."""

    since: datetime | None
    first: int
    last: int
    carried: tuple[EventRef, ...]
    purged: int


@dataclass(slots=True)
class Ledger:
    """What was counted so far. Names are kept up to a bound, numbers are all there."""

    settled: int
    unmatched: set[str]  # message ids
    seen: set[bytes] = field(default_factory=set)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    unaccounted: list[EventRef] = field(default_factory=list)
    in_flight: list[EventRef] = field(default_factory=list)
    lowest: int | None = None  # sequence of the first event in flight

    def add(self, source: str, what: str) -> None:
        """Count one."""
        line = self.counts.setdefault(source, {})
        line[what] = line.get(what, 0) + 1

    def enter(self, ref: EventRef, judged: Judged) -> None:
        """Enter one event under its fate."""
        self.add(ref.source, judged.fate.replace("-", "_").replace(" ", "_"))
        if judged.fate is Fate.UNACCOUNTED and len(self.unaccounted) < MOST_NAMED:
            self.unaccounted.append(ref.model_copy(update={"detail": judged.detail}))
        if judged.fate is Fate.IN_FLIGHT:
            self.lowest = ref.sequence if self.lowest is None else min(self.lowest, ref.sequence)
            if len(self.in_flight) <= MOST_CARRIED:
                self.in_flight.append(ref)

    def first_time(self, ref: EventRef) -> bool:
        """Whether the event is not another copy of one that this report has counted."""
        key = bytes.fromhex(ids.message_id(ref.source, ref.event_id))
        if key in self.seen:
            return False
        self.seen.add(key)
        return True


@dataclass(frozen=True, slots=True)
class CustodyCount:
    """Counts with the worker's own connections, or with those of a command."""

    bus: Bus
    loaded: LoadedConfig | LiveConfig
    metrics: Metrics
    clock: Clock

    @activity.defn(name=names.COUNT_CUSTODY)
    async def count_custody(self, given: CustodyInput) -> CustodyReport:
        """Count one period, log what does not add up, and return the report. Tried for ever."""
        with boundary(never_give_up=True):
            report = await self.count(activity.client(), given)
        tell(report)
        self.metrics.unaccounted({one.source: one.unaccounted for one in report.sources})
        return report

    async def count(self, client: TemporalClient, given: CustodyInput) -> CustodyReport:
        """Count one period. Raises Unavailable."""
        now = self.clock.now()
        period = await self._period(client, given)
        ledger = Ledger(await settled_up_to(self.bus), await self._unmatched(period))
        async for batch in _batches(self._events(period, ledger)):
            await self._enter(client, batch, ledger)
        crowded = len(ledger.in_flight) > MOST_CARRIED
        return CustodyReport(
            since=period.since,
            until=given.until or now,
            first_sequence=period.first,
            last_sequence=period.last,
            purged=period.purged,
            sources=tuple(SourceCount(source=name, **line) for name, line in sorted(ledger.counts.items())),
            unaccounted=tuple(ledger.unaccounted),
            in_flight=() if crowded else tuple(ledger.in_flight),
            resume_at=ledger.lowest if crowded and ledger.lowest is not None else period.last + 1,
        )

    async def _period(self, client: TemporalClient, given: CustodyInput) -> Period:
        fill = await fill_of(self.bus, EVENTS)
        last = fill.last
        if given.until is not None:
            last = min(last, await first_after(self.bus, EVENTS, given.until, fill) - 1)
        if given.since is not None:
            first = await first_after(self.bus, EVENTS, given.since, fill)
            return Period(given.since, first, last, (), 0)
        before = await last_completed(client, names.CUSTODY, scheduled=names.CUSTODY_SCHEDULE)
        if before is None:
            return Period(None, max(fill.first, 1), last, (), max(fill.first - 1, 0))
        known = await result_of(client, before.workflow_id, CustodyReport, CALL, run_id=before.run_id)
        if known.resume_at > fill.last + 1:  # the stream was made anew: its numbers begin again
            return Period(known.until, max(fill.first, 1), last, (), 0)
        first = max(known.resume_at, fill.first)
        return Period(known.until, first, last, known.in_flight, first - known.resume_at)

    async def _unmatched(self, period: Period) -> set[str]:
        """Return which events nobody wanted, recorded since the first event of the period was stored."""
        if period.last < period.first and not period.carried:
            return set()
        earliest = min([period.first, *(ref.sequence for ref in period.carried)])
        first = await anext(read(self.bus, EVENTS, ">", after=earliest - 1), None)
        if first is None:
            return set()
        fill = await fill_of(self.bus, UNMATCHED)
        after = await first_after(self.bus, UNMATCHED, first.stored_at, fill) - 1
        found = set()
        async for raw in read(self.bus, UNMATCHED, ">", after=after, within=READ_WITHIN):
            alive()
            try:
                record = Unmatched.model_validate_json(raw.data)
            except ValueError:
                continue
            found.add(ids.message_id(record.source, record.event_id))
        return found

    async def _events(self, period: Period, ledger: Ledger) -> AsyncIterator[EventRef]:
        """Yield every event of the period once, counted as received."""
        for ref in period.carried:
            ledger.first_time(ref)
            ledger.add(ref.source, "received")
            ledger.add(ref.source, "carried")
            yield ref
        if period.last < period.first:
            return
        async for raw in read(self.bus, EVENTS, ">", after=period.first - 1, within=READ_WITHIN):
            if raw.sequence > period.last:
                return
            ref = _ref(raw.sequence, raw.subject, raw.data)
            if ledger.first_time(ref):
                ledger.add(ref.source, "received")
                yield ref
            else:
                ledger.add(ref.source, "repeated")

    async def _enter(self, client: TemporalClient, batch: Sequence[EventRef], ledger: Ledger) -> None:
        alive()
        known = await traces_of(client, [(ref.source, ref.event_id) for ref in batch])
        for ref in batch:
            traces = known.get((ref.source, ref.event_id), [])
            unmatched = ids.message_id(ref.source, ref.event_id) in ledger.unmatched
            judged = judge(traces, unmatched=unmatched, settled=ref.sequence <= ledger.settled)
            if judged.fate is Fate.UNACCOUNTED:
                alive()
                judged = await self._again(client, ref, traces)
            ledger.enter(ref, judged)

    async def _again(self, client: TemporalClient, ref: EventRef, traces: Sequence[Trace]) -> Judged:
        """Judge a suspect by everything that there is: visibility lags, and a case may not be started yet."""
        wanted = {trace.delivery for trace in traces}
        for name, trigger in self.loaded.config.triggers.items():
            if ref.source in trigger.on:
                wanted.add(ids.delivery_id(name, ref.source, ref.event_id))
        if ref.event_id.startswith(_STRAY):
            wanted.add(ref.event_id)
        found = [*(trace for trace in traces if trace.kind != "ended"), *await traces_now(client, sorted(wanted))]
        found += [
            Trace(ids.first_delivery(letter.record.id), "dead letter")
            async for letter in find_dead_letters(self.bus, source=ref.source, event_id=ref.event_id)
        ]
        unmatched = await find_unmatched(self.bus, ref.source, ref.event_id) is not None
        return judge(found, unmatched=unmatched, settled=True)


def tell(report: CustodyReport) -> None:
    """Log a report, and every event that it names as unaccounted."""
    total = report.total
    log.info(
        "custody.counted",
        extra={
            "since": rfc3339(report.since) if report.since else "",
            "until": rfc3339(report.until),
            "received": total.received,
            "delivered": total.delivered,
            "dead_lettered": total.dead_lettered,
            "unmatched": total.unmatched,
            "in_flight": total.in_flight,
            "unaccounted": total.unaccounted,
        },
    )
    for ref in report.unaccounted:
        log.error(
            "custody.unaccounted",
            extra={"source": ref.source, "event_id": ref.event_id, "sequence": ref.sequence, "detail": ref.detail},
        )


def alive() -> None:
    """Say that the count goes on, where an activity does it."""
    if activity.in_activity():
        activity.heartbeat()


def _ref(sequence: int, subject: str, data: bytes) -> EventRef:
    """Name the event of a message; what is no event is named by its place, under the source of its subject."""
    try:
        event = decode_envelope(data)
    except RejectedInput:
        return EventRef(source=subject.split(".")[1], event_id=ids.stray_id(EVENTS, sequence), sequence=sequence)
    return EventRef(source=event.source, event_id=event.id, sequence=sequence)


async def _batches(events: AsyncIterator[EventRef]) -> AsyncIterator[list[EventRef]]:
    batch: list[EventRef] = []
    async for ref in events:
        batch.append(ref)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
