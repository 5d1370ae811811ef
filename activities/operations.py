"""The activities behind an operation over many things: survey it, and do the next slice at its pace.

Flow: BulkOperation | Replay → **survey_operation** → **advance_operation** … A slice that dies is done again from its
last heartbeat; each item knows by its id that it was done.
"""

from dataclasses import dataclass

from temporalio import activity

from activities.boundary import boundary
from activities.bulk import advance_bulk, survey_bulk
from activities.replay import Replays
from activities.slices import Slice
from holdfast.bus.connect import Bus
from holdfast.clock import Clock
from holdfast.contracts import names
from holdfast.contracts.operations import BulkWork, ReplayWork, SliceInput, SliceResult, Survey, SurveyInput
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.file import LoadedConfig
from holdfast.settings.live import LiveConfig


@dataclass(frozen=True, slots=True)
class Operations:
    """Does operations with the worker's own client."""

    bus: Bus
    loaded: LoadedConfig | LiveConfig
    clock: Clock

    @activity.defn(name=names.SURVEY_OPERATION)
    async def survey_operation(self, given: SurveyInput) -> Survey:
        """Count, and take a sample. Fails for good where the selection makes no sense."""
        with boundary():
            match given.work:
                case BulkWork() as work:
                    self._verify(work)
                    return await survey_bulk(work, given.began)
                case ReplayWork() as work:
                    return await Replays(self.bus, self.loaded).survey(work)

    @activity.defn(name=names.ADVANCE_OPERATION)
    async def advance_operation(self, given: SliceInput) -> SliceResult:
        """Do the next items. Fails for good where the selection makes no sense; else it is tried until it is done."""
        with boundary():
            part = Slice.resumed(given, activity.info().heartbeat_details, activity.heartbeat, self.clock)
            match given.work:
                case BulkWork() as work:
                    return await advance_bulk(part, work)
                case ReplayWork() as work:
                    return await Replays(self.bus, self.loaded).advance(part, work)

    def _verify(self, work: BulkWork) -> None:
        if work.trigger is not None and self.loaded.triggers.get(work.trigger) is None:
            known = ", ".join(sorted(self.loaded.config.triggers)) or "none"
            raise RejectedInput(ErrorCode.NOT_FOUND, f"there is no trigger {work.trigger!r}; there are: {known}")
