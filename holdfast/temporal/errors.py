"""What an error of Temporal's RPC means, sorted once: already done, try again, this request's fault, our deployment's.

Flow: start, list, update → **classify**. The SDK has retried what it retries before we see an error.
"""

from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from holdfast.errors import Conflict, ErrorCode, HoldfastError, RejectedInput, Unavailable

_REQUEST = frozenset({RPCStatusCode.INVALID_ARGUMENT})
_DEPLOYMENT = frozenset(
    {
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.UNAUTHENTICATED,
        RPCStatusCode.UNIMPLEMENTED,
        RPCStatusCode.FAILED_PRECONDITION,
    }
)
_TOO_LARGE = "larger than max"  # gRPC says RESOURCE_EXHAUSTED both for throttling and for size; only the text differs


def classify(error: BaseException) -> HoldfastError:
    """Translate an error of a call that names no workflow of its own (start, list, describe namespace).

    Conflict: it is already started. RejectedInput `start.rejected`: this request can never succeed. Unavailable
    `temporal.misconfigured`: no request can until somebody mends the deployment. Unavailable `temporal.unavailable`:
    try again; also for CANCELLED and timeouts, whose outcome is unknown.
    """
    match error:
        case HoldfastError():
            return error
        case WorkflowAlreadyStartedError():
            return Conflict(ErrorCode.START_REJECTED, "already started")
        case RPCError():
            return _of_status(error)
        case TimeoutError():
            return Unavailable(ErrorCode.TEMPORAL_UNAVAILABLE, "Temporal did not answer in time")
        case ValueError() | TypeError():  # what the payload converter raises
            return RejectedInput(ErrorCode.START_REJECTED, f"cannot be encoded: {type(error).__name__}")
    return Unavailable(ErrorCode.TEMPORAL_UNAVAILABLE, f"{type(error).__name__}: {error}")


def of_workflow(error: BaseException, workflow_id: str) -> HoldfastError:
    """Translate an error of a call on one workflow (query, update, describe): NOT_FOUND is its absence."""
    if isinstance(error, RPCError) and error.status == RPCStatusCode.NOT_FOUND:
        return RejectedInput(ErrorCode.NOT_FOUND, f"there is no workflow {workflow_id}")
    return classify(error)


def _of_status(error: RPCError) -> HoldfastError:
    status = error.status
    text = f"Temporal: {status.name}: {error.message}"
    if status == RPCStatusCode.ALREADY_EXISTS:
        return Conflict(ErrorCode.START_REJECTED, text)
    if status in _REQUEST or (status == RPCStatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in error.message):
        return RejectedInput(ErrorCode.START_REJECTED, text)
    if status in _DEPLOYMENT or status == RPCStatusCode.NOT_FOUND:  # of a start, only the namespace can be missing
        return Unavailable(ErrorCode.TEMPORAL_MISCONFIGURED, text)
    return Unavailable(ErrorCode.TEMPORAL_UNAVAILABLE, text)
