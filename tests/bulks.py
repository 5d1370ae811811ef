"""Dead letters by the hundred for tests of operations over many: cases on a real Temporal, and a sink that counts."""

import asyncio
from collections import Counter

from temporalio.client import Client

from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.operations import BulkWork, CaseSelection, OperationInput, Progress
from holdfast.domain.actions import DeliverySpec, HttpAction
from holdfast.domain.deadletters import Stage
from holdfast.domain.retry import RetryPolicy
from holdfast.embedded.sink import Sink
from holdfast.temporal import operations
from holdfast.temporal.case_list import CaseFilter, count_cases
from holdfast.temporal.starts import start_case
from tests.conftest import assert_eventually
from tests.durable import RECEIVED, event

ONCE = RetryPolicy(max_attempts=1)


def record(url: str, number: int, *, trigger: str = "gone", source: str = "shop", code: str = "") -> DeadLetterRecord:
    """One delivery that failed; it is redriven as recorded, because its trigger is not configured."""
    envelope = event(f"bulk-{number}", b"%d" % number, source=source)
    action = HttpAction(url=f"{url}/item/{number}")
    return DeadLetterRecord(
        id=f"{trigger}/{source}/bulk-{number}",
        stage=Stage.DELIVERY,
        code=code or "target.refused",
        message="HTTP 410",
        at=RECEIVED,
        source=source,
        event_id=envelope.id,
        event_type=envelope.type,
        trigger=trigger,
        envelope=envelope,
        spec=DeliverySpec(trigger=trigger, trigger_hash="0" * 16, action=action, retry=ONCE),
    )


async def open_cases(client: Client, url: str, numbers: range, **more: str) -> None:
    """Start one case each, and wait until visibility has all of them."""
    wanted = CaseFilter(source=more.get("source", "shop"))
    before = await count_cases(client, wanted)
    for first in range(numbers.start, numbers.stop, 20):
        some = range(first, min(first + 20, numbers.stop))
        await asyncio.gather(*(start_case(client, record(url, number, **more)) for number in some))

    async def listed() -> bool:
        return await count_cases(client, wanted) >= before + len(numbers)

    await assert_eventually(listed, within=60, why="every case is listed")


def redrive_all(source: str = "shop", **more: object) -> OperationInput:
    """Redrive every open case of a source, without asking."""
    work = BulkWork(move="redrive", select=CaseSelection(source=source))
    return OperationInput.model_validate({"work": work, "by": "ana", "confirmed": True, **more})


async def ended(client: Client, name: str, within: float = 120.0) -> Progress:
    """Wait for an operation's end."""
    found: list[Progress] = []

    async def over() -> bool:
        found.append(await operations.show(client, name))
        return found[-1].phase in {"done", "cancelled", "failed", "dry-run"}

    await assert_eventually(over, within=within, why=f"{name} ends")
    return found[-1]


def received(sink: Sink) -> Counter[str]:
    """Count what the sink got, by item."""
    return Counter(call.path for call in sink.calls if call.path.startswith("/item/"))
