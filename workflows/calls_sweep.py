"""The commands of the sweeper and of the custody report, apart from those of events and cases; nothing here decides."""

import contextlib
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError

from holdfast.contracts import names
from holdfast.contracts.custody import CustodyInput, CustodyReport
from holdfast.contracts.sweeping import PartResult, SweepInput, SweepPartInput, SweepResult, SweepWindow
from workflows import policies

Result = TypeVar("Result")


async def plan_sweep(given: SweepInput) -> SweepWindow:
    """Work out from when on to look."""
    window: SweepWindow = await workflow.execute_activity(
        names.PLAN_SWEEP,
        given,
        result_type=SweepWindow,
        start_to_close_timeout=policies.SMALL_CALL,
        retry_policy=policies.FOR_EVER,
    )
    return window


async def sweep_part(given: SweepPartInput) -> PartResult:
    """Look at one part of what may have fallen through."""
    return await _long(names.SWEEP_PART, given, PartResult, given.part)


async def tell_sweep(given: SweepResult) -> None:
    """Log and count what was found; told once, for an alert that is told twice is only noise."""
    with contextlib.suppress(FailureError):
        await workflow.execute_local_activity(
            names.TELL_SWEEP, given, start_to_close_timeout=policies.SMALL_CALL, retry_policy=policies.ONCE
        )


async def count_custody(given: CustodyInput) -> CustodyReport:
    """Count one period."""
    return await _long(names.COUNT_CUSTODY, given, CustodyReport, "count")


async def _long(activity: str, given: Any, result: type[Result], summary: str) -> Result:
    done: Result = await workflow.execute_activity(
        activity,
        given,
        result_type=result,
        start_to_close_timeout=policies.LONGEST_LOOK,
        heartbeat_timeout=policies.SWEEP_HEARTBEAT,
        retry_policy=policies.FOR_EVER,
        summary=summary,
    )
    return done
