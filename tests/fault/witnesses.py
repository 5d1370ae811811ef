"""Reading the witnesses after everything has come to rest: Temporal, the dead-letter stream and the sink's log."""

import base64
import json
from collections import defaultdict
from pathlib import Path

from temporalio.client import Client, WorkflowExecutionStatus

from holdfast.bus.connect import Bus
from holdfast.bus.lookup import find_dead_letters
from holdfast.contracts import names
from tests.fault.ledger import Witnesses

DELIVERIES = f'WorkflowType="{names.EVENT_DELIVERY}"'


async def running(client: Client) -> int:
    """How many deliveries are still under way."""
    return (await client.count_workflows(f'{DELIVERIES} AND ExecutionStatus="Running"')).count


async def closed(client: Client) -> int:
    """How many deliveries have ended."""
    return (await client.count_workflows(f'{DELIVERIES} AND ExecutionStatus!="Running"')).count


async def read_witnesses(client: Client, bus: Bus, sink_log: Path) -> Witnesses:
    """Everything the other side can say about the events."""
    completed: dict[str, str] = {}
    failed: dict[str, str] = {}
    first_runs: defaultdict[str, set[str]] = defaultdict(set)
    async for flow in client.list_workflows(DELIVERIES):
        event = flow.id.rsplit("/", 1)[-1]
        first_runs[flow.id].add(flow.run_id)
        (completed if flow.status is WorkflowExecutionStatus.COMPLETED else failed)[event] = flow.id
    dead: defaultdict[str, list[bytes]] = defaultdict(list)
    async for letter in find_dead_letters(bus):
        envelope = letter.record.envelope
        dead[letter.record.event_id].append(
            envelope.raw_body if envelope else base64.b64decode(letter.record.raw_base64 or "")
        )
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for line in sink_log.read_text().splitlines():  # noqa: ASYNC240 - nothing else runs by then
        call = json.loads(line)
        if call["status"] < 300:
            keys[call["body_sha256"]].add(call["key"])
    return Witnesses(completed, failed, {k: len(v) for k, v in first_runs.items()}, dict(dead), dict(keys))
