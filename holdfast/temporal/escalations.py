"""Escalations as processes and people reach them: signalled, listed, shown by query, acknowledged by Update.

Flow: report_case → **report** → Escalation; and the command line. Every call is bounded.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.client import (
    Client,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError

from holdfast import ids
from holdfast.clock import rfc3339
from holdfast.contracts import names
from holdfast.contracts.escalation_runs import EscalationInput, EscalationView
from holdfast.contracts.escalations import CaseNotice
from holdfast.contracts.moves import AcknowledgeInput
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput, Unavailable, bounded
from holdfast.temporal.connect import bounded_call, workflow_call

WITHIN = timedelta(seconds=8)  # below the activity's 10 s, so that the reason is ours
UPDATE_WITHIN = timedelta(seconds=15)
RUNNING = f"WorkflowType = '{names.ESCALATION}' AND ExecutionStatus = 'Running'"
ALL = f"WorkflowType = '{names.ESCALATION}'"


@dataclass(frozen=True, slots=True)
class EscalationSummary:
    """One line of the list."""

    workflow_id: str
    state: str
    trigger: str
    source: str
    began_at: datetime
    closed_at: datetime | None

    def plain(self) -> dict[str, str | None]:
        """As JSON data: what `--json` prints and what the admin API answers."""
        return {
            "id": self.workflow_id,
            "state": self.state,
            "trigger": self.trigger,
            "source": self.source,
            "began_at": rfc3339(self.began_at),
            "closed_at": rfc3339(self.closed_at) if self.closed_at else None,
        }


async def begin(client: Client, workflow_id: str, given: EscalationInput, notice: CaseNotice) -> None:
    """Report a case to its group, which begins with it where it does not run. Raises Unavailable."""
    values = {names.SA_TRIGGER: given.trigger, names.SA_SOURCE: given.source}
    attributes = [SearchAttributePair(SearchAttributeKey.for_keyword(k), v) for k, v in values.items() if v]
    await bounded_call(
        client.start_workflow(
            names.ESCALATION,
            given,
            id=workflow_id,
            task_queue=names.TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            start_signal=names.REPORT,
            start_signal_args=[notice],
            search_attributes=TypedSearchAttributes(attributes),
            static_summary=bounded(f"{given.escalation}: failures of {given.group}", 200),
        ),
        WITHIN,
    )


async def report(client: Client, workflow_id: str, notice: CaseNotice) -> bool:
    """Report a change to a group that runs; False where it does not any more. Raises Unavailable."""
    try:
        signal = client.get_workflow_handle(workflow_id).signal(names.REPORT, notice)
        await workflow_call(signal, workflow_id, WITHIN)
    except RejectedInput as error:
        if error.code != ErrorCode.NOT_FOUND:
            raise
        return False
    return True


async def list_escalations(client: Client, *, everything: bool = False, limit: int = 100) -> list[EscalationSummary]:
    """Return the groups that run (or every one that Temporal knows), the newest first. Raises Unavailable."""

    async def collect() -> list[EscalationSummary]:
        found = []
        async for run in client.list_workflows(ALL if everything else RUNNING, limit=limit):

            def attribute(name: str, run: object = run) -> str:
                return getattr(run, "typed_search_attributes").get(SearchAttributeKey.for_keyword(name)) or ""  # noqa: B009

            found.append(
                EscalationSummary(
                    workflow_id=run.id,
                    state=attribute(names.SA_STATE),
                    trigger=attribute(names.SA_TRIGGER),
                    source=attribute(names.SA_SOURCE),
                    began_at=run.start_time,
                    closed_at=run.close_time,
                )
            )
        return found

    return await bounded_call(collect())


async def show_escalation(client: Client, workflow_id: str) -> EscalationView:
    """Return the whole group. Raises RejectedInput `not_found`, Unavailable (also when no worker runs)."""
    workflow_id = full_id(workflow_id)
    query = client.get_workflow_handle(workflow_id).query(names.SHOW_ESCALATION, result_type=EscalationView)
    try:
        return await workflow_call(query, workflow_id, UPDATE_WITHIN)
    except HoldfastError as error:
        if isinstance(error.__cause__, (WorkflowQueryFailedError, WorkflowQueryRejectedError)):
            raise Unavailable(ErrorCode.NOT_READY, f"the escalation cannot be read: {error.__cause__}") from error
        raise


async def acknowledge_escalation(
    client: Client, workflow_id: str, given: AcknowledgeInput, *, update_id: str | None = None
) -> EscalationView:
    """Say that somebody looks after a group. Raises RejectedInput `not_found` | `case.illegal_move`, Unavailable."""
    workflow_id = full_id(workflow_id)
    handle = client.get_workflow_handle(workflow_id)
    try:
        update = handle.execute_update(names.ACKNOWLEDGE, given, id=update_id, result_type=EscalationView)
        return await workflow_call(update, workflow_id, UPDATE_WITHIN)
    except HoldfastError as error:
        cause = error.__cause__
        if isinstance(cause, WorkflowUpdateFailedError) and isinstance(cause.cause, ApplicationError):
            known = [code for code in ErrorCode if code == cause.cause.type]
            raise RejectedInput(known[0] if known else ErrorCode.INPUT_INVALID, cause.cause.message) from error
        if isinstance(cause, (WorkflowUpdateRPCTimeoutOrCancelledError, TimeoutError)):
            raise Unavailable(
                ErrorCode.TEMPORAL_UNAVAILABLE, "no answer in time; is a worker running? It may still happen"
            ) from error
        raise


def full_id(given: str) -> str:
    """Take a workflow id, or what follows its first word, as people shorten it: `oncall/trigger/bill`."""
    prefix = ids.escalation_id("x").removesuffix("x")
    return given if given.startswith(prefix) else prefix + given
