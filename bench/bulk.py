"""Twenty thousand dead letters against one thousand in the same run: list, filter, dry run; seconds and memory.

The cases lie on a task queue that nobody polls: visibility has them as it has every other, and the worker's memory is
that of the operation, not of 20,000 first steps.
"""

import asyncio
import os
import subprocess
import sys
import time
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.contrib.pydantic import pydantic_data_converter

from bench.stack import resident, running
from holdfast import ids
from holdfast.contracts import names
from holdfast.embedded.stack import EmbeddedStack
from holdfast.temporal.case_list import CaseFilter, count_cases
from holdfast.temporal.namespace import ensure_namespace

FEW, MANY = 1_000, 20_000
TOGETHER = 64
WHERE = 'case.error == "target.timeout" && case.event_id.endsWith("7")'
COMMANDS = {
    "list": ("list", "--limit", "1000000", "--json"),
    "filter": ("list", "--where", WHERE, "--limit", "1000000", "--json"),
    "dry run": ("redrive", "--where", WHERE, "--dry-run", "--json"),
}
Row = tuple[str, str, str, str]


async def bulk() -> list[Row]:
    """Measure both numbers of dead letters on one stack."""
    async with running("http://127.0.0.1:9", "nats", "temporal", "worker") as stack:
        client = await Client.connect(stack.temporal_address, data_converter=pydantic_data_converter)
        await ensure_namespace(client, timedelta(days=7))
        await _fill(client, 0, FEW)
        few = await _measure(stack, f"few-{FEW}")
        await _fill(client, FEW, MANY)
        many = await _measure(stack, f"many-{MANY}")
    return [
        (
            f"{name}, {MANY} dead letters",
            f"{many[name][0]:.1f} s, CLI {many[name][1]:.0f} MiB, worker {many[name][2]:.0f} MiB",
            f"{FEW}: {few[name][0]:.1f} s, CLI {few[name][1]:.0f} MiB, worker {few[name][2]:.0f} MiB",
            f"{many[name][1] / few[name][1]:.2f} CLI memory, {many[name][2] / few[name][2]:.2f} worker",
        )
        for name in COMMANDS
    ]


async def _measure(stack: EmbeddedStack, tag: str) -> dict[str, tuple[float, float, float]]:
    found = {}
    for name, words in COMMANDS.items():
        more = ("--id", tag) if name == "dry run" else ()
        seconds, peak = await asyncio.to_thread(_command, stack, (*words, *more))
        found[name] = (seconds, peak, resident(stack.pid("worker") or 0))
    return found


def _command(stack: EmbeddedStack, words: tuple[str, ...]) -> tuple[float, float]:
    """Run a command; return its seconds and its peak memory in MiB."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "holdfast.cli.main", "dead-letters", *words],
        env={**os.environ, "HOLDFAST_DATA_DIR": str(stack.data_dir)},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"dead-letters {words[0]} ended with {process.returncode}")
    return time.monotonic() - began, usage.ru_maxrss / 1024


async def _fill(client: Client, first: int, last: int) -> None:
    gate = asyncio.Semaphore(TOGETHER)

    async def one(number: int) -> None:
        async with gate:
            await client.start_workflow(
                names.DEAD_LETTER,
                id=ids.case_id(f"bench/shop/{number}"),
                task_queue="nobody",
                search_attributes=_attributes(number),
            )

    for start in range(first, last, 1_000):
        await asyncio.gather(*(one(number) for number in range(start, min(start + 1_000, last))))
    for _ in range(600):
        if await count_cases(client, CaseFilter()) >= last:
            return
        await asyncio.sleep(0.2)
    raise TimeoutError("visibility does not have every case")


def _attributes(number: int) -> TypedSearchAttributes:
    values = {
        names.SA_SOURCE: "shop",
        names.SA_EVENT_ID: f"e-{number}",
        names.SA_EVENT_TYPE: "order.created",
        names.SA_TRIGGER: "bench",
        names.SA_STATE: "open",
        names.SA_ERROR: "target.timeout" if number % 2 else "target.refused",
    }
    return TypedSearchAttributes(
        [SearchAttributePair(SearchAttributeKey.for_keyword(name), value) for name, value in values.items()]
    )
