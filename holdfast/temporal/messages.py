"""Signals, updates and starts for workflows of the user's own, each under a request id that makes a repeat harmless.

Flow: deliver → **messages** → Temporal → the user's workflow. The same delivery sends the same request id in every
attempt, so the server takes it once however often an answer is lost. The SDK draws a new id for each call, so signals
and starts are requests of our own here.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Payloads, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    SignalWithStartWorkflowExecutionRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.converter import encode_search_attributes
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from holdfast.domain.actions import MessageAction, WorkflowAction
from holdfast.errors import (
    Conflict,
    ErrorCode,
    HoldfastError,
    PermanentFailure,
    RejectedInput,
    TransientFailure,
    bounded,
)
from holdfast.temporal.errors import classify

RPC_TIMEOUT = timedelta(seconds=8)


@dataclass(frozen=True, slots=True)
class Sending:
    """One attempt: under which request id, and the search attributes of a run that it may start."""

    request_id: str
    attributes: TypedSearchAttributes
    again: bool = False  # an earlier attempt may have arrived


async def signal(client: Client, action: MessageAction, sending: Sending) -> dict[str, Any]:
    """Signal, and start before where the action says so. Raises TransientFailure, PermanentFailure, Unavailable."""
    try:
        if action.workflow is not None:
            return await _signal_with_start(client, action, sending)
        await client.workflow_service.signal_workflow_execution(
            SignalWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=action.workflow_id),
                signal_name=action.name,
                input=await _payloads(client, action.args),
                identity=client.identity,
                request_id=sending.request_id,
            ),
            timeout=RPC_TIMEOUT,
        )
    except Exception as error:  # noqa: BLE001 - every error is classified
        await _failed(client, action, error)
    return {"workflow_id": action.workflow_id}


async def update(client: Client, action: MessageAction, sending: Sending) -> Any:
    """Update, and return what the workflow answered. Raises TransientFailure, PermanentFailure, Unavailable."""
    args, within = list(action.args), action.within
    try:
        if action.workflow is None:
            handle = client.get_workflow_handle(action.workflow_id)
            return await handle.execute_update(action.name, args=args, id=sending.request_id, rpc_timeout=within)
        start: Any = WithStartWorkflowOperation(
            action.workflow,
            args=list(action.start_args),
            id=action.workflow_id,
            task_queue=action.task_queue or "",
            execution_timeout=action.timeout,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=sending.attributes,
        )
        return await client.execute_update_with_start_workflow(
            action.name, args=args, start_workflow_operation=start, id=sending.request_id, rpc_timeout=within
        )
    except Exception as error:  # noqa: BLE001 - every error is classified
        await _failed(client, action, error)


async def start(client: Client, action: WorkflowAction, workflow_id: str, sending: Sending) -> dict[str, Any]:
    """Start a run that nobody waits for. Raises PermanentFailure `workflow.failed` where its id is taken."""
    # an id of the user's own is free again after a failure, or no redrive could ever succeed
    policy = (
        WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
        if action.id is None
        else WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
    )
    try:
        request = StartWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_id=workflow_id,
            workflow_type=WorkflowType(name=action.workflow),
            task_queue=TaskQueue(name=action.task_queue),
            input=await _payloads(client, action.args),
            workflow_execution_timeout=_duration(action.timeout),
            identity=client.identity,
            request_id=sending.request_id,
            workflow_id_reuse_policy=policy,
        )
        encode_search_attributes(sending.attributes, request.search_attributes)
        answer = await client.workflow_service.start_workflow_execution(request, timeout=RPC_TIMEOUT)
    except Exception as error:  # noqa: BLE001 - every error is classified
        known = classify(error)
        if not isinstance(known, Conflict):
            raise _classified(known) from None
        if action.id is None:  # made of the delivery's own id, so it is ours
            return {"workflow_id": workflow_id}
        text = f"a run with the id {workflow_id} exists already"
        raise PermanentFailure(ErrorCode.WORKFLOW_FAILED, text) from None
    return {"workflow_id": workflow_id, "run_id": answer.run_id}


async def _taken(client: Client, workflow_id: str, request_id: str) -> str | None:
    """Return the run that a request has started already, though it may have ended since; None where there is none."""
    try:
        seen = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise
    known = seen.raw_description.workflow_extended_info.request_id_infos
    return seen.run_id if request_id in known else None


async def _signal_with_start(client: Client, action: MessageAction, sending: Sending) -> dict[str, Any]:
    # while the run is open the server recognises the request by itself; once it has ended it would start another
    before = await _taken(client, action.workflow_id, sending.request_id) if sending.again else None
    if before is not None:
        return {"workflow_id": action.workflow_id, "run_id": before, "started": True}
    request = SignalWithStartWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_id=action.workflow_id,
        workflow_type=WorkflowType(name=action.workflow or ""),
        task_queue=TaskQueue(name=action.task_queue or ""),
        input=await _payloads(client, action.start_args),
        workflow_execution_timeout=_duration(action.timeout),
        identity=client.identity,
        request_id=sending.request_id,
        workflow_id_reuse_policy=WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
        workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
        signal_name=action.name,
        signal_input=await _payloads(client, action.args),
    )
    encode_search_attributes(sending.attributes, request.search_attributes)
    answer = await client.workflow_service.signal_with_start_workflow_execution(request, timeout=RPC_TIMEOUT)
    return {"workflow_id": action.workflow_id, "run_id": answer.run_id, "started": answer.started}


async def _failed(client: Client, action: MessageAction, error: Exception) -> NoReturn:
    """Say what an error means for a delivery."""
    match error:
        case WorkflowUpdateFailedError():
            cause = error.cause
            kind = f"{cause.type}: " if isinstance(cause, ApplicationError) and cause.type else ""
            said = cause.message if isinstance(cause, ApplicationError) else str(cause)
            # the outcome belongs to this update's id: asking again gives the same
            raise PermanentFailure(
                ErrorCode.WORKFLOW_FAILED, f"update {action.name}: {kind}{bounded(said, 500)}"
            ) from None
        case WorkflowUpdateRPCTimeoutOrCancelledError() | TimeoutError():
            text = f"update {action.name}: no answer in time; the next attempt asks for the same update"
            raise TransientFailure(ErrorCode.TARGET_TIMEOUT, text) from None
        case RPCError(status=RPCStatusCode.NOT_FOUND):
            raise await _missing(client, action) from None
        case RPCError(status=RPCStatusCode.DEADLINE_EXCEEDED):
            text = f"{action.target}: Temporal did not answer in time; the next attempt asks for the same"
            raise TransientFailure(ErrorCode.TARGET_TIMEOUT, text) from None
    raise _classified(classify(error)) from None


async def _missing(client: Client, action: MessageAction) -> HoldfastError:
    """Tell a workflow that has ended from one that never was; the server's answer is one for both."""
    try:
        seen = await client.get_workflow_handle(action.workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            return classify(error)
        text = f"there is no workflow {action.workflow_id}"
        if action.when_missing == "dead_letter":
            return PermanentFailure(ErrorCode.WORKFLOW_NOT_FOUND, text)
        return TransientFailure(ErrorCode.WORKFLOW_NOT_FOUND, f"{text}; it may come later")
    if seen.status == WorkflowExecutionStatus.RUNNING:
        return TransientFailure(ErrorCode.TEMPORAL_UNAVAILABLE, f"{action.workflow_id} began only now")
    ended = seen.status.name.lower() if seen.status is not None else "over"
    return PermanentFailure(ErrorCode.WORKFLOW_NOT_FOUND, f"the workflow {action.workflow_id} has ended: {ended}")


def _classified(error: HoldfastError) -> HoldfastError:
    return PermanentFailure(error.code, error.message) if isinstance(error, RejectedInput) else error


async def _payloads(client: Client, args: tuple[Any, ...]) -> Payloads | None:
    return Payloads(payloads=await client.data_converter.encode(list(args))) if args else None


def _duration(value: timedelta | None) -> Duration | None:
    if value is None:
        return None
    made = Duration()
    made.FromTimedelta(value)
    return made
