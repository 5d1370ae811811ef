"""`Custody`: the report that every event is accounted for; started by the schedule `holdfast-custody`, or by hand.

Flow: Temporal Schedule → **custody** → its result, a log line, a metric.
"""

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from holdfast.contracts import names
from holdfast.contracts.custody import CustodyInput, CustodyReport, SourceCount
from holdfast.errors import ErrorCode
from workflows import calls, calls_sweep, policies
from workflows.inputs import NOTHING, Unreadable, read_or_default


@workflow.defn(name=names.CUSTODY, failure_exception_types=policies.FAILURE_TYPES)
class Custody:
    """One report."""

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> CustodyReport:
        """Count once. Fails, `input.invalid`, where the input is none."""
        given = read_or_default(CustodyInput, raw)
        if isinstance(given, Unreadable):
            raise ApplicationError(given.reason, type=ErrorCode.INPUT_INVALID, non_retryable=True)
        report = await calls_sweep.count_custody(given)
        calls.tell(narrated(report))
        return report


def narrated(report: CustodyReport) -> str:
    """Return what the UI shows: a table, and the events that do not add up."""
    lines = [
        "### Every event is accounted for" if report.adds_up else f"### {report.total.unaccounted} events unaccounted",
        "| source | received | delivered | dead-lettered | unmatched | in flight | unaccounted | evicted | unnamed |",
        "|---|---|---|---|---|---|---|---|---|",
        *map(_row, report.sources),
        *(
            f"* `{ref.source}` `{ref.event_id}`, message {ref.sequence} of {ref.stream}: {ref.detail}"
            + (f"; `{ref.remedy}`" if ref.remedy else "")
            for ref in report.unaccounted[:20]
        ),
    ]
    return "\n".join(lines)


def _row(one: SourceCount) -> str:
    return (
        f"| {one.source} | {one.received} | {one.delivered} | {one.dead_lettered} | {one.unmatched} | {one.in_flight}"
        f" | {one.unaccounted} | {one.evicted} | {one.unnamed} |"
    )
