"""The activities of a join: carry out what a window came to, and wait until the bus has been looked through.

Flow: Join → **settle_join** → EventDelivery | dead letter | UNMATCHED. All of it bears names that derive from the
event that opened the window, so doing it twice does it once.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import activity

from activities.boundary import boundary
from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.lookup import event_streams, read, settled_up_to
from holdfast.bus.objects import Loading, load_body
from holdfast.bus.publish import publish_dead_letter, publish_unmatched
from holdfast.bus.streams import Unmatched
from holdfast.contracts import names
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.delivery import DeliveryInput
from holdfast.contracts.join import CatchUpInput, SettledEvent, SettleJoinInput, SettleJoinResult
from holdfast.domain.actions import DeliverySpec
from holdfast.domain.deadletters import Stage
from holdfast.domain.events import Data, Envelope
from holdfast.domain.expressions import JOINED
from holdfast.domain.joined import MAX_JOINED, JoinedFacts, join_together, joined_values, view_all
from holdfast.domain.joins import describe
from holdfast.domain.json_scan import Path
from holdfast.domain.large_bodies import data_of
from holdfast.domain.mapping import CompiledRun, MappingError
from holdfast.domain.needs import needs_of
from holdfast.domain.quantities import format_duration
from holdfast.domain.runs import RunConfig
from holdfast.errors import ErrorCode, PermanentFailure, RejectedInput, Unavailable, bounded
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal.namespace import verify_search_attributes
from holdfast.temporal.starts import start_delivery

TIMEOUT = timedelta(seconds=5)  # below the attempt's 10 s, so that the reason is ours
MAX_DELIVERY = 1_900_000  # characters of a delivery as JSON; a payload in Temporal ends at 2 MiB
OUTCOMES = {"fire": "fired", "incomplete": "incomplete", "cancelled": "cancelled"}


@dataclass(frozen=True, slots=True)
class Joins:
    """Carries out what windows came to, with the worker's own client."""

    bus: Bus
    metrics: Metrics

    @activity.defn(name=names.SETTLE_JOIN)
    async def settle_join(self, given: SettleJoinInput) -> SettleJoinResult:
        """Start the delivery, store the dead letter, or write the records; no error here ends the trying."""
        with boundary(never_give_up=True):
            done = await self._settle(given)
        self.metrics.joined(given.spec.trigger, done.outcome)
        return done

    @activity.defn(name=names.CATCH_UP)
    async def catch_up(self, given: CatchUpInput) -> None:
        """Fail, to be tried again, while an event that was stored by then has not been settled."""
        with boundary(never_give_up=True):
            for stream in await event_streams(self.bus):
                first = await anext(read(self.bus, stream, ">", after=await settled_up_to(self.bus, stream)), None)
                if first is not None and first.stored_at <= given.until:
                    raise Unavailable(ErrorCode.NOT_READY, f"event {first.sequence} of {stream} is not settled yet")

    async def _settle(self, given: SettleJoinInput) -> SettleJoinResult:
        match given.end:
            case "fire":
                return await self._run(given, given.spec.run, "fired")
            case "ruled-out":
                return SettleJoinResult(outcome="ruled-out")
            case "late":
                await self._record(given, "came after the window had fired")
                return SettleJoinResult(outcome="late")
            case "too-large":
                return await self._alone(given)
            case "cancelled":
                return await self._dead_letter(given, ErrorCode.JOIN_CANCELLED, given.reason)
            case "incomplete":
                return await self._incomplete(given)

    async def _incomplete(self, given: SettleJoinInput) -> SettleJoinResult:
        spec = given.spec
        came = {event.name for event in given.events}
        open_for = timedelta(seconds=round((given.closed_at - given.opened_at).total_seconds()))
        found = describe({name: name in came for name in spec.names})
        reason = f"{spec.condition}: after {format_duration(open_for)} {found}"
        if spec.at_end == "run" and spec.otherwise is not None:
            return await self._run(given, spec.otherwise, "otherwise")
        if spec.at_end == "drop":
            await self._record(given, reason)
            return SettleJoinResult(outcome="dropped", message=reason)
        return await self._dead_letter(given, ErrorCode.JOIN_INCOMPLETE, reason)

    async def _run(self, given: SettleJoinInput, run: dict[str, Any], outcome: str) -> SettleJoinResult:
        """Start the delivery of what was joined; what cannot be mapped or started is a dead letter."""
        spec, joined = given.spec, _joined(given)
        try:
            compiled = CompiledRun(RunConfig.model_validate(run), JOINED)
            events = view_all(_named(given), await self._picked(given, compiled))
            action = compiled.action(JOINED.bind(**(joined_values(joined, events) or {})))
        except MappingError as error:
            return await self._dead_letter(given, ErrorCode.MAPPING_FAILED, bounded(str(error), 500))
        except PermanentFailure as error:
            return await self._dead_letter(given, error.code, error.message)
        decided = DeliverySpec(
            trigger=spec.trigger,
            trigger_hash=spec.trigger_hash,
            action=action,
            retry=spec.retry,
            dead_letter=spec.dead_letter,
            key=given.key if spec.dead_letter.resolve_on_newer else None,
        )
        delivery = DeliveryInput(envelope=joined, spec=decided)
        if len(joined.body) > MAX_JOINED or len(delivery.model_dump_json(exclude_none=True)) > MAX_DELIVERY:
            reason = "what was joined and what the action makes of it is larger than 1.9 MB: pass less of the events"
            return await self._dead_letter(given, ErrorCode.JOIN_TOO_LARGE, reason)
        try:
            started = await start_delivery(activity.client(), delivery)
        except RejectedInput as error:
            await verify_search_attributes(activity.client())
            return await self._dead_letter(given, error.code, error.message, stage=Stage.START)
        if not started.duplicate:
            self.metrics.dispatched(spec.trigger)
        return SettleJoinResult(outcome=outcome, delivery=started.workflow_id)

    async def _picked(self, given: SettleJoinInput, compiled: CompiledRun) -> dict[str, Data]:
        """Read what the mappings say of bodies that lie elsewhere. Raises PermanentFailure, Unavailable."""
        found: dict[str, Data] = {}
        for event in given.events:
            paths = needs_of(event.name, compiled.expressions)
            if event.envelope.body_ref is not None and paths:
                found[event.name] = await self._data(event.envelope, paths)
        return found

    async def _data(self, envelope: Envelope, paths: frozenset[Path]) -> Data:
        async with self.bus.part(Loading).room:
            body = await load_body(self.bus, envelope)
            return await asyncio.to_thread(data_of, body, envelope.datacontenttype, paths)

    async def _dead_letter(
        self, given: SettleJoinInput, code: ErrorCode, message: str, stage: Stage = Stage.JOIN
    ) -> SettleJoinResult:
        """Store one dead letter for the window, with everything that had come."""
        joined = _joined(given)
        record = DeadLetterRecord(
            id=ids.delivery_id(given.spec.trigger, joined.source, joined.id),
            stage=stage,
            code=code,
            message=bounded(message),
            at=given.closed_at,
            source=joined.source,
            event_id=joined.id,
            event_type=joined.type,
            trigger=given.spec.trigger,
            envelope=joined,
            policy=given.spec.dead_letter,
            trigger_hash=given.spec.trigger_hash,
            workflow_id=given.workflow_id,
            run_id=given.run_id,
            traceparent=joined.traceparent,
        )
        return await self._store(record)

    async def _alone(self, given: SettleJoinInput) -> SettleJoinResult:
        """Store a dead letter for one event that the window could not take."""
        event = given.events[0]
        envelope = event.envelope
        reason = given.reason or "the window of this key holds 1 MiB already"
        record = DeadLetterRecord(
            id=event.claim,
            stage=Stage.JOIN,
            code=ErrorCode.JOIN_CANCELLED if given.reason else ErrorCode.JOIN_TOO_LARGE,
            message=bounded(f"{event.name}: {reason}"),
            at=given.closed_at,
            source=envelope.source,
            event_id=envelope.id,
            event_type=envelope.type,
            trigger=given.spec.trigger,
            envelope=envelope,
            policy=given.spec.dead_letter,
            trigger_hash=given.spec.trigger_hash,
            workflow_id=given.workflow_id,
            run_id=given.run_id,
            sequence=event.sequence,
            traceparent=envelope.traceparent,
        )
        return await self._store(record)

    async def _store(self, record: DeadLetterRecord) -> SettleJoinResult:
        stored = await publish_dead_letter(self.bus, record, timeout=TIMEOUT)
        if not stored.duplicate:
            self.metrics.dead_lettered(record.trigger, record.stage, record.code)
        return SettleJoinResult(
            outcome=names.STATE_DEAD_LETTERED, dead_letter=record.id, code=record.code, message=record.message
        )

    async def _record(self, given: SettleJoinInput, reason: str) -> None:
        """Write one record per event into UNMATCHED."""
        for event in given.events:
            await self._record_one(given, event, reason)

    async def _record_one(self, given: SettleJoinInput, event: SettledEvent, reason: str) -> None:
        envelope = event.envelope
        record = Unmatched(
            source=envelope.source,
            event_id=envelope.id,
            event_type=envelope.type,
            stream=event.stream,
            sequence=event.sequence or 0,
            at=given.closed_at,
            trigger=given.spec.trigger,
            reason=bounded(f"{event.name}: {reason}", 300),
        )
        stored = await publish_unmatched(self.bus, record, timeout=TIMEOUT)
        if not stored.duplicate:
            self.metrics.unmatched(envelope.source)


def _joined(given: SettleJoinInput) -> Envelope:
    facts = JoinedFacts(
        id=given.id,
        trigger=given.spec.trigger,
        key=given.key,
        outcome=OUTCOMES.get(given.end, given.end),
        opened_at=given.opened_at,
        closed_at=given.closed_at,
    )
    return join_together(facts, _named(given))


def _named(given: SettleJoinInput) -> Mapping[str, Envelope]:
    return {event.name: event.envelope for event in given.events}
