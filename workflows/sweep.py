"""`Sweep`: one look for what fell through; started by the schedule `holdfast-sweep`, by `holdfast sweep`, or by hand.

Flow: Temporal Schedule → **sweep** → dead letters and alerts. Its result names what was found.
"""

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from holdfast.contracts import names
from holdfast.contracts.sweeping import PARTS, SweepInput, SweepPartInput, SweepResult
from holdfast.errors import ErrorCode
from workflows import calls, calls_sweep, policies
from workflows.inputs import NOTHING, Unreadable, read_or_default


@workflow.defn(name=names.SWEEP, failure_exception_types=policies.FAILURE_TYPES)
class Sweep:
    """One sweep."""

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> SweepResult:
        """Look at everything once. Fails, `input.invalid`, where the input is none."""
        given = read_or_default(SweepInput, raw)
        if isinstance(given, Unreadable):
            raise ApplicationError(given.reason, type=ErrorCode.INPUT_INVALID, non_retryable=True)
        window = await calls_sweep.plan_sweep(given)
        parts = [await calls_sweep.sweep_part(SweepPartInput(part=part, window=window)) for part in PARTS]
        result = SweepResult(
            window=window,
            examined=sum(part.examined for part in parts),
            found=sum(part.found for part in parts),
            findings=tuple(finding for part in parts for finding in part.findings),
        )
        calls.tell(narrated(result))
        await calls_sweep.tell_sweep(result)
        return result


def narrated(result: SweepResult) -> str:
    """Return what the UI shows: one line per finding."""
    if not result.findings:
        return f"### Nothing fell through\n{result.examined} looked at since {result.window.since.isoformat()}"
    lines = [
        f"* **{one.kind}** → {one.answer}: `{one.workflow_id or one.event_id or one.sequence or ''}` "
        + one.detail.replace("`", "'").replace("\n", " ")
        for one in result.findings[:20]
    ]
    return "\n".join([f"### {result.found} found", *lines])
