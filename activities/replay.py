"""A replay's own part: what would be delivered and why, and delivering the next events under new identities.

Flow: survey_operation → **survey**; advance_operation → **advance** → events_between → decide → start_delivery.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from temporalio import activity

from activities.slices import Slice, beating, tally_failed
from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.history import PastEvent, events_between, oldest, seek
from holdfast.bus.lookup import event_streams, find_unmatched, settled_up_to
from holdfast.bus.objects import Loading, load_body
from holdfast.bus.streams import EVENTS, stream_named
from holdfast.clock import rfc3339
from holdfast.contracts.delivery import DeliveryInput, Replayed
from holdfast.contracts.operations import Cursor, ReplayWork, SliceInput, SliceResult, Survey, Tally
from holdfast.domain.events import Envelope
from holdfast.domain.explain import explain
from holdfast.domain.expressions import EVENT, Absent, Expression, Found
from holdfast.domain.matching import CompiledTrigger, Matched, Undecidable, Verdict, see
from holdfast.domain.streams import DEFAULT_STREAM
from holdfast.errors import ErrorCode, PermanentFailure, RejectedInput, bounded
from holdfast.settings.file import LoadedConfig
from holdfast.settings.live import LiveConfig
from holdfast.temporal.namespace import LEAST_RETENTION, retention_of
from holdfast.temporal.replays import exists
from holdfast.temporal.starts import start_delivery

SAMPLE = 20  # events explained
MAX_REASON = 300  # characters per trigger and event
DELIVERED = "it has a delivery already"
DEAD_LETTERED = "it has a dead letter already"
REPLAYED = "it was replayed already"
FORGOTTEN = "too old to know whether it was delivered; --again delivers it"


@dataclass(frozen=True, slots=True)
class Replays:
    """Replays with the configuration as it is now."""

    bus: Bus
    loaded: LoadedConfig | LiveConfig

    async def survey(self, work: ReplayWork) -> Survey:
        """Count what would be delivered, and explain the first events. Raises RejectedInput, Unavailable."""
        where, triggers = self._verified(work)
        ends = await self._ends(work)
        count, by, sample = 0, dict[str, int](), list[dict[str, Any]]()
        async with contextlib.aclosing(self._wanted(work, where, Cursor(), ends)) as found:
            async for event in found:
                activity.heartbeat()
                envelope = event.envelope
                if envelope is None:
                    continue
                said, ready = await self._sort(work, triggers, envelope, by)
                count += ready
                if len(sample) < SAMPLE:
                    sample.append(_line(envelope, [*said, *_reasons(triggers, envelope)]))
        return Survey(
            count=count,
            by=by,
            sample=tuple(sample),
            note=await self._since(work, ends),
            end=ends.get(EVENTS, 0),
            ends=ends,
        )

    async def advance(self, part: Slice, work: ReplayWork) -> SliceResult:
        """Deliver the next events, one after the other. Raises Unavailable with what was done kept."""
        where, triggers = self._verified(work)
        ends = part.given.ends or {EVENTS: part.given.end}  # without: it was counted when there was one stream
        found = self._wanted(work, where, part.cursor, ends)
        async with beating(part), contextlib.aclosing(found):
            async for event in found:
                tally = Tally()
                if event.envelope is not None:
                    for verdict in await self._decide(triggers, event.envelope):
                        tally = tally.plus(await self._one(part, work, event, verdict))
                part.moved(Cursor(stream=event.stream, sequence=event.sequence), tally)
                if part.over:
                    return part.result(finished=False)
        return part.result(finished=True)

    async def _one(self, part: Slice, work: ReplayWork, event: PastEvent, verdict: Verdict) -> Tally:
        """Settle one event and trigger."""
        envelope = event.envelope
        if envelope is None or not isinstance(verdict, Matched | Undecidable):
            return Tally()
        name = verdict.spec.trigger if isinstance(verdict, Matched) else verdict.trigger
        normal = ids.delivery_id(name, envelope.source, envelope.id)
        if isinstance(verdict, Undecidable):
            return tally_failed(normal, verdict.code, verdict.reason)
        before = None if work.again else await self._before(work, envelope, normal)
        if before is not None:
            return Tally(skipped={before: 1})
        await part.turn()
        given = DeliveryInput(
            envelope=envelope,
            spec=verdict.spec,
            stream=event.stream,
            sequence=event.sequence,
            replay=_lineage(part.given, work, normal),
        )
        try:
            started = await start_delivery(activity.client(), given)
        except RejectedInput as error:
            return tally_failed(normal, error.code, error.message)
        if started.duplicate and not work.again and activity.info().attempt == 1:
            return Tally(skipped={REPLAYED: 1})
        return Tally(done=1)

    async def _sort(
        self, work: ReplayWork, triggers: Sequence[CompiledTrigger], envelope: Envelope, by: dict[str, int]
    ) -> tuple[list[str], int]:
        """Count one event; return what keeps it from a trigger that wants it, and how many would deliver it."""
        said, ready, wanted = list[str](), 0, False
        for verdict in await self._decide(triggers, envelope):
            match verdict:
                case Matched(spec):
                    normal = ids.delivery_id(spec.trigger, envelope.source, envelope.id)
                    before = None if work.again else await self._before(work, envelope, normal)
                    kind = f"to {spec.trigger}" if before is None else f"not to {spec.trigger}: {before}"
                    ready += before is None
                    said += [kind] if before is not None else []
                case Undecidable(trigger=name, code=code):
                    kind = f"not to {name}: {code}"
                case _:
                    continue
            wanted = True
            by[kind] = by.get(kind, 0) + 1
        if not wanted:
            by["no trigger wants it"] = by.get("no trigger wants it", 0) + 1
        return said, ready

    async def _before(self, work: ReplayWork, envelope: Envelope, normal: str) -> str | None:
        """Return why it must not be delivered (again); None: it was not."""
        client = activity.client()
        if await exists(client, normal):
            return DELIVERED
        if await exists(client, ids.replay_id(normal, "")):
            return REPLAYED
        if await exists(client, ids.case_id(normal)):  # its filter or its start failed: the case's redrive delivers it
            return DEAD_LETTERED
        age = datetime.now(UTC) - envelope.received_at
        forgotten = age > LEAST_RETENTION and age > await retention_of(client)
        if forgotten and not work.unmatched and await find_unmatched(self.bus, envelope.source, envelope.id) is None:
            return FORGOTTEN
        return None

    async def _ends(self, work: ReplayWork) -> dict[str, int]:
        """Return the last place that is meant, by stream."""
        ends = {}
        for stream in await event_streams(self.bus):
            end = await seek(self.bus, stream, work.until) - 1
            # what the dispatcher has not settled is still on its way to its triggers
            ends[stream] = max(0, min(end, await settled_up_to(self.bus, stream)))
        return ends

    async def _past(self, work: ReplayWork, cursor: Cursor, ends: Mapping[str, int]) -> AsyncIterator[PastEvent]:
        """Yield the source's events past `cursor`, one stream after the other, EVENTS first."""
        streams = sorted(ends, key=lambda name: (name != EVENTS, name))
        done = cursor.stream or EVENTS
        for stream in streams[streams.index(done) if done in streams else 0 :]:
            first = await seek(self.bus, stream, work.since)
            after = max(cursor.sequence if stream == done else 0, first - 1)
            async for event in events_between(self.bus, work.source, stream, after=after, end=ends[stream]):
                yield event

    async def _wanted(self, work: ReplayWork, where: Expression | None, cursor: Cursor, ends: Mapping[str, int]) -> Any:
        """Yield the events that are meant; those between are passed over in silence."""
        async for event in self._past(work, cursor, ends):
            envelope = event.envelope
            if envelope is None:
                continue
            if where is not None and not self._holds(where, envelope):
                continue
            if work.unmatched and await find_unmatched(self.bus, envelope.source, envelope.id) is None:
                continue
            yield event

    def _holds(self, where: Expression, envelope: Envelope) -> bool:
        match where.evaluate(EVENT.bind(event=envelope.view())):
            case Found(bool(value)):
                return value
            case Absent():
                return False
            case Found(value):
                raise RejectedInput(ErrorCode.INPUT_INVALID, f"--where gave {type(value).__name__} for {envelope.id}")
            case failed:
                raise RejectedInput(ErrorCode.INPUT_INVALID, f"--where on {envelope.id}: {failed.reason}")

    async def _decide(self, triggers: Sequence[CompiledTrigger], envelope: Envelope) -> list[Verdict]:
        """Decide as the dispatcher does, with the body where it lies elsewhere and an expression reads it."""
        needs = frozenset[Any]().union(*(trigger.needs for trigger in triggers))
        if envelope.body_ref is None or not needs:
            seen = see(envelope, None, needs)
            return [trigger.verdict(seen) for trigger in triggers]
        async with self.bus.part(Loading).room:
            try:
                body: bytes | PermanentFailure = await load_body(self.bus, envelope)
            except PermanentFailure as error:
                body = error
            found = await asyncio.to_thread(see, envelope, body, needs)
            return [trigger.verdict(found) for trigger in triggers]

    def _verified(self, work: ReplayWork) -> tuple[Expression | None, tuple[CompiledTrigger, ...]]:
        """Read the selection. Raises RejectedInput for one that makes no sense."""
        where = None if work.where is None else EVENT.compile(work.where)
        if work.trigger is None:
            # joins take events as they come: one of the past would open a window of now
            listening = self.loaded.triggers.listening(work.source)
            return where, tuple(one for one in listening if isinstance(one, CompiledTrigger))
        trigger = self.loaded.triggers.get(work.trigger)
        if trigger is None:
            known = ", ".join(sorted(self.loaded.config.triggers)) or "none"
            raise RejectedInput(ErrorCode.NOT_FOUND, f"there is no trigger {work.trigger!r}; there are: {known}")
        if not isinstance(trigger, CompiledTrigger):
            raise RejectedInput(ErrorCode.INPUT_INVALID, f"{work.trigger} is a join, which takes events as they come")
        if not trigger.listens(work.source):
            raise RejectedInput(ErrorCode.INPUT_INVALID, f"trigger {work.trigger} does not listen to {work.source}")
        return where, (trigger,)

    async def _since(self, work: ReplayWork, streams: Iterable[str]) -> str:
        """Say what people must know of the streams that the source's events are or were in."""
        source = self.loaded.config.sources.get(work.source)
        name = DEFAULT_STREAM if source is None else source.stream
        policy, home = self.loaded.config.bus.streams.of_events.get(name), stream_named(name)
        if policy is not None and policy.keeps != "limits":
            return (
                f"The stream {home} deletes an event as soon as it is settled (retention {policy.keeps}): there is"
                " nothing of it to replay. Failed events are redriven from their dead letters, which hold them whole."
            )
        first = await oldest(self.bus, home) if home in streams else None
        if first is None:
            return "The stream holds no events." if home == EVENTS else f"The stream {home} holds no events."
        if first <= work.since:
            return ""
        went = "evicted" if policy is not None and policy.evicts else f"purged (bus.streams.{name}.archive_for)"
        return f"Events exist from {rfc3339(first)} on; what was before is {went}."


def _lineage(given: SliceInput, work: ReplayWork, normal: str) -> Replayed:
    name = given.operation.rpartition("/")[2]
    again = f"{name}-{given.run[:8]}" if work.again else ""
    return Replayed(of=normal, operation=given.operation, by=given.by, again=again)


def _line(envelope: Envelope, triggers: list[str]) -> dict[str, Any]:
    return {
        "id": envelope.id,
        "source": envelope.source,
        "event_type": envelope.type,
        "received_at": rfc3339(envelope.received_at),
        "triggers": triggers,
    }


def _reasons(triggers: Sequence[CompiledTrigger], envelope: Envelope) -> list[str]:
    """Say for each trigger whether it matches, and why."""
    lines = []
    for trigger in triggers:
        found = explain(trigger, envelope)
        decided = found.decided_by.show() if found.decided_by is not None else ""
        steps = "; ".join(step.show() for step in found.steps if step.clause != "on")
        why = decided or found.message or steps or "it takes every event"
        lines.append(bounded(f"{trigger.name} {found.outcome}: {why}", MAX_REASON))
    return lines
