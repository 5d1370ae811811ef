"""Whatever is started on our task queue under a name we do not know ends as a dead letter.

Without it such a run would wait for ever for a worker that knows its type.
"""

import base64
from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.workflow import DynamicWorkflowConfig

from holdfast.contracts import names
from holdfast.errors import ErrorCode
from workflows import policies, records
from workflows.escalate import dead_letter, facts
from workflows.inputs import MAX_RAW, Unreadable


@workflow.defn(dynamic=True)
class UnknownType:
    """Takes every workflow type that no other class is registered for."""

    @workflow.dynamic_config
    def config(self) -> DynamicWorkflowConfig:
        """Fail, visibly, on a defect of ours."""
        return DynamicWorkflowConfig(failure_exception_types=policies.FAILURE_TYPES)

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> None:
        """Record what came, then fail with type `dead_lettered`."""
        kind = workflow.info().workflow_type
        raw = args[0].payload.data[:MAX_RAW] if args else b""
        found = Unreadable(
            f"no workflow type {kind!r} is known on task queue {names.TASK_QUEUE!r}; a workflow of yours belongs on"
            " the task queue that your own worker polls",
            base64.b64encode(raw).decode("ascii"),
        )
        raise await dead_letter(records.of_unreadable(found, facts(), code=ErrorCode.WORKFLOW_UNKNOWN_TYPE))
