"""Cases that wait for somebody although their delivery has delivered meanwhile: a failed run was reset, and did it.

Flow: Sweep → **sweep_cases** → signal `superseded` → the case is resolved, with a note.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.moves import SupersededInput
from holdfast.contracts.sweeping import Finding
from holdfast.domain.deadletters import WAITING
from holdfast.domain.sweeping import Answer, FindingKind
from holdfast.temporal.case_list import quoted
from holdfast.temporal.connect import TemporalClient, workflow_call
from holdfast.temporal.ended_runs import latest
from holdfast.temporal.run_list import ListedRun, runs

BATCH = 200  # deliveries asked for in one query


@dataclass(frozen=True, slots=True)
class CaseSweep:
    """Looks at the cases that are open."""

    client: TemporalClient

    async def findings(self) -> AsyncIterator[Finding | None]:
        """Yield one entry per case that waits; None where it waits with reason. Raises Unavailable."""
        query = (
            f"WorkflowType = '{names.DEAD_LETTER}' AND TaskQueue = '{names.TASK_QUEUE}' AND ExecutionStatus = 'Running'"
        )
        waiting: dict[str, ListedRun] = {}
        async for case in runs(self.client, query):
            yield None
            if case.state in WAITING:
                waiting[case.workflow_id.removeprefix(ids.case_id(""))] = case
            if len(waiting) == BATCH:
                async for finding in self._delivered(waiting):
                    yield finding
                waiting = {}
        async for finding in self._delivered(waiting):
            yield finding

    async def _delivered(self, waiting: dict[str, ListedRun]) -> AsyncIterator[Finding]:
        if not waiting:
            return
        query = (
            f"WorkflowType = '{names.EVENT_DELIVERY}' AND ExecutionStatus = 'Completed'"
            f" AND WorkflowId IN ({', '.join(map(quoted, waiting))})"
        )
        done = [run async for run in runs(self.client, query)]
        for run in done:
            now, case = await latest(self.client, run.workflow_id), waiting[run.workflow_id]
            if now is None or now.run_id != run.run_id or now.closed_at is None:
                continue  # reset once more: what comes of that is not known yet
            told = SupersededInput(at=now.closed_at, delivery=run.workflow_id, own_run=run.run_id)
            handle = self.client.get_workflow_handle(case.workflow_id)
            await workflow_call(handle.signal(names.SUPERSEDED, told), case.workflow_id)
            yield Finding(
                kind=FindingKind.CASE_OVERTAKEN,
                answer=Answer.CASE_RESOLVED,
                workflow_id=case.workflow_id,
                run_id=case.run_id,
                source=case.source,
                event_id=case.event_id,
                detail=f"its delivery was reset and has delivered, in run {run.run_id}; the case is told to resolve",
            )
