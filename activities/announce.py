"""The activity `announce`: tells the gateway that waits how a delivery ended; nothing depends on it.

Flow: EventDelivery → **announce** → core NATS → `Prefer: wait`.
"""

from dataclasses import dataclass

from temporalio import activity

from holdfast.bus.connect import Bus
from holdfast.bus.news import announce
from holdfast.contracts import names
from holdfast.contracts.news import Ended


@dataclass(frozen=True, slots=True)
class Announcer:
    """Tells news on the worker's connection."""

    bus: Bus

    @activity.defn(name=names.ANNOUNCE)
    async def announce(self, given: Ended) -> None:
        """Tell once; whoever does not hear it is answered 202."""
        await announce(self.bus, given)
