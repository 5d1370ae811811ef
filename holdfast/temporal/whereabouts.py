"""What Temporal knows of one event: its deliveries with their attempts, the cases of its dead letters, links.

Flow: DeliveriesQuestion → visibility, describe, query → **DeliveriesAnswer**; asked by the command line itself and, for
the gateway, by a worker.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import quote

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.attempts import failed, read_log
from holdfast.contracts.delivery import Attempt, DeliveryResult, Progress
from holdfast.contracts.status import CaseStatus, DeliveriesAnswer, DeliveriesQuestion, DeliveryStatus
from holdfast.domain.deadletters import CaseState
from holdfast.errors import ErrorCode, HoldfastError
from holdfast.settings.process import ProcessSettings
from holdfast.temporal.connect import bounded_call, workflow_call
from holdfast.temporal.deliveries import list_deliveries, summary_of

DETAILED = 20  # deliveries of one event of which more is asked than visibility has; the oldest ones
ASKED = 50  # workflows described by id, because visibility may not know them yet
WITHIN = timedelta(seconds=3)  # for each call
PRIOR = 1  # attempts before the activity that retries
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Asks Temporal. `triggers` are names that may have taken the event, though visibility lags behind."""

    client: Client
    ui: str | None  # address of the Temporal UI, where it is known

    async def find(self, question: DeliveriesQuestion, triggers: Iterable[str] = ()) -> DeliveriesAnswer:
        """Return what is known; what is merely missing is no error. Raises Unavailable where Temporal is away."""
        runs = {run.id: run for run in await list_deliveries(self.client, question.source, question.event_id)}
        likely = [ids.delivery_id(name, question.source, question.event_id) for name in triggers]
        missing = [delivery for delivery in likely if delivery not in runs][:ASKED]
        described = await asyncio.gather(*(self._describe(delivery) for delivery in missing))
        runs |= {run.id: run for run in described if run is not None}
        ordered = sorted(runs.values(), key=lambda run: run.start_time)
        deliveries = await asyncio.gather(*(self._delivery(run, at < DETAILED) for at, run in enumerate(ordered)))
        cases = await asyncio.gather(*(self._case(letter, list(runs)) for letter in question.dead_letters[:ASKED]))
        found = zip(question.dead_letters, cases, strict=False)
        return DeliveriesAnswer(deliveries=deliveries, cases={letter: case for letter, case in found if case})

    async def _describe(self, workflow_id: str) -> WorkflowExecutionDescription | None:
        try:
            return await workflow_call(self.client.get_workflow_handle(workflow_id).describe(), workflow_id, WITHIN)
        except HoldfastError as error:
            if error.code is ErrorCode.NOT_FOUND:
                return None
            raise

    async def _delivery(self, run: WorkflowExecution, detailed: bool) -> DeliveryStatus:
        seen = summary_of(run)
        status = DeliveryStatus(
            id=seen.workflow_id,
            run_id=seen.run_id,
            trigger=seen.trigger,
            state=seen.state,
            error=seen.error,
            started_at=seen.started_at,
            closed_at=seen.closed_at,
            redrive_of=_redriven(seen.workflow_id),
            link=self._link(seen.workflow_id),
        )
        if not detailed:
            return status
        if run.status is WorkflowExecutionStatus.COMPLETED:
            return await self._result(status)
        return await self._progress(status) if run.status is WorkflowExecutionStatus.RUNNING else status

    async def _result(self, status: DeliveryStatus) -> DeliveryStatus:
        handle = self.client.get_workflow_handle(status.id, run_id=status.run_id, result_type=DeliveryResult)
        done = await _or_none(bounded_call(handle.result(follow_runs=False), WITHIN))
        if done is None:
            return status
        return status.model_copy(update={"attempts": done.attempts, "result": done.result})

    async def _progress(self, status: DeliveryStatus) -> DeliveryStatus:
        """Say what failed so far: the first attempt the run itself knows, the later ones its pending activity."""
        described = await self._describe(status.id)
        if described is None:
            return status
        pending = next(
            (each for each in described.raw_description.pending_activities if each.activity_type.name == names.DELIVER),
            None,
        )
        early = Progress()
        told = {names.STATE_RETRYING, names.STATE_WAITING}
        if status.state in told or summary_of(described).state in told:
            handle = self.client.get_workflow_handle(status.id, run_id=status.run_id)
            query = handle.query(names.PROGRESS, result_type=Progress)
            early = await _or_none(bounded_call(query, WITHIN)) or early
        if pending is None:
            made = len(early.failures) or None
            return _retrying(status, early.failures, made, early)
        log = await self._log(pending) or _last_failure(pending)
        made = (PRIOR if early.failures else 0) + pending.attempt - (0 if _under_way(pending) else 1)
        progress = Progress(next_attempt_at=_next(pending))
        return _retrying(status, (*early.failures, *log), made, progress)

    async def _log(self, pending: PendingActivityInfo) -> tuple[Attempt, ...]:
        """Read the log of failed attempts that the activity left for the next one."""
        payloads = list(pending.heartbeat_details.payloads)
        try:
            return read_log(await self.client.data_converter.decode(payloads)) if payloads else ()
        except Exception:  # noqa: BLE001 - whatever stands there, the page is worth showing without it
            return ()

    async def _case(self, dead_letter: str, deliveries: list[str]) -> CaseStatus | None:
        case = ids.case_id(dead_letter)
        described = await self._describe(case)
        if described is None:
            return None
        said = described.typed_search_attributes.get(SearchAttributeKey.for_keyword(names.SA_STATE))
        known = [state for state in CaseState if state == said]
        redrives = tuple(each for each in deliveries if _redriven(each) == dead_letter)
        return CaseStatus(
            id=case, state=str(known[0]) if known else "unknown", redrives=redrives, link=self._link(case)
        )

    def _link(self, workflow_id: str) -> str | None:
        return workflow_link(self.ui, self.client.namespace, workflow_id) if self.ui is not None else None


