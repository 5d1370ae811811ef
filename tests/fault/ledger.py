"""An independent ledger: what the client sent and was told, checked against Temporal, the dead letters and the sink.

The client's log is fsynced before a request leaves and after its answer is in, so it is true whatever dies.
"""

import asyncio
import hashlib
import hmac
import json
import os
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx

from tests.conftest import assert_eventually

SECRET = "kill-test-secret"
ANSWER_SECONDS = 10.0  # what the client waits for one answer; the gateway promises 2.5 s


@dataclass(frozen=True, slots=True)
class Sent:
    """One event as the client knows it."""

    delivery: str
    body: bytes

    @property
    def event_id(self) -> str:
        """The identity that the gateway gives it: the delivery id and the body's hash."""
        return f"{self.delivery}.{hashlib.sha256(self.body).hexdigest()[:32]}"


def make_event(number: int, *, refused: bool) -> Sent:
    """An event of our own; `refused` ones go to a target that answers 410."""
    body = json.dumps({"number": number, "refused": refused, "pad": "x" * 200}).encode()
    return Sent(str(uuid.uuid4()), body)


@dataclass
class LedgerClient:
    """Sends events until each is answered 2xx, as a stubborn sender would, and writes down everything."""

    url: str
    log: Path
    acked: set[str] = field(default_factory=set)
    sent: dict[str, Sent] = field(default_factory=dict)
    answers: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))  # status (0: none) → count
    duplicates: int = 0
    spooled: int = 0  # answered out of the gateway's outbox

    async def send_all(self, events: Iterable[Sent], *, at_once: int, deadline: float) -> None:
        """Send everything, `at_once` requests in flight, each retried until 2xx or `deadline` seconds have passed."""
        gate = asyncio.Semaphore(at_once)
        limits = httpx.Limits(max_connections=at_once)
        fd = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            async with asyncio.timeout(deadline), httpx.AsyncClient(timeout=ANSWER_SECONDS, limits=limits) as http:

                async def one(event: Sent) -> None:
                    async with gate:
                        await assert_eventually(lambda: self._post(http, event, fd), within=deadline)

                await asyncio.gather(*(one(event) for event in events))
        finally:
            os.close(fd)

    async def send_until(self, stop: asyncio.Event, events: Iterator[Sent], *, rate: float, deadline: float) -> None:
        """Send `rate` events a second until `stop`, each retried until 2xx; `deadline` seconds in all."""
        fd = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            async with asyncio.timeout(deadline), httpx.AsyncClient(timeout=ANSWER_SECONDS) as http:
                stopped, sending = asyncio.create_task(stop.wait()), []
                while not stopped.done():
                    post = partial(self._post, http, next(events), fd)
                    sending.append(asyncio.create_task(assert_eventually(post, within=deadline)))
                    await asyncio.wait({stopped}, timeout=1 / rate)
                await asyncio.gather(*sending)
        finally:
            os.close(fd)

    async def _post(self, http: httpx.AsyncClient, event: Sent, fd: int) -> bool:
        self.sent[event.event_id] = event
        self._write(fd, {"sending": event.event_id})
        signature = hmac.new(SECRET.encode(), event.body, hashlib.sha256).hexdigest()
        headers = {
            "content-type": "application/json",
            "x-github-delivery": event.delivery,
            "x-github-event": "push",
            "x-hub-signature-256": f"sha256={signature}",
        }
        try:
            response = await http.post(self.url, content=event.body, headers=headers)
        except httpx.HTTPError as error:
            self._write(fd, {"unknown": event.event_id, "why": type(error).__name__})
            self.answers[0] += 1
            return False
        self._write(fd, {"answered": event.event_id, "status": response.status_code})
        self.answers[response.status_code] += 1
        if response.is_success:
            self.acked.add(event.event_id)
            self.duplicates += bool(response.json()["duplicate"])
            self.spooled += bool(response.json().get("spooled"))
        return response.is_success

    def _write(self, fd: int, line: dict[str, object]) -> None:
        os.write(fd, json.dumps(line).encode() + b"\n")
        os.fsync(fd)


@dataclass(frozen=True, slots=True)
class Witnesses:
    """What the other side says, read after everything has come to rest."""

    completed: dict[str, str]  # event id → workflow id, of EventDelivery that completed
    failed: dict[str, str]  # … that failed
    runs: dict[str, int]  # workflow id → number of distinct first runs
    dead: dict[str, list[bytes]]  # event id → bodies of its dead letters
    keys: dict[str, set[str]]  # body hash → idempotency keys the sink has seen with 2xx answers


def verify(client: LedgerClient, seen: Witnesses) -> None:
    """Every event answered 2xx is delivered or dead-lettered, in exactly one workflow; nothing came from nowhere."""
    delivered, dead = set(seen.completed), set(seen.dead)
    missing = client.acked - (delivered | dead)
    assert not missing, f"lost: {sorted(missing)[:5]} and {len(missing)} in all"
    assert not delivered & dead, f"two outcomes: {sorted(delivered & dead)[:5]}"
    assert delivered | dead <= set(client.sent), "events that nobody sent"
    assert set(seen.failed) == dead, "a delivery failed without a dead letter, or the other way round"
    assert all(runs == 1 for runs in seen.runs.values()), "one event ran in two workflows"
    assert all(len(bodies) == 1 for bodies in seen.dead.values()), "two dead letters for one delivery"
    assert all(bodies[0] == client.sent[event].body for event, bodies in seen.dead.items()), "a dead letter changed"
    for event in delivered:
        body_hash = hashlib.sha256(client.sent[event].body).hexdigest()
        assert seen.keys.get(body_hash) == {seen.completed[event]}, f"{event} did not reach the sink under one key"
