"""From the webhook to the target over the running stack: the same bytes, one trace, and every number counted."""

import asyncio
import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from holdfast.embedded.sink import Sink
from holdfast.embedded.stack import EmbeddedStack
from tests.conftest import SHARED, assert_eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SECRET = "whole-path"
CONFIG = """version: 1
sources:
  github:
    verify: {{preset: github, secrets: ["file:secret"]}}
triggers:
  forward:
    on: github
    run: {{http: {{url: "{sink}/events"}}}}
  run:
    on: github
    when: event.type == "deploy"
    run: {{workflow: Deploy, task_queue: deploys, args: [event.data.sha]}}
bus:
  streams:
    events: {{max_bytes: 64MiB}}
    dead_letters: {{max_bytes: 64MiB}}
    unmatched: {{max_bytes: 16MiB}}
"""
OWN = (
    b'{"a": 1,  "b":\t"\xc3\xbc\\u00fc"}\n',
    b'{"big": 12345678901234567890123, "f": 1.10}',
    b'["\\/", "\\ud83d\\ude00"]',
)
"""Bodies whose bytes any re-encoding would change."""


SPANS = ("webhook receive", "event publish", "event dispatch", "StartWorkflow:EventDelivery", "event deliver")


@workflow.defn(name="Deploy")
class Deploy:
    """Stands for the user's own workflow."""

    @workflow.run
    async def run(self, sha: str) -> str:
        """Say what was deployed."""
        return f"deployed {sha}"


@dataclass
class Route:
    """The stack, its target and a client."""

    stack: EmbeddedStack
    sink: Sink
    http: httpx.AsyncClient

    async def post(self, body: bytes, kind: str, **more: str) -> str:
        """Send one signed event; return its id."""
        headers = {
            "content-type": "application/json",
            "x-github-event": kind,
            "x-github-delivery": str(uuid.uuid4()),
            "x-hub-signature-256": "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
            **more,
        }
        response = await self.http.post(f"{self.stack.gateway_url}/hooks/github", content=body, headers=headers)
        assert response.status_code == 202, response.text
        return str(response.json()["id"])


@pytest.fixture
async def path(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Route]:
    """Start the whole stack as `holdfast up` does; the parameter says where spans go."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", getattr(request, "param", "none"))
    sink = Sink()
    await sink.start()
    (tmp_path / "secret").write_text(SECRET)
    config = tmp_path / "holdfast.yaml"
    config.write_text(CONFIG.format(sink=sink.url))
    stack = EmbeddedStack(tmp_path / "data", config)
    try:
        await stack.start()
        async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
            yield Route(stack, sink, http)
    finally:
        await stack.stop()
        await sink.stop()


def payloads() -> list[tuple[str, bytes]]:
    """Our own awkward bodies, and every shared GitHub payload where they lie beside the checkout."""
    shared = sorted((SHARED / "github").glob("*.json"))
    return [("push", body) for body in OWN] + [(file.name.partition(".")[0], file.read_bytes()) for file in shared]


async def test_payloads_come_out_of_temporal_byte_for_byte(path: Route) -> None:
    """What the sender signed is what the workflow holds and what the target receives."""
    sent = {await path.post(body, kind): body for kind, body in payloads()}
    await assert_eventually(lambda: _arrived(path, len(sent)), within=60, why="every event reaches the target")
    for call in path.sink.at("/events"):
        assert call.body_sha256 == hashlib.sha256(sent[call.event_id]).hexdigest()
    client = await Client.connect(path.stack.temporal_address)
    for event_id, body in sent.items():
        assert await _body_in_history(client, f"forward/github/{event_id}") == body


async def _arrived(path: Route, count: int) -> bool:
    return len(path.sink.at("/events")) >= count


async def _body_in_history(client: Client, workflow_id: str) -> bytes:
    """Read the body from the input that Temporal keeps, independently of our own models."""
    async for event in client.get_workflow_handle(workflow_id).fetch_history_events():
        started = event.workflow_execution_started_event_attributes
        envelope: dict[str, Any] = json.loads(started.input.payloads[0].data)["envelope"]
        text = envelope["body"]
        return base64.b64decode(text) if envelope["body_encoding"] == "base64" else text.encode()
    raise AssertionError(f"{workflow_id} has no history")


@pytest.mark.parametrize("path", ["none", "console"], indirect=True)
async def test_one_trace_goes_all_the_way(path: Route, request: pytest.FixtureRequest) -> None:
    """The trace that the sender began is the one that the target is called under, exported or not."""
    trace = uuid.uuid4().hex
    event_id = await path.post(OWN[0], "push", traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    await assert_eventually(lambda: _arrived(path, 1), why="the event reaches the target")
    (call,) = path.sink.at("/events")
    assert call.event_id == event_id
    assert call.traceparent.split("-")[1] == trace
    if request.node.callspec.params["path"] == "console":
        await assert_eventually(lambda: _spans_of(path, trace), why=f"the spans {SPANS} of the trace")


async def _spans_of(path: Route, trace: str) -> bool:
    """Whether gateway and worker have printed every span of one trace."""
    logs = [(path.stack.data_dir / "logs" / f"{name}.log").read_text() for name in ("gateway", "worker")]
    lines = [line for log in logs for line in log.splitlines() if line.startswith("span ") and f"trace={trace}" in line]
    return all(any(line.startswith(f"span {name} ") for line in lines) for name in SPANS)


async def test_a_run_of_the_users_own_is_supervised_and_counted(path: Route) -> None:
    """The user's workflow gets its mapped argument, the delivery completes with its result, the metrics say so."""
    client = await Client.connect(path.stack.temporal_address)
    worker = Worker(client, task_queue="deploys", workflows=[Deploy], workflow_runner=UnsandboxedWorkflowRunner())
    async with worker, asyncio.timeout(60):
        event_id = await path.post(b'{"sha": "abc"}', "deploy")
        await assert_eventually(lambda: _exists(client, f"run/github/{event_id}"), why="the delivery is started")
        result = await client.get_workflow_handle(f"run/github/{event_id}").result()
    assert result["outcome"] == "delivered"
    assert result["result"] == "deployed abc"
    metrics = (await path.http.get(f"{path.stack.worker_ops_url}/metrics")).text
    assert 'holdfast_deliveries_total{outcome="delivered",trigger="run"} 1.0' in metrics
    assert 'holdfast_delivery_end_to_end_duration_seconds_count{trigger="run"} 1.0' in metrics


async def _exists(client: Client, workflow_id: str) -> bool:
    return (await client.count_workflows(f'WorkflowId="{workflow_id}"')).count == 1
