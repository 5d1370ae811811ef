"""Runs that are alive and do not move: their workflow tasks fail, nobody polls their task queue, or their time is over.

Flow: Sweep → **stuck_runs** → alert; past the deadline and unable to move → dead letter → terminate.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from holdfast.contracts import names
from holdfast.errors import ErrorCode, RejectedInput, bounded
from holdfast.temporal.connect import bounded_call, workflow_call
from holdfast.temporal.run_list import ListedRun, runs

POLLED_WITHIN = timedelta(minutes=2)  # a poll lasts a minute; the server shows pollers for five after they went

# ours, or the user's own as a delivery's child: both carry what they belong to
_OURS = f"(TaskQueue = '{names.TASK_QUEUE}' OR {names.SA_TRIGGER} IS NOT NULL)"


def failing(client: Client) -> AsyncIterator[ListedRun]:
    """Yield the runs whose workflow tasks keep failing: the server marks them after five in a row."""
    return runs(client, f"ExecutionStatus = 'Running' AND TemporalReportedProblems IS NOT NULL AND {_OURS}")


def elsewhere(client: Client) -> AsyncIterator[ListedRun]:
    """Yield the running children of deliveries, which run on the task queues of the user's own workers."""
    query = f"ExecutionStatus = 'Running' AND {names.SA_TRIGGER} IS NOT NULL AND TaskQueue != '{names.TASK_QUEUE}'"
    return runs(client, query)


def overdue(client: Client, before: datetime) -> AsyncIterator[ListedRun]:
    """Yield the deliveries that were started before `before` and still run."""
    query = (
        f"ExecutionStatus = 'Running' AND WorkflowType = '{names.EVENT_DELIVERY}'"
        f" AND TaskQueue = '{names.TASK_QUEUE}' AND StartTime < '{before.isoformat()}'"
    )
    return runs(client, query)


async def is_polled(client: Client, task_queue: str, *, within: timedelta = POLLED_WITHIN) -> bool:
    """Whether a worker has lately asked for workflow tasks of a task queue. Raises Unavailable."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    described = await bounded_call(client.workflow_service.describe_task_queue(request, retry=True))
    lately = datetime.now(UTC) - within
    return any(poller.last_access_time.ToDatetime(UTC) > lately for poller in described.pollers)


async def terminate(client: Client, run: ListedRun, reason: str) -> None:
    """Terminate one run; one that is closed or gone already is as wished. Raises Unavailable."""
    handle = client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
    try:
        await workflow_call(handle.terminate(reason=bounded(reason)), run.workflow_id)
    except RejectedInput as error:
        if error.code != ErrorCode.NOT_FOUND:
            raise
