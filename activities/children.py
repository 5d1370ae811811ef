"""Looking at the user's own workflows: has the run begun, and what keeps it; and ending one that cannot.

Flow: EventDelivery → **inspect_child** → leave it, or **terminate_child** → dead letter.
"""

from dataclasses import dataclass

from temporalio import activity

from activities.boundary import boundary
from holdfast.contracts import names
from holdfast.contracts.delivery import InspectChildInput, InspectChildResult, TerminateChildInput
from holdfast.temporal.children import inspect, terminate


@dataclass(frozen=True, slots=True)
class Children:
    """Asks Temporal, with the worker's own client."""

    @activity.defn(name=names.INSPECT_CHILD)
    async def inspect_child(self, given: InspectChildInput) -> InspectChildResult:
        """Look at one run. Tried until Temporal answers."""
        with boundary(never_give_up=True):
            return await inspect(activity.client(), given.workflow_id)

    @activity.defn(name=names.TERMINATE_CHILD)
    async def terminate_child(self, given: TerminateChildInput) -> None:
        """Terminate one run; one that is closed or gone already is as wished."""
        with boundary(never_give_up=True):
            await terminate(activity.client(), given.workflow_id, given.reason)
