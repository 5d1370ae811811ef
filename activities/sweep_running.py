"""Runs that are alive and do not move: an alert, for they may go on; given up only past the deadline, record first.

Flow: Sweep → **sweep_running** → alert | dead letter, then terminate.
"""

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from activities.sweep_runs import of_delivery, store, with_attempts
from holdfast.bus.connect import Bus
from holdfast.clock import Clock
from holdfast.contracts import names
from holdfast.contracts.delivery import DeliveryInput
from holdfast.contracts.sweeping import Finding
from holdfast.domain.quantities import format_duration
from holdfast.domain.sweeping import Answer, FindingKind
from holdfast.errors import ErrorCode
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal.connect import TemporalClient
from holdfast.temporal.ended_runs import beginning, decoded
from holdfast.temporal.run_list import ListedRun
from holdfast.temporal.stuck_runs import POLLED_WITHIN, elsewhere, failing, is_polled, overdue, terminate

MOST = 5_000  # runs of each kind that are looked at in one sweep; the rest waits for the next
SHOWN = 5  # ids that stand in one alert


@dataclass(frozen=True, slots=True)
class RunningSweep:
    """Looks at what runs. `deadline` is how long an event may have no outcome."""

    client: TemporalClient
    bus: Bus
    metrics: Metrics
    clock: Clock
    deadline: timedelta
    polled_within: timedelta = POLLED_WITHIN

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield what does not move. Raises Unavailable."""
        late = self.clock.now() - self.deadline
        settled = set()
        async for run in _some(failing(self.client)):
            why = f"its workflow tasks keep failing: {', '.join(run.problems)}"
            settled.add(run.workflow_id)
            yield await self._stuck(run, FindingKind.TASKS_FAIL, why, late)
        async for finding in self._unpolled(late, settled):
            yield finding
        async for run in _some(overdue(self.client, late)):
            if run.workflow_id not in settled:
                text = f"no outcome after {format_duration(self.deadline)}; it still runs, state {run.state or 'begun'}"
                yield _finding(run, FindingKind.OVERDUE, Answer.ALERT, text)

    async def _unpolled(self, late: datetime, settled: set[str]) -> AsyncIterator[Finding]:
        """Yield one alert per task queue that nobody polls; its runs past the deadline are given up one by one."""
        waiting: dict[str, list[ListedRun]] = defaultdict(list)
        async for run in _some(elsewhere(self.client)):
            if run.workflow_id not in settled:
                waiting[run.task_queue].append(run)
        for task_queue, those in sorted(waiting.items()):
            if await is_polled(self.client, task_queue, within=self.polled_within):
                continue
            shown = ", ".join(run.workflow_id for run in those[:SHOWN])
            more = f" and {len(those) - SHOWN} more" if len(those) > SHOWN else ""
            count = f"{len(those)} run{'' if len(those) == 1 else 's'}"
            text = f"no worker polls task queue {task_queue!r}, and {count} cannot go on: {shown}{more}"
            yield _finding(those[0], FindingKind.WORKER_GONE, Answer.ALERT, text)
            for run in those:
                if run.started_at < late:
                    settled.add(run.parent)
                    yield await self._stuck(run, FindingKind.WORKER_GONE, f"no worker polls {task_queue!r}", late)

    async def _stuck(self, run: ListedRun, kind: FindingKind, why: str, late: datetime) -> Finding:
        """Alert; or, past the deadline, give the run up: after its dead letter is stored, and not before."""
        child = run.task_queue != names.TASK_QUEUE and bool(run.parent)  # its delivery writes the dead letter
        ours = run.kind == names.EVENT_DELIVERY and run.task_queue == names.TASK_QUEUE
        if run.started_at >= late or not (child or ours):
            return _finding(run, kind, Answer.ALERT, why)
        reason = f"no outcome after {format_duration(self.deadline)}, and {why}"
        if ours and not await self._recorded(run, reason):
            return _finding(run, kind, Answer.ALERT, f"{reason}; its input cannot be read")
        await terminate(self.client, run, reason)
        return _finding(run, FindingKind.OVERDUE, Answer.DEAD_LETTERED if ours else Answer.TERMINATED, reason)

    async def _recorded(self, run: ListedRun, reason: str) -> bool:
        began = await beginning(self.client, run)
        given = await decoded(self.client, began.arguments[0], DeliveryInput) if len(began.arguments) == 1 else None
        if given is None:
            return False
        record = of_delivery(given, run, ErrorCode.DELIVERY_OVERDUE, reason, self.clock.now())
        record = await with_attempts(self.client, run, record)
        await store(self.bus, self.metrics, record)
        return True


async def _some(found: AsyncIterator[ListedRun]) -> AsyncIterator[ListedRun]:
    """Yield the first MOST."""
    count = 0
    async for run in found:
        yield run
        count += 1
        if count == MOST:
            return


def _finding(run: ListedRun, kind: FindingKind, answer: Answer, detail: str) -> Finding:
    return Finding(
        kind=kind,
        answer=answer,
        workflow_id=run.workflow_id,
        run_id=run.run_id,
        source=run.source,
        event_id=run.event_id,
        detail=detail,
    )