def workflow_link(ui: str, namespace: str, workflow_id: str) -> str:
    """Return the address of a workflow in the Temporal UI."""
    return f"{ui.rstrip('/')}/namespaces/{quote(namespace, safe='')}/workflows/{quote(workflow_id, safe='')}"


def ui_address(settings: ProcessSettings) -> str | None:
    """Return where the Temporal UI is: as configured, or the default where Temporal itself is on this machine."""
    if "temporal_ui_url" in settings.model_fields_set:
        return settings.temporal_ui_url
    host = (settings.temporal_address or "127.0.0.1").rpartition(":")[0] or "127.0.0.1"
    return settings.temporal_ui_url if host in {"127.0.0.1", "localhost", "[::1]"} else None


def _redriven(workflow_id: str) -> str | None:
    """Return the dead letter that a redrive tries again; None for a first delivery."""
    letter, mark, number = workflow_id.rpartition(":r")
    return letter if mark and number.isdigit() else None


def _retrying(
    status: DeliveryStatus, failures: tuple[Attempt, ...], made: int | None, then: Progress
) -> DeliveryStatus:
    update = {"failures": failures, "attempts": made, "next_attempt_at": then.next_attempt_at}
    return status.model_copy(update=update | {"waiting_for": then.waiting})


def _under_way(pending: PendingActivityInfo) -> bool:
    return pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED


def _next(pending: PendingActivityInfo) -> datetime | None:
    due = pending.next_attempt_schedule_time
    return due.ToDatetime(UTC) if due.seconds and not _under_way(pending) else None


def _last_failure(pending: PendingActivityInfo) -> tuple[Attempt, ...]:
    """Return the failure that Temporal shows, where the attempts themselves left nothing."""
    if not pending.HasField("last_failure"):
        return ()
    code = pending.last_failure.application_failure_info.type or ErrorCode.TARGET_TIMEOUT
    at = pending.last_attempt_complete_time or pending.last_started_time
    return (failed(PRIOR + max(pending.attempt - 1, 1), at.ToDatetime(UTC), code, pending.last_failure.message),)


async def _or_none(call: Awaitable[T]) -> T | None:
    """Return None where one detail cannot be had: the page is worth showing without it."""
    try:
        return await call
    except HoldfastError:
        return None
