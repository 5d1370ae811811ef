"""The activities of the watch over a trigger's cases: enter a case, and look what was delivered since.

Flow: DeadLetter → **watch_trigger** → CaseWatch → **look_at_trigger** → signal `recovered` | `superseded` → DeadLetter.
"""

from dataclasses import dataclass

from temporalio import activity

from activities.boundary import boundary
from holdfast.contracts import names
from holdfast.contracts.case_watch import LookInput, LookResult, WatchTriggerInput
from holdfast.temporal.case_watch import enter, look


@dataclass(frozen=True, slots=True)
class Watches:
    """Asks Temporal, with the worker's own client."""

    @activity.defn(name=names.WATCH_TRIGGER)
    async def watch_trigger(self, given: WatchTriggerInput) -> None:
        """Enter a case into its trigger's watch, which is started where it does not run. Tried until it is."""
        with boundary(never_give_up=True):
            await enter(activity.client(), given)

    @activity.defn(name=names.LOOK_AT_TRIGGER)
    async def look_at_trigger(self, given: LookInput) -> LookResult:
        """Look once, and tell the cases. Tried until Temporal answers; telling a case twice changes nothing."""
        with boundary(never_give_up=True):
            return await look(activity.client(), given, activity.heartbeat)
