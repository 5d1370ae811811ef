"""The activity `count_custody`: every event of a period, and where each one is; counted from the bus, not from us.

Received is read from every stream of events, unmatched from UNMATCHED, the rest from Temporal's visibility, hundreds of
events per query; what a stream's policy has removed is named by what it left. Only what does not add up
by then is looked at one by one. Flow: Custody → **count** → report.
"""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio import activity

from activities.boundary import boundary
from activities.custody_gone import Evictions, Gone, Places, unmatched_since, within
from activities.custody_range import Period, began_after, range_of
from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.lookup import Raw, event_streams, find_dead_letters, find_unmatched, read
from holdfast.bus.streams import EVENTS
from holdfast.clock import Clock, rfc3339
from holdfast.contracts import names
from holdfast.contracts.custody import (
    MOST_CARRIED,
    MOST_NAMED,
    CustodyInput,
    CustodyReport,
    EventRef,
    SourceCount,
    StreamCount,
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


@dataclass(slots=True)
class Ledger:
    """What was counted so far. Names are kept up to a bound, numbers are all there."""

    unmatched: set[str]  # message ids
    places: dict[str, Places]  # by stream
    seen: set[bytes] = field(default_factory=set)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    unaccounted: list[EventRef] = field(default_factory=list)
    in_flight: list[EventRef] = field(default_factory=list)
    lowest: dict[str, int] = field(default_factory=dict)  # sequence of the first event in flight, by stream

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
            self.lowest[ref.stream] = min(ref.sequence, self.lowest.get(ref.stream, ref.sequence))
            if len(self.in_flight) <= MOST_CARRIED:
                self.in_flight.append(ref)

    def first_time(self, ref: EventRef) -> bool:
        """Whether the event is not another copy of one that this report has counted."""
        key = bytes.fromhex(ids.message_id(ref.source, ref.event_id))
        if key in self.seen:
            return False
        self.seen.add(key)
        return True

    def received(self, ref: EventRef) -> bool:
        """Count an event as received, or as another copy; return whether it is the first."""
        first = self.first_time(ref)
        self.add(ref.source, "received" if first else "repeated")
        return first

    def settled(self, ref: EventRef) -> bool:
        """Whether the dispatcher is done with an event."""
        known = self.places.get(ref.stream)
        return known is None or ref.sequence <= known.range.settled


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
        places = {each.stream: Places(each) for each in period.ranges}
        ledger = Ledger(await self._unmatched(period), places)
        gone = Gone(client, self.bus, alive)
        evicted = await gone.evicted(period)
        async for batch in _batches(self._events(gone, period, ledger)):
            await self._enter(client, batch, ledger, evicted)
        for stream, each in places.items():
            each.evict(evicted.get(stream, ()))
        crowded = len(ledger.in_flight) > MOST_CARRIED
        streams = [each.line(ledger.lowest.get(stream) if crowded else None) for stream, each in places.items()]
        events = next(one for one in streams if one.stream == EVENTS)
        named = [SourceCount(source=name, **line) for name, line in ledger.counts.items()]
        return CustodyReport(
            since=period.since,
            until=given.until or now,
            first_sequence=events.first_sequence,
            last_sequence=events.last_sequence,
            purged=events.purged,
            streams=tuple(streams),
            sources=tuple(sorted([*named, *filter(None, map(nameless, streams))], key=lambda one: one.source)),
            unaccounted=tuple(ledger.unaccounted),
            in_flight=() if crowded else tuple(ledger.in_flight),
            resume_at=events.resume_at,
        )

    async def _period(self, client: TemporalClient, given: CustodyInput) -> Period:
        streams = sorted({EVENTS, *await event_streams(self.bus)}, key=lambda name: (name != EVENTS, name))
        before = None
        if given.since is None:
            last = await last_completed(client, names.CUSTODY, scheduled=names.CUSTODY_SCHEDULE)
            if last is not None:
                before = await result_of(client, last.workflow_id, CustodyReport, CALL, run_id=last.run_id)
        ranges = tuple([await range_of(self.bus, stream, given, before) for stream in streams])
        if before is None:
            return Period(given.since, given.since, given.until, ranges, ())
        return Period(before.until, began_after(before, ranges), given.until, ranges, before.in_flight)

    async def _unmatched(self, period: Period) -> set[str]:
        """Return which events nobody wanted, recorded since the first event of the period was stored."""
        moments = [period.began] if any(each.forgets for each in period.ranges) else []
        for each in period.ranges:
            carried = [ref.sequence for ref in period.carried if ref.stream == each.stream]
            if not each.empty or carried:
                after = min([each.first_left, *carried]) - 1
                first = await anext(read(self.bus, each.stream, ">", after=after), None)
                moments += [first.stored_at] if first is not None else []
        if not moments:
            return set()
        found = set()
        async for record in unmatched_since(self.bus, None if None in moments else min(filter(None, moments))):
            alive()
            found.add(ids.message_id(record.source, record.event_id))
        return found

    async def _events(self, gone: Gone, period: Period, ledger: Ledger) -> AsyncIterator[EventRef]:
        """Yield every event of the period once, counted as received: what lies there first, then what is gone."""
        for ref in period.carried:
            ledger.first_time(ref)
            ledger.add(ref.source, "received")
            ledger.add(ref.source, "carried")
            yield ref
        async for ref in self._present(period, ledger):
            if ledger.received(ref):
                yield ref
        async for ref in gone.events(period, ledger.places):
            if ledger.received(ref):
                yield ref

    async def _present(self, period: Period, ledger: Ledger) -> AsyncIterator[EventRef]:
        for each in period.ranges:
            if each.empty:
                continue
            async for raw in read(self.bus, each.stream, ">", after=each.first_left - 1, within=READ_WITHIN):
                if raw.sequence > each.last:
                    break
                ledger.places[each.stream].mark(raw.sequence)
                yield _ref(each.stream, raw)

    async def _enter(
        self, client: TemporalClient, batch: Sequence[EventRef], ledger: Ledger, evicted: Mapping[str, Evictions]
    ) -> None:
        alive()
        known = await traces_of(client, [(ref.source, ref.event_id) for ref in batch])
        for ref in batch:
            traces = known.get((ref.source, ref.event_id), [])
            unmatched = ids.message_id(ref.source, ref.event_id) in ledger.unmatched
            judged = judge(traces, unmatched=unmatched, settled=ledger.settled(ref))
            if not traces and not unmatched and within(evicted.get(ref.stream, ()), ref.sequence):
                judged = Judged(Fate.EVICTED)  # it was in flight in the last report
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
            "evicted": total.evicted,
            "unnamed": total.unnamed,
        },
    )
    for line in report.streams:
        for gap in line.evictions:
            log.warning(
                "custody.evicted",
                extra={"stream": line.stream, "from": gap.first, "to": gap.last, "events": gap.count},
            )
    for ref in report.unaccounted:
        log.error(
            "custody.unaccounted",
            extra={
                "source": ref.source,
                "event_id": ref.event_id,
                "stream": ref.stream,
                "sequence": ref.sequence,
                "detail": ref.detail,
                "remedy": ref.remedy,
            },
        )


def alive() -> None:
    """Say that the count goes on, where an activity does it."""
    if activity.in_activity():
        activity.heartbeat()


def nameless(line: StreamCount) -> SourceCount | None:
    """Return the line of what a stream has lost or deleted without a name; None where there is nothing."""
    count = line.evicted + line.unnamed
    if not count:
        return None
    return SourceCount(source=f"~{line.stream}", received=count, evicted=line.evicted, unnamed=line.unnamed)


def _ref(stream: str, raw: Raw) -> EventRef:
    """Name the event of a message; what is no event is named by its place, under the source of its subject."""
    try:
        event = decode_envelope(raw.data)
    except RejectedInput:
        source, stray = raw.subject.split(".")[-2], ids.stray_id(stream, raw.sequence)
        return EventRef(source=source, event_id=stray, sequence=raw.sequence, stream=stream)
    return EventRef(
        source=event.source, event_id=event.id, sequence=raw.sequence, stream=stream, stored_at=raw.stored_at
    )


async def _batches(events: AsyncIterator[EventRef]) -> AsyncIterator[list[EventRef]]:
    batch: list[EventRef] = []
    async for ref in events:
        batch.append(ref)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
