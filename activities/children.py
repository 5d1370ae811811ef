"""Looking at the user's own workflows: has the run begun, and what keeps it; and ending one that cannot.

Flow: EventDelivery → **inspect_child** → **terminate_child** → dead letter; or, at a good end, → **count_run**.
"""

from dataclasses import dataclass

from temporalio import activity

from activities.boundary import boundary
from holdfast.clock import Clock
from holdfast.contracts import names
from holdfast.contracts.delivery import CountRunInput, InspectChildInput, InspectChildResult, TerminateChildInput
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal.children import inspect, terminate


@dataclass(frozen=True, slots=True)
class Children:
    """Asks Temporal, with the worker's own client."""

    metrics: Metrics
    clock: Clock

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

    @activity.defn(name=names.COUNT_RUN)
    async def count_run(self, given: CountRunInput) -> None:
        """Count a delivery that a run of the user's own made, as `deliver` counts the others."""
        self.metrics.delivered(given.trigger, (self.clock.now() - given.received_at).total_seconds())
