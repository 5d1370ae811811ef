"""`BulkOperation`: one move for thousands of cases, each once, at a pace; and `Replay`: the same for stored events.

Flow: CLI | API | temporal → **operation** → slices. Updates confirm, pause, resume, cancel; query `progress`.
"""

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from holdfast.contracts import names
from holdfast.contracts.operations import BulkWork, OperationInput, Progress, ReplayWork, SteerInput
from holdfast.errors import ErrorCode
from workflows import policies
from workflows.escalate import facts
from workflows.inputs import NOTHING, Unreadable, read
from workflows.moves import given_as
from workflows.operation import Operation


class Steered:
    """What both have: the operation, its Updates and its query."""

    _operation: Operation | None
    _why: str

    def _begin(self, raw: RawValue, kind: type[BulkWork] | type[ReplayWork]) -> None:
        given = read(OperationInput, raw)
        self._operation, self._why = None, ""
        if isinstance(given, Unreadable):
            self._why = given.reason
        elif not isinstance(given.work, kind):
            self._why = f"the work is of kind {given.work.kind}"
        else:
            self._operation = Operation.of(given, facts().at)

    @property
    def _known(self) -> Operation:
        if self._operation is None:
            raise ApplicationError(self._why, type=ErrorCode.INPUT_INVALID, non_retryable=True)
        return self._operation

    def _steer(self, what: str, raw: RawValue) -> Progress:
        return self._known.steer(what, given_as(SteerInput, raw))

    def _may(self, what: str, raw: RawValue) -> None:
        given_as(SteerInput, raw)
        self._known.check(what)

    @workflow.query(name=names.PROGRESS)
    def progress(self) -> Progress:
        """Say where it is."""
        return self._known.progress()

    @workflow.update(name=names.CONFIRM)
    async def confirm(self, raw: RawValue = NOTHING) -> Progress:
        """Go ahead with what was counted."""
        return self._steer(names.CONFIRM, raw)

    @confirm.validator
    def _may_confirm(self, raw: RawValue = NOTHING) -> None:
        self._may(names.CONFIRM, raw)

    @workflow.update(name=names.PAUSE)
    async def pause(self, raw: RawValue = NOTHING) -> Progress:
        """Do nothing more until `resume`."""
        return self._steer(names.PAUSE, raw)

    @pause.validator
    def _may_pause(self, raw: RawValue = NOTHING) -> None:
        self._may(names.PAUSE, raw)

    @workflow.update(name=names.RESUME)
    async def resume(self, raw: RawValue = NOTHING) -> Progress:
        """Go on."""
        return self._steer(names.RESUME, raw)

    @resume.validator
    def _may_resume(self, raw: RawValue = NOTHING) -> None:
        self._may(names.RESUME, raw)

    @workflow.update(name=names.CANCEL)
    async def cancel(self, raw: RawValue = NOTHING) -> Progress:
        """End it; what was done stays done."""
        return self._steer(names.CANCEL, raw)

    @cancel.validator
    def _may_cancel(self, raw: RawValue = NOTHING) -> None:
        self._may(names.CANCEL, raw)


@workflow.defn(name=names.BULK_OPERATION, failure_exception_types=policies.FAILURE_TYPES)
class BulkOperation(Steered):
    """One move for every case of a selection. Its workflow id is `operation/{name}`."""

    @workflow.init
    def __init__(self, raw: RawValue = NOTHING) -> None:
        self._begin(raw, BulkWork)

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> Progress:  # noqa: ARG002 - read by __init__, before any Update
        """Survey, wait for the word, do each case once; the result is the last progress."""
        return await self._known.run()


@workflow.defn(name=names.REPLAY, failure_exception_types=policies.FAILURE_TYPES)
class Replay(Steered):
    """Events of the past, delivered under new identities. Its workflow id is `operation/{name}`."""

    @workflow.init
    def __init__(self, raw: RawValue = NOTHING) -> None:
        self._begin(raw, ReplayWork)

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> Progress:  # noqa: ARG002 - read by __init__, before any Update
        """Survey, wait for the word, deliver each event once; the result is the last progress."""
        return await self._known.run()
