"""Runs that ended without an outcome: what each comes to, decided first and done afterwards, once however often.

Flow: Sweep → **sweep_runs** → stream DEAD_LETTERS → escalate; a case that was ended while open is started again.
"""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.common import RawValue

from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.lookup import find_event, find_record
from holdfast.bus.publish import publish_dead_letter
from holdfast.clock import Clock
from holdfast.contracts import names
from holdfast.contracts.dead_letter import CarriedCase, DeadLetterRecord, trace_id
from holdfast.contracts.delivery import DeliveryInput
from holdfast.contracts.scheduled import ScheduledInput, tick_event_id
from holdfast.contracts.sweeping import Finding
from holdfast.domain.deadletters import CLOSED, Stage
from holdfast.domain.sweeping import Answer, FindingKind
from holdfast.errors import ErrorCode, RejectedInput, bounded
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal.connect import TemporalClient
from holdfast.temporal.ended_runs import Beginning, beginning, decoded, end_of, ended_runs, latest
from holdfast.temporal.known_attempts import attempts_of
from holdfast.temporal.run_list import ListedRun
from holdfast.temporal.starts import start_case

STORE_WITHIN = timedelta(seconds=8)
MAX_SOURCE = 256  # characters of an event's source
MAX_RAW = 262_144  # bytes of an input that nobody could read

ENDS = {
    "terminated": (FindingKind.TERMINATED, ErrorCode.RUN_TERMINATED),
    "timed out": (FindingKind.TIMED_OUT, ErrorCode.RUN_TIMED_OUT),
    "cancelled": (FindingKind.CANCELLED, ErrorCode.RUN_CANCELLED),
    "failed": (FindingKind.FAILED, ErrorCode.RUN_FAILED),
}


@dataclass(frozen=True, slots=True)
class RunSweep:
    """Everything that it takes to give an ended run its outcome."""

    client: TemporalClient
    bus: Bus
    metrics: Metrics
    clock: Clock

    async def findings(self, since: datetime) -> AsyncIterator[Finding | None]:
        """Yield one entry per run that ended after `since`; None where nothing is missing. Raises Unavailable."""
        async for run in ended_runs(self.client, since):
            try:
                yield await self._one(run)
            except (RejectedInput, ValueError, LookupError) as error:  # one that cannot be judged hides no other
                yield _finding(run, Answer.ALERT, f"cannot be judged: {type(error).__name__}: {error}")

    async def _one(self, run: ListedRun) -> Finding | None:
        now = await latest(self.client, run.workflow_id)
        if now is None:
            return None  # Temporal has forgotten it since the list was made
        if now.run_id != run.run_id:
            return _carried_on(run, now)
        if run.kind == names.DEAD_LETTER:
            return await self._case(run)
        if run.kind in {names.EVENT_DELIVERY, names.SCHEDULED_EVENT}:
            return await self._dead_letter(run)
        return _finding(run, Answer.ALERT, f"{run.kind} {await end_of(self.client, run)}")

    async def _dead_letter(self, run: ListedRun) -> Finding | None:
        began = await beginning(self.client, run)
        told = await end_of(self.client, run)
        if run.kind == names.EVENT_DELIVERY:
            record = await self._of_delivery(run, began, told)
        else:
            found = await self._of_tick(run, began, told)
            if found is None:
                return None
            record = found
        if await find_record(self.bus, record) is not None:
            return None  # it was recorded before it ended, or by an earlier sweep
        await store(self.bus, self.metrics, record)
        return _finding(run, Answer.DEAD_LETTERED, told)

    async def _of_delivery(self, run: ListedRun, began: Beginning, told: str) -> DeadLetterRecord:
        if len(began.arguments) == 1:
            given = await decoded(self.client, began.arguments[0], DeliveryInput)
            if given is not None:
                text = f"the delivery {told}; an attempt that was under way may still have arrived"
                record = of_delivery(given, run, ENDS[run.status][1], text, self.clock.now())
                return await with_attempts(self.client, run, record)
        return self._unreadable(run, began, told)

    async def _of_tick(self, run: ListedRun, began: Beginning, told: str) -> DeadLetterRecord | None:
        """Return the tick's dead letter; None where its event is on the bus."""
        tick = ScheduledInput() if not began.arguments else None  # all of it may be left out
        if len(began.arguments) == 1:
            tick = await decoded(self.client, began.arguments[0], ScheduledInput)
        if tick is None or not (tick.schedule or began.schedule):
            return self._unreadable(run, began, told)
        tick = tick if tick.schedule else tick.model_copy(update={"schedule": began.schedule[:MAX_SOURCE]})
        event_id = tick_event_id(began.due or run.started_at)
        if await find_event(self.bus, tick.schedule, event_id) is not None:
            return None
        return self._unreadable(run, began, f"before its event was published, {told}").model_copy(
            update={
                "source": tick.schedule,
                "event_id": event_id,
                "event_type": tick.type,
                "tick": tick,
                "raw_base64": None,
            }
        )

    def _unreadable(self, run: ListedRun, began: Beginning, told: str) -> DeadLetterRecord:
        """Write down a run that has no event to be named for, with the bytes that it was started with."""
        raw = b"\n".join(one.data for one in began.arguments)[:MAX_RAW]
        count = len(began.arguments)
        many = f" (it was started with {count} arguments, and takes one)" if count > 1 else ""
        return DeadLetterRecord(
            id=ids.foreign_id(run.workflow_id),
            stage=Stage.SWEEP,
            code=ENDS[run.status][1],
            message=f"{run.kind} {told}{many}",
            at=self.clock.now(),
            source=run.source,
            event_id=run.event_id,
            trigger=run.trigger,
            raw_base64=base64.b64encode(raw).decode("ascii"),
            workflow_id=run.workflow_id,
            run_id=run.run_id,
        )

    async def _case(self, run: ListedRun) -> Finding | None:
        """Start a case again that was ended from outside while it was open."""
        if run.state in CLOSED:
            return None
        began = await beginning(self.client, run)
        (payload, *_) = began.arguments or (None,)
        if payload is None:
            return _finding(run, Answer.ALERT, "a case that was started without a record")
        record = await decoded(self.client, payload, DeadLetterRecord)
        if record is None:
            carried = await decoded(self.client, payload, CarriedCase)
            record = carried.view.record if carried else None
        if record is None or ids.case_id(record.id) != run.workflow_id:
            return _finding(run, Answer.ALERT, "a case whose record cannot be read")
        told = await end_of(self.client, run)
        await start_case(self.client, record, given=RawValue(payload), again=True)
        return _finding(run, Answer.CASE_STARTED, f"the case was {told}; to give one up, discard it")


