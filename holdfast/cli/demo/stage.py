"""What the scenes of the demo share: the running stack, the target, a sender, and the account that is printed."""

import asyncio
import hashlib
import hmac
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
from rich.console import Console

from holdfast.contracts import names
from holdfast.embedded.servers import binary
from holdfast.embedded.sink import Sink
from holdfast.embedded.stack import EmbeddedStack

WAIT_SECONDS = 40.0  # for anything that must come true; a restarted Temporal takes up to 10 s to be polled again
SECRET = "demo-" + uuid.uuid4().hex


class DemoError(Exception):
    """Something did not happen as promised."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway said to one webhook."""

    status: int
    seconds: float
    headers: httpx.Headers
    body: dict[str, Any]

    @property
    def event_id(self) -> str:
        """The accepted event's id."""
        return str(self.body["id"])


@dataclass
class Stage:
    """The stack, the target, and the ledger of what was accepted."""

    stack: EmbeddedStack
    sink: Sink
    console: Console
    http: httpx.AsyncClient
    accepted: set[str] = field(default_factory=set)
    duplicates: int = 0

    def say(self, text: str) -> None:
        """Print one line of the account."""
        self.console.print(f"   {text}", highlight=False, soft_wrap=True)

    def check(self, holds: bool, text: str) -> None:
        """Print a checked fact. Raises DemoError where it does not hold."""
        if not holds:
            raise DemoError(text)
        self.say(f"[green]✓[/] {text}")

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for something to come true. Raises DemoError after WAIT_SECONDS."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not holds():
            if time.monotonic() > deadline:
                raise DemoError(f"not within {WAIT_SECONDS:.0f} s: {what}")
            await asyncio.sleep(0.05)

    async def post(self, body: bytes, *, delivery: str | None = None, secret: str = SECRET) -> Answer:
        """Send one push event as GitHub would, signed."""
        headers = {
            "content-type": "application/json",
            "user-agent": "GitHub-Hookshot/demo",
            "x-github-event": "push",
            "x-github-delivery": delivery or str(uuid.uuid4()),
            "x-hub-signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        }
        began = time.perf_counter()
        response = await self.http.post(f"{self.stack.gateway_url}/hooks/github", content=body, headers=headers)
        answer = Answer(response.status_code, time.perf_counter() - began, response.headers, response.json())
        if response.is_success:
            self.accepted.add(answer.event_id)
            self.duplicates += bool(answer.body["duplicate"])
        return answer

    async def deliver(self, path: str, **fields: Any) -> Answer:
        """Post an event for `path`, expect 202, and say so."""
        answer = await self.post(push_event(path, **fields))
        self.check(answer.status == 202, f"answered 202 in {answer.seconds * 1_000:.0f} ms: id {answer.event_id}")
        return answer

    async def stored(self) -> int:
        """Count the messages in the stream EVENTS, as the server's monitoring tells it."""
        found = await self.http.get(f"{self.stack.environment['NATS_MONITOR_URL']}/jsz?streams=true&accounts=true")
        streams = [s for account in found.json()["account_details"] for s in account.get("stream_detail", [])]
        return sum(int(s["state"]["messages"]) for s in streams if s["name"] == "EVENTS")

    def link(self, workflow_id: str) -> str:
        """Address of a workflow in the Temporal UI."""
        return f"{self.stack.ui_url}/namespaces/default/workflows/{quote(workflow_id, safe='')}"

    def delivery_id(self, trigger: str, answer: Answer) -> str:
        """Workflow id of the delivery that this answer promises."""
        return f"{trigger}/github/{answer.event_id}"

    def temporal(self, *words: str) -> Any:
        """Run the `temporal` command line as a person would; return what it printed as JSON."""
        printed = _run(binary("temporal"), *words, "--address", self.stack.temporal_address, "--output", "json")
        return json.loads(printed or b"null")

    def holdfast(self, *words: str) -> None:
        """Run the `holdfast` command line as a person would."""
        places = ("--config", str(self.stack.config), "--data-dir", str(self.stack.data_dir))
        _run(sys.executable, "-m", "holdfast.cli.main", *words, *places)

    def workflows(self, query: str) -> list[dict[str, Any]]:
        """List workflows by a visibility query."""
        return self.temporal("workflow", "list", "--query", query) or []

    def status(self, workflow_id: str) -> str:
        """Return COMPLETED, FAILED, RUNNING…, or nothing where visibility does not know it yet."""
        found = self.workflows(f'WorkflowId="{workflow_id}"')
        return str(found[0]["status"]).removeprefix("WORKFLOW_EXECUTION_STATUS_") if found else ""

    async def completed(self, workflow_id: str) -> None:
        """Wait until a workflow is completed, and show its link."""
        await self.until(lambda: self.status(workflow_id) == "COMPLETED", f"{workflow_id} completed")
        self.check(True, f"workflow {workflow_id} is completed")
        self.say(f"  [dim]{self.link(workflow_id)}[/]")

    def deliveries(self, source: str) -> list[dict[str, Any]]:
        """Every EventDelivery of one source."""
        return self.workflows(f'WorkflowType="{names.EVENT_DELIVERY}" AND {names.SA_SOURCE}="{source}"')


def _run(*command: str) -> bytes:
    """Run a command to its end. Raises DemoError with what it said where it fails."""
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)  # noqa: S603 - our own words
    if done.returncode != 0:
        raise DemoError(f"{' '.join(command[:4])}: {done.stderr.decode()[:500]}")
    return done.stdout


def push_event(path: str, **fields: Any) -> bytes:
    """Build a push event shaped like GitHub's, of our own writing; the branch chooses the trigger."""
    after = hashlib.sha256(uuid.uuid4().bytes).hexdigest()[:40]
    event = {
        "ref": f"refs/heads/{path}",
        "before": "0" * 40,
        "after": after,
        "created": False,
        "deleted": False,
        "forced": False,
        "repository": {"id": 1, "name": "ferry", "full_name": "harbour/ferry", "private": False},
        "pusher": {"name": "ada", "email": "ada@harbour.example"},
        "commits": [{"id": after, "message": "Mend the slipway — at last", "added": ["slipway.md"], "removed": []}],
        **fields,
    }
    return json.dumps(event, ensure_ascii=False).encode()
