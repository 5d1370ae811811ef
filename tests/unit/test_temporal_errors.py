import pytest
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from holdfast.errors import Conflict, ErrorCode, HoldfastError, RejectedInput, Unavailable
from holdfast.temporal.errors import classify, of_workflow


def rpc(status: RPCStatusCode, message: str = "m") -> RPCError:
    """An RPC error as the SDK raises it."""
    return RPCError(message, status, b"")


TRANSIENT = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL", "UNKNOWN", "ABORTED", "DATA_LOSS")
DEPLOYMENT = ("NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED", "FAILED_PRECONDITION")


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        *((rpc(RPCStatusCode[s]), Unavailable, ErrorCode.TEMPORAL_UNAVAILABLE) for s in TRANSIENT),
        *((rpc(RPCStatusCode[s]), Unavailable, ErrorCode.TEMPORAL_MISCONFIGURED) for s in DEPLOYMENT),
        (rpc(RPCStatusCode.RESOURCE_EXHAUSTED), Unavailable, ErrorCode.TEMPORAL_UNAVAILABLE),
        (
            rpc(RPCStatusCode.RESOURCE_EXHAUSTED, "grpc: received message after decompression larger than max 4194304"),
            RejectedInput,
            ErrorCode.START_REJECTED,
        ),
        (rpc(RPCStatusCode.INVALID_ARGUMENT), RejectedInput, ErrorCode.START_REJECTED),
        (rpc(RPCStatusCode.ALREADY_EXISTS), Conflict, ErrorCode.START_REJECTED),
        (WorkflowAlreadyStartedError("id", "type"), Conflict, ErrorCode.START_REJECTED),
        (TimeoutError(), Unavailable, ErrorCode.TEMPORAL_UNAVAILABLE),
        (RuntimeError("connection"), Unavailable, ErrorCode.TEMPORAL_UNAVAILABLE),
    ],
)
def test_every_failure_of_temporal_has_its_class(error: Exception, kind: type[HoldfastError], code: ErrorCode) -> None:
    """Done already, try again, this request's fault and the deployment's are told apart."""
    found = classify(error)
    assert (type(found), found.code) == (kind, code)


def test_a_missing_workflow_is_not_a_missing_namespace() -> None:
    """NOT_FOUND of a call on one workflow is about that workflow."""
    assert of_workflow(rpc(RPCStatusCode.NOT_FOUND), "x").code == ErrorCode.NOT_FOUND
