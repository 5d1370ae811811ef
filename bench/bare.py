"""The baselines of a delivery: the bare SDK with an equal workflow, and the naive design with one regular activity.

A process of its own, as the worker is: `python -m bench.bare ADDRESS URL COUNT AT_ONCE bare|naive` prints a rate.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import uvloop
from temporalio import activity
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from bench.flows import BareLocal, NaiveRegular
from holdfast.contracts import names
from workers.sandbox import sandbox

QUEUE = "bench-bare"


class Post:
    """The same outbound call as a delivery makes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx.AsyncClient(trust_env=False)

    @activity.defn(name="bench_post")
    async def post(self, body: str) -> int:
        """POST the body and return the status."""
        key = activity.info().workflow_id or ""
        return (await self._http.post(self._url, content=body, headers={"idempotency-key": key})).status_code


def _attributes(number: int) -> TypedSearchAttributes:
    values = {
        names.SA_SOURCE: "bench",
        names.SA_EVENT_ID: f"event-{number}",
        names.SA_EVENT_TYPE: "push",
        names.SA_TRIGGER: "bench",
    }
    return TypedSearchAttributes([SearchAttributePair(SearchAttributeKey.for_keyword(k), v) for k, v in values.items()])


async def rate(address: str, url: str, count: int, at_once: int, *, naive: bool) -> float:
    """Start and complete `count` workflows, `at_once` in flight; return workflows per second."""
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    flow: Callable[..., Coroutine[Any, Any, int]] = NaiveRegular.run if naive else BareLocal.run
    body = "x" * 1_024
    gate = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with gate:
            handle = await client.start_workflow(
                flow,
                body,
                id=f"bench/{'naive' if naive else 'bare'}/{number}/{time.time_ns()}",
                task_queue=QUEUE,
                request_eager_start=not naive,
                search_attributes=_attributes(number),
                static_summary="bench",
            )
            await handle.result()

    worker = Worker(
        client,
        task_queue=QUEUE,
        workflows=[BareLocal, NaiveRegular],
        activities=[Post(url).post],
        workflow_runner=sandbox(),
    )
    async with worker:
        await asyncio.gather(*(one(-n) for n in range(1, 51)))  # warm
        began = time.perf_counter()
        await asyncio.gather(*(one(n) for n in range(count)))
        return count / (time.perf_counter() - began)


if __name__ == "__main__":
    to, target, how_many, in_flight, kind = sys.argv[1:]
    print(uvloop.run(rate(to, target, int(how_many), int(in_flight), naive=kind == "naive")))
