"""Which of many workflow ids exist, by one visibility query."""

from collections.abc import Sequence

from temporalio.client import Client

from holdfast.temporal.case_list import quoted
from holdfast.temporal.run_list import runs


async def known_ids(client: Client, wanted: Sequence[str]) -> set[str]:
    """Return those that visibility has, which lags by a moment: one that is missing may exist. Raises Unavailable."""
    if not wanted:
        return set()
    query = f"WorkflowId IN ({', '.join(map(quoted, wanted))})"
    return {run.workflow_id async for run in runs(client, query)}
