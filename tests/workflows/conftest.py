"""Time-skipping Temporal for the tests of workflows: hours of retries pass in no time."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from holdfast.contracts import names
from holdfast.embedded.servers import binary
from tests import buses, durable
from tests.servers import NatsServer

CONFIG = """
version: 1
sources: {shop: {dangerous_unverified: true}}
triggers:
  bill: {on: shop, run: {log: {message: event.type}}}
  picky: {on: shop, when: "event.data.n > 5", run: {log: {message: event.type}}}
"""


@contextlib.asynccontextmanager
async def registered(client: Client) -> AsyncIterator[None]:
    """Register the search attributes, as the embedded server does on its command line."""
    kinds = dict.fromkeys(names.SEARCH_ATTRIBUTES, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD)
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace=client.namespace, search_attributes=kinds)
    )
    yield


@pytest.fixture
async def stack(tmp_path: Path, nats_server: NatsServer) -> AsyncIterator[durable.Stack]:
    """A worker on a Temporal whose clock jumps over every wait."""
    async with (
        await WorkflowEnvironment.start_time_skipping(
            test_server_existing_path=binary("temporal-test-server"), data_converter=pydantic_data_converter
        ) as env,
        registered(env.client),
        buses.connected(nats_server) as bus,
        durable.stack(env.client, bus, durable.config(tmp_path, CONFIG), {"TOKEN": "s3cret-token"}) as running,
    ):
        running.skipping = env.time_skipping_unlocked  # type: ignore[attr-defined]
        yield running
