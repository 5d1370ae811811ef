"""A worker on a real Temporal and a real NATS, with a scripted HTTP target, for tests of workflows and activities."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RawValue, SearchAttributeKey, WorkflowIDReusePolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities.http import new_client
from activities.registry import build
from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.streams import DEAD_LETTERS
from holdfast.contracts import names
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.delivery import DeliveryInput
from holdfast.domain.actions import Action, DeliverySpec, HttpAction
from holdfast.domain.events import Envelope, pack_body
from holdfast.domain.retry import RetryPolicy
from holdfast.domain.triggers import DeadLetterConfig
from holdfast.embedded.sink import Sink
from holdfast.settings.file import LoadedConfig, load_config
from holdfast.settings.secrets import Secrets
from holdfast.telemetry.metrics import Metrics
from tests.conftest import assert_eventually
from workers.replayer import WorkflowOptions

RECEIVED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
QUICK = RetryPolicy(max_attempts=4, initial=timedelta(seconds=1), jitter=0.0)


def event(event_id: str = "e-1", body: bytes = b'{"n": 1}', **more: Any) -> Envelope:
    """One accepted webhook."""
    encoding, text = pack_body(body)
    return Envelope(
        id=event_id,
        source=more.pop("source", "shop"),
        type=more.pop("type", "order.created"),
        time=RECEIVED,
        received_at=RECEIVED,
        datacontenttype=more.pop("datacontenttype", "application/json"),
        body_encoding=encoding,
        body=text,
        body_sha256=ids.sha256_hex(body),
        **more,
    )


def delivery(action: Action, *, retry: RetryPolicy = QUICK, event_id: str = "e-1", **more: Any) -> DeliveryInput:
    """One delivery of trigger `bill`."""
    spec = DeliverySpec(
        trigger=more.pop("trigger", "bill"),
        trigger_hash="0" * 16,
        action=action,
        retry=retry,
        dead_letter=DeadLetterConfig(expire_after=more.pop("expire_after", timedelta(days=90))),
    )
    return DeliveryInput(envelope=event(event_id, more.pop("body", b'{"n": 1}'), **more), spec=spec)


@dataclass
class Stack:
    """Everything a test of a workflow needs."""

    client: Client
    bus: Bus
    sink: Sink
    metrics: Metrics
    skipping: Callable[[], contextlib.AbstractAsyncContextManager[None]] = contextlib.nullcontext  # lets the clock jump

    def post(self, path: str = "/", **more: Any) -> HttpAction:
        """An action that calls the scripted target."""
        return HttpAction(url=self.sink.url + path, **more)

    async def start(self, kind: str, given: Any, workflow_id: str, **more: Any) -> WorkflowHandle[Any, Any]:
        """Start a workflow as the dispatcher does; a list stands for several arguments."""
        return await self.client.start_workflow(
            kind,
            args=given if isinstance(given, list) else [given],
            id=workflow_id,
            task_queue=names.TASK_QUEUE,
            task_timeout=timedelta(seconds=30),
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            **more,
        )

    async def deliver(self, given: DeliveryInput, workflow_id: str) -> Any:
        """Run one delivery to its end."""
        handle = await self.start(names.EVENT_DELIVERY, given, workflow_id)
        return await handle.result()

    async def dead_letters(self) -> list[DeadLetterRecord]:
        """Read every dead letter in the stream."""
        info = await self.bus.jetstream.stream_info(DEAD_LETTERS)
        found = []
        for sequence in range(max(info.state.first_seq, 1), info.state.last_seq + 1):
            message = await self.bus.jetstream.get_msg(DEAD_LETTERS, sequence)
            found.append(DeadLetterRecord.model_validate_json(message.data or b""))
        return found


async def failure(handle: WorkflowHandle[Any, Any]) -> ApplicationError:
    """Await a run that must fail, and return its failure."""
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    assert isinstance(caught.value.cause, ApplicationError), repr(caught.value.cause)
    return caught.value.cause


async def kinds(handle: WorkflowHandle[Any, Any]) -> list[str]:
    """Name the events of a run's history, in order."""
    return [
        (event.WhichOneof("attributes") or "").removesuffix("_event_attributes")
        async for event in handle.fetch_history_events()
    ]


def config(directory: Path, text: str = "version: 1\n") -> LoadedConfig:
    """Load a configuration."""
    file = directory / "holdfast.yaml"
    file.write_text(text)
    return load_config(file)


@contextlib.asynccontextmanager
async def stack(
    client: Client,
    bus: Bus,
    loaded: LoadedConfig,
    env: Mapping[str, str],
    instead: Mapping[str, Callable[..., Any]] | None = None,
) -> AsyncIterator[Stack]:
    """Run a worker and a target; `instead` replaces activities by name."""
    sink, metrics, options = Sink(), Metrics(), WorkflowOptions()
    await sink.start()
    async with new_client() as http:
        built = build(bus, loaded, Secrets(loaded.file.parent, env), metrics, http)
        replaced = instead or {}
        activities = [one for one in built if _name(one) not in replaced] + list(replaced.values())
        async with Worker(
            client,
            task_queue=names.TASK_QUEUE,
            workflows=options.workflows,
            workflow_runner=options.workflow_runner,
            workflow_failure_exception_types=options.workflow_failure_exception_types,
            activities=activities,
        ):
            yield Stack(client, bus, sink, metrics)
    await sink.stop()


def _name(defined: Callable[..., Any]) -> str:
    return str(getattr(defined, "__temporal_activity_definition").name)


async def connect(address: str) -> Client:
    """Connect as the worker does."""
    return await Client.connect(address, data_converter=pydantic_data_converter)


def raw(encoding: str, data: bytes) -> RawValue:
    """A payload exactly so."""
    from temporalio.api.common.v1 import Payload

    return RawValue(Payload(metadata={"encoding": encoding.encode()}, data=data))


def as_json(model: BaseModel) -> Any:
    """A model as the JSON that another language would send."""
    return json.loads(model.model_dump_json())


async def until_state(handle: WorkflowHandle[Any, Any], kind: str) -> None:
    """Wait until the run's history has an event of a kind."""

    async def there() -> bool:
        return kind in await kinds(handle)

    await assert_eventually(there, why=f"{kind} in the history of {handle.id}")


def keyword(name: str) -> SearchAttributeKey[str]:
    """The key of a search attribute."""
    return SearchAttributeKey.for_keyword(name)
