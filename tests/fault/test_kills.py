"""SIGKILL of every process, alone and together, with events in flight: nothing answered 2xx is lost or doubled."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from temporalio.client import Client

from holdfast.bus.connect import Bus
from holdfast.embedded.sink import Reply, Sink
from holdfast.embedded.stack import EmbeddedStack
from holdfast.settings.runtime import load_settings
from tests.conftest import assert_eventually
from tests.fault.ledger import SECRET, LedgerClient, make_event, verify
from tests.fault.witnesses import closed, read_witnesses, running

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

EVENTS = 300
RATE = 20  # events a second, where they come for as long as something lasts
CONFIG = """version: 1
sources:
  github:
    verify: {{preset: github, secrets: ["file:secret"]}}
triggers:
  deliver:
    on: github
    when: "!event.data.refused"
    run: {{http: {{url: "{sink}/ok"}}}}
    retry: {{max_attempts: 50, initial: 200ms, max: 2s}}
  refuse:
    on: github
    when: event.data.refused
    run: {{http: {{url: "{sink}/gone"}}}}
gateway: {{on_unavailable: {on_unavailable}}}
bus:
  streams:
    events: {{max_bytes: 64MiB}}
    dead_letters: {{max_bytes: 64MiB}}
    unmatched: {{max_bytes: 16MiB}}
"""


@dataclass
class Lab:
    """A running stack, the target it delivers to, and the stubborn client."""

    stack: EmbeddedStack
    sink: Sink
    sink_log: Path
    client: LedgerClient


@pytest.fixture
async def lab(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    """Start the whole stack as `holdfast up` does, on free ports; the parameter is `on_unavailable`."""
    sink_log = tmp_path / "sink.jsonl"
    sink = Sink(log=sink_log, standing={"/gone": Reply(410)})
    await sink.start()
    (tmp_path / "secret").write_text(SECRET)
    config = tmp_path / "holdfast.yaml"
    config.write_text(CONFIG.format(sink=sink.url, on_unavailable=getattr(request, "param", "reject")))
    stack = EmbeddedStack(tmp_path / "data", config)
    try:
        await stack.start()
        yield Lab(stack, sink, sink_log, LedgerClient(f"{stack.gateway_url}/hooks/github", tmp_path / "client.jsonl"))
    finally:
        await stack.stop()
        await sink.stop()


@pytest.mark.parametrize(
    "victims",
    [("gateway",), ("nats",), ("temporal",), ("worker",), ("gateway", "nats", "temporal", "worker")],
    ids="+".join,
)
async def test_no_event_is_lost_or_doubled_when_processes_are_killed(lab: Lab, victims: tuple[str, ...]) -> None:
    """With 300 events in flight and the victims killed twice, every 2xx ends in exactly one workflow and outcome."""

    async def kill() -> None:
        await asyncio.gather(*(lab.stack.kill(name) for name in victims))

    await _send_and_kill(lab, kill)
    await _judge(lab)


@pytest.mark.parametrize("lab", ["spool"], indirect=True)
@pytest.mark.parametrize("gateway_too", [False, True], ids=["nats", "nats, then gateway"])
async def test_no_event_of_the_outbox_is_lost_or_doubled(lab: Lab, gateway_too: bool) -> None:
    """With an outbox the same holds, also when the gateway dies with events in it; NATS alone is seen by no sender."""

    async def kill() -> None:
        before = lab.client.spooled
        await lab.stack.kill("nats")
        await assert_eventually(lambda: _spooled_more(lab, before), within=30, why="events go to the outbox")
        if gateway_too:
            await lab.stack.kill("gateway")

    await _send_and_kill(lab, kill)
    if not gateway_too:
        assert set(lab.client.answers) == {202}, lab.client.answers
    await _judge(lab)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("lab", ["spool"], indirect=True)
async def test_a_long_outage_under_load_loses_nothing(lab: Lab, request: pytest.FixtureRequest) -> None:
    """NATS stopped for long under load, then the gateway killed, then NATS back: every 202 is delivered once.

    `--outage 60` makes it a minute.
    """
    seconds: float = request.config.getoption("--outage")
    stop, events = asyncio.Event(), (make_event(number, refused=False) for number in itertools.count())
    sending = asyncio.create_task(lab.client.send_until(stop, events, rate=RATE, deadline=seconds + 120))
    await assert_eventually(lambda: _acked(lab, 2 * RATE), within=30, why="events are taken")
    await lab.stack.stop_server("nats")
    before = lab.client.spooled
    await assert_eventually(
        lambda: _spooled_more(lab, before + round(RATE * seconds)), within=seconds + 60, why="the outage is over"
    )
    await lab.stack.kill("gateway")
    await lab.stack.start_server("nats")
    after = len(lab.client.acked)
    await assert_eventually(lambda: _acked(lab, after + 2 * RATE), within=60, why="events are taken again")
    stop.set()
    await sending
    assert lab.client.spooled >= RATE * seconds
    assert lab.client.acked == set(lab.client.sent)
    print(f"{seconds:g} s: {len(lab.client.sent)} events, {lab.client.spooled} spooled, {dict(lab.client.answers)}")  # noqa: T201
    await _judge(lab)


async def _send_and_kill(lab: Lab, kill: Callable[[], Awaitable[None]]) -> None:
    events = [make_event(number, refused=number % 10 == 0) for number in range(EVENTS)]
    sending = asyncio.create_task(lab.client.send_all(events, at_once=32, deadline=150))
    for share in (0.1, 0.5):
        await assert_eventually(partial(_reached, lab, share), within=100, why=f"{share:.0%} are sent")
        await kill()
    await sending
    assert len(lab.client.acked) == EVENTS


async def _judge(lab: Lab) -> None:
    for name in lab.stack.names:
        await lab.stack.wait_ready(name)
    client = await Client.connect(lab.stack.temporal_address)
    count = len(lab.client.sent)
    await assert_eventually(lambda: _at_rest(client, count), within=60 + count / 5, why="every delivery has ended")
    bus = Bus.from_settings(load_settings(lab.stack.config, lab.stack.data_dir), "witness")
    await bus.start()
    await bus.connected(timedelta(seconds=10))
    try:
        verify(lab.client, await read_witnesses(client, bus, lab.sink_log))
    finally:
        await bus.close()


async def _spooled_more(lab: Lab, before: int) -> bool:
    return lab.client.spooled > before


async def _acked(lab: Lab, count: int) -> bool:
    return len(lab.client.acked) >= count


async def _reached(lab: Lab, share: float) -> bool:
    return len(lab.client.acked) >= share * EVENTS


async def _at_rest(client: Client, count: int) -> bool:
    return await running(client) == 0 and await closed(client) >= count
