"""How a schedule's ticks have ended, counted where it is durable: in Temporal's visibility.

Flow: publish_tick → stop → **tick_outcomes**. A tick failed when its run did, or when a delivery of its event was given
up; both for as long as Temporal keeps runs.
"""

from dataclasses import dataclass
from datetime import datetime

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey

from holdfast.clock import rfc3339
from holdfast.contracts import names
from holdfast.contracts.scheduled import tick_event_id
from holdfast.temporal.connect import bounded_call

MAX_READ = 1_000  # ticks and failed deliveries looked at, the newest
_DUE = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
_EVENT = SearchAttributeKey.for_keyword(names.SA_EVENT_ID)


@dataclass(frozen=True, slots=True)
class TickOutcomes:
    """Counts of ended ticks; `failed_in_a_row` are the newest ones."""

    failed: int
    succeeded: int
    failed_in_a_row: int


async def tick_outcomes(client: Client, schedule_id: str, source: str, since: datetime) -> TickOutcomes:
    """Count the ticks that ended after `since`. Raises Unavailable."""
    after = rfc3339(since)
    given_up = await bounded_call(_given_up(client, source, after))
    ticks = await bounded_call(_ticks(client, schedule_id, after))
    failed = {event_id for event_id, ended_well in ticks.items() if not ended_well or event_id in given_up}
    row = 0
    for event_id in sorted(ticks, reverse=True):
        if event_id not in failed:
            break
        row += 1
    return TickOutcomes(len(failed), len(ticks) - len(failed), row)


async def _given_up(client: Client, source: str, after: str) -> set[str]:
    query = (
        f"WorkflowType = '{names.EVENT_DELIVERY}' AND {names.SA_SOURCE} = '{quoted(source)}'"
        f" AND {names.SA_STATE} = '{names.STATE_DEAD_LETTERED}' AND StartTime > '{after}'"
    )
    return {run.typed_search_attributes.get(_EVENT) or "" async for run in client.list_workflows(query, limit=MAX_READ)}


async def _ticks(client: Client, schedule_id: str, after: str) -> dict[str, bool]:
    query = (
        f"WorkflowType = '{names.SCHEDULED_EVENT}' AND TemporalScheduledById = '{quoted(schedule_id)}'"
        f" AND ExecutionStatus != 'Running' AND StartTime > '{after}'"
    )
    found: dict[str, bool] = {}
    async for run in client.list_workflows(query, limit=MAX_READ):
        event_id = tick_event_id(run.typed_search_attributes.get(_DUE) or run.start_time)
        found[event_id] = found.get(event_id, False) or run.status == WorkflowExecutionStatus.COMPLETED
    return found


def quoted(text: str) -> str:
    """`text` as it stands between single quotes in a query."""
    return text.replace("\\", "\\\\").replace("'", "''")
