"""Whether a delivery was made before: Temporal remembers its id as long as the namespace's retention."""

from temporalio.client import Client

from holdfast.errors import ErrorCode, HoldfastError
from holdfast.temporal.connect import workflow_call


async def exists(client: Client, workflow_id: str) -> bool:
    """Whether there is, or was, a workflow of this id. Raises Unavailable."""
    try:
        await workflow_call(client.get_workflow_handle(workflow_id).describe(), workflow_id)
    except HoldfastError as error:
        if error.code == ErrorCode.NOT_FOUND:
            return False
        raise
    return True
