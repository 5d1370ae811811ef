"""`JoinedEvent`: the part of one event in a join, so that it is found by its id and taken once.

Flow: Join → **claim** → the window. It ends at once: its workflow id is the claim, its result says where the event is.
"""

from temporalio import workflow
from temporalio.common import RawValue

from holdfast.contracts import names
from holdfast.contracts.join import JoinedEventInput, JoinedEventResult
from workflows import policies, records
from workflows.escalate import dead_letter, facts
from workflows.inputs import NOTHING, Unreadable, read


@workflow.defn(name=names.JOINED_EVENT, failure_exception_types=policies.FAILURE_TYPES)
class JoinedEvent:
    """One claim. Its workflow id is `{trigger}/{source}/{event id}/{name}`."""

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> JoinedEventResult:
        """Say which join holds the event."""
        given = read(JoinedEventInput, raw)
        if isinstance(given, Unreadable):
            raise await dead_letter(records.of_unreadable(given, facts()))
        parent = workflow.info().parent
        return JoinedEventResult(
            join=given.join, run_id=parent.run_id if parent else "", name=given.name, key=given.key
        )