async def store(bus: Bus, metrics: Metrics, record: DeadLetterRecord) -> None:
    """Publish a dead letter, and count it where it is new. Raises Unavailable."""
    stored = await publish_dead_letter(bus, record, timeout=STORE_WITHIN)
    if not stored.duplicate:
        metrics.dead_lettered(record.trigger, record.stage, record.code)


def of_delivery(given: DeliveryInput, run: ListedRun, code: str, message: str, at: datetime) -> DeadLetterRecord:
    """Write down a delivery by what it was started with."""
    event = given.envelope
    return DeadLetterRecord(
        id=run.workflow_id,
        stage=Stage.SWEEP,
        code=code,
        message=message,
        at=at,
        source=event.source,
        event_id=event.id,
        event_type=event.type,
        trigger=given.spec.trigger,
        envelope=event,
        spec=given.spec,
        trigger_hash=given.spec.trigger_hash,
        policy=given.spec.dead_letter,
        key=given.spec.key or "",
        workflow_id=run.workflow_id,
        run_id=run.run_id,
        stream=given.stream,
        sequence=given.sequence,
        traceparent=event.traceparent,
        trace_id=trace_id(event.traceparent),
        redrive=given.redrive,
    )


async def with_attempts(client: TemporalClient, run: ListedRun, record: DeadLetterRecord) -> DeadLetterRecord:
    """Return the record with the failed attempts that are known of the run. Raises Unavailable."""
    known = await attempts_of(client, run)
    omitted = known.count - len(known.log)
    return record.model_copy(
        update={"attempts": known.log, "attempt_count": known.count, "attempts_omitted": max(0, omitted)}
    )


def _carried_on(run: ListedRun, now: ListedRun) -> Finding | None:
    """Judge a run that has a successor under its id: a reset, or a case that was started again."""
    if run.kind == names.DEAD_LETTER:
        return None  # started again by an earlier sweep
    if now.status == "running":
        return _finding(run, Answer.NONE, f"a newer run is under way: {now.run_id}", FindingKind.RESET)
    if now.status == "completed":
        return _finding(run, Answer.NONE, f"a newer run ended well: {now.run_id}", FindingKind.RESET)
    return None  # the successor ended badly itself, and is judged for itself


def _finding(run: ListedRun, answer: Answer, detail: str, kind: FindingKind | None = None) -> Finding:
    return Finding(
        kind=kind or ENDS[run.status][0],
        answer=answer,
        workflow_id=run.workflow_id,
        run_id=run.run_id,
        source=run.source,
        event_id=run.event_id,
        detail=bounded(detail),
    )
