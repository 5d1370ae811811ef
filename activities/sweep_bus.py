"""What stands still on the bus: consumers that hand nothing out, an event that waits too long, records without a case.

Flow: Sweep → **sweep_bus** → alert; a record that nobody made a case of gets it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.lookup import event_streams, find_dead_letters
from holdfast.bus.retention import fill_of, first_after
from holdfast.bus.stranded import health_of
from holdfast.bus.streams import DEAD_LETTERS, ESCALATOR, EVENTS, ConsumerPlan, dispatcher_of
from holdfast.clock import Clock, rfc3339
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.sweeping import Finding
from holdfast.domain.sweeping import Answer, FindingKind
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.temporal.connect import TemporalClient
from holdfast.temporal.ended_runs import latest
from holdfast.temporal.known_ids import known_ids
from holdfast.temporal.starts import start_case

BATCH = 50  # cases asked for in one query
READ_WITHIN = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class BusSweep:
    """Looks at the bus. `stuck_after` and `deadline` are how long an event may wait unsettled."""

    client: TemporalClient
    bus: Bus
    clock: Clock
    stuck_after: timedelta
    deadline: timedelta

    async def findings(self, since: datetime) -> AsyncIterator[Finding | None]:
        """Yield what stands still; records stored before `since` were looked at before. Raises Unavailable."""
        settled: dict[str, int] = {}
        streams = {EVENTS, *await event_streams(self.bus)}
        for plan in (*map(dispatcher_of, sorted(streams)), ESCALATOR):
            try:
                async for finding in self._consumer(plan, settled):
                    yield finding
            except RejectedInput as error:
                if error.code != ErrorCode.NOT_FOUND:
                    raise
                detail = f"{error.message}; a worker makes it again at its next start, or at once"
                yield Finding(kind=FindingKind.CONSUMER, answer=Answer.ALERT, detail=detail)
        async for one in self._without_case(since, settled.get(ESCALATOR.name, 0)):
            yield one

    async def _consumer(self, plan: ConsumerPlan, settled: dict[str, int]) -> AsyncIterator[Finding]:
        health = await health_of(self.bus, plan)
        settled[plan.name] = health.settled
        if health.fault:
            detail = f"the consumer {plan.name} of {plan.stream} is {health.fault}; {health.pending} messages wait"
            yield Finding(kind=FindingKind.CONSUMER, answer=Answer.ALERT, detail=detail)
        oldest, now = health.oldest, self.clock.now()
        if oldest is None or now - oldest.stored_at < self.stuck_after:
            return
        late = now - oldest.stored_at >= self.deadline
        yield Finding(
            kind=FindingKind.OVERDUE if late else FindingKind.STRANDED,
            answer=Answer.ALERT,
            source=oldest.source,
            event_id=oldest.event_id,
            sequence=oldest.sequence,
            detail=f"message {oldest.sequence} of {plan.stream} waits since {rfc3339(oldest.stored_at)};"
            f" {health.pending} not handed out, {health.ack_pending} handed out,"
            f" {health.redelivered} of them more than once",
        )

    async def _without_case(self, since: datetime, settled: int) -> AsyncIterator[Finding | None]:
        """Yield the records, settled by the escalator, that have no case; each gets it."""
        fill = await fill_of(self.bus, DEAD_LETTERS)
        first = await first_after(self.bus, DEAD_LETTERS, since, fill)
        batch: list[DeadLetterRecord] = []
        async for found in find_dead_letters(self.bus, after=first - 1, within=READ_WITHIN):
            if found.sequence > settled:
                break
            batch.append(found.record)
            yield None
            if len(batch) == BATCH:
                async for finding in self._cases(batch):
                    yield finding
                batch = []
        async for finding in self._cases(batch):
            yield finding

    async def _cases(self, batch: list[DeadLetterRecord]) -> AsyncIterator[Finding]:
        wanted = {_case_of(record): record for record in batch}
        known = await known_ids(self.client, list(wanted))
        for case, record in wanted.items():
            # visibility lags, and a failed redrive belongs to its first case as long as that is there
            if case in known or await latest(self.client, case) is not None:
                continue
            try:
                await start_case(self.client, record)
            except RejectedInput:  # too large for Temporal: a case without the bulk is visible
                await start_case(self.client, record.without_bulk())
            yield Finding(
                kind=FindingKind.CASE_MISSING,
                answer=Answer.CASE_STARTED,
                workflow_id=ids.case_id(record.id),
                source=record.source,
                event_id=record.event_id,
                detail=f"a dead letter that nobody had a case for: {record.code}",
            )


def _case_of(record: DeadLetterRecord) -> str:
    return ids.case_id(record.id) if record.redrive is None else record.redrive.case
