"""The cluster of docker-compose.yml: three real servers from deploy/nats/nats.conf, with Holdfast's own bus on them."""

import contextlib
import functools
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from holdfast.bus.connect import Bus
from holdfast.bus.fsync import verify_fsync
from holdfast.bus.publish import EventPublisher
from holdfast.bus.streams import EVENTS
from holdfast.bus.topology import ensure_streams
from holdfast.domain.events import Envelope
from holdfast.domain.quantities import Size
from holdfast.domain.stream_policy import GIB, EventsStreamConfig
from holdfast.domain.streams import BusConfig, StreamsConfig
from holdfast.embedded.servers import binary, free_ports
from holdfast.errors import Unavailable
from holdfast.ids import sha256_hex
from holdfast.settings.process import ProcessSettings
from tests import servers
from tests.conftest import assert_eventually
from tests.servers import Server, answers
from tests.unit.deployment.composed import ROOT, services

pytestmark = pytest.mark.integration
NODES = 3
CONFIG = BusConfig(replicas=NODES, streams=StreamsConfig(events=EventsStreamConfig(max_bytes=Size(GIB // 8))))


@dataclass(frozen=True)
class Node:
    """One server of the cluster and where it listens."""

    server: Server
    url: str
    monitor: str


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """Start three servers from the file as it is, but for addresses and directories."""
    directory = tmp_path_factory.mktemp("cluster")
    free = free_ports(3 * NODES)
    ports = [free[number::NODES] for number in range(NODES)]
    password = _environment()["NATS_CLUSTER_PASSWORD"]
    routes = [f"nats-route://cluster:{password}@127.0.0.1:{route}" for _, _, route in ports]
    with contextlib.ExitStack() as stack:
        nodes = [_node(directory / f"nats-{number + 1}", ports[number], routes) for number in range(NODES)]
        for node in nodes:
            stack.callback(node.server.kill)
            node.server.start()
        yield nodes


def _node(directory: Path, ports: list[int], routes: list[str]) -> Node:
    directory.mkdir()
    text = (ROOT / "deploy" / "nats" / "nats.conf").read_text().replace('"/data"', f'"{directory}/store"')
    for fixed, own in zip((4222, 8222, 6222), ports, strict=True):
        text = text.replace(f'"0.0.0.0:{fixed}"', f'"127.0.0.1:{own}"')
    config = directory / "nats.conf"
    config.write_text(text)
    environment = _environment() | {"NATS_SERVER_NAME": directory.name, "NATS_ROUTES": json.dumps(routes)}
    given = [f"{name}={value}" for name, value in environment.items()]
    command = ["env", *given, binary("nats-server"), "--config", str(config)]
    monitor = f"http://127.0.0.1:{ports[1]}"
    ready = functools.partial(answers, f"{monitor}/varz")
    return Node(Server(command, directory / "log", ready), f"nats://127.0.0.1:{ports[0]}", monitor)


@pytest.fixture
async def bus(cluster: list[Node]) -> AsyncIterator[Bus]:
    """Connect as a process would whose NATS_URL names all three."""
    opened = Bus.from_settings(_settings(cluster), "test")
    await opened.start()
    try:
        await opened.connected(timedelta(seconds=20))
        yield opened
    finally:
        await opened.close()


async def test_streams_are_kept_three_times_and_synced(cluster: list[Node], bus: Bus) -> None:
    """Holdfast makes its streams with three replicas, and finds that every server syncs before it acknowledges."""
    await assert_eventually(functools.partial(_ensured, bus), within=60, why="the cluster elects its leaders")
    assert (await bus.jetstream.stream_info(EVENTS)).config.num_replicas == NODES
    await verify_fsync(bus, _settings(cluster), CONFIG)


async def test_one_unsynced_server_is_one_too_many(cluster: list[Node], bus: Bus, tmp_path: Path) -> None:
    """Among servers that sync, one that does not is found, and nothing is claimed to be safe."""
    with servers.nats(tmp_path, sync_always=False) as unsynced:
        monitors = f"{cluster[0].monitor},{unsynced.plan.monitor_url}"
        with pytest.raises(Unavailable, match=r"bus\.misconfigured"):
            await verify_fsync(bus, _settings(cluster).model_copy(update={"nats_monitor_url": monitors}), CONFIG)


async def test_nobody_enters_without_the_password(cluster: list[Node]) -> None:
    """A process with a wrong password does not get in."""
    guessed = Bus.from_settings(_settings(cluster, "p-guessed"), "intruder")
    await guessed.start()
    try:
        with pytest.raises(Unavailable):
            await guessed.connected(timedelta(seconds=2))
    finally:
        await guessed.close()


async def test_one_server_may_die(cluster: list[Node], bus: Bus) -> None:
    """With the leader of EVENTS killed, events are stored again within a minute, and none stored before is lost.

    What is left still counts as synced, or every gateway would refuse to go on without the third server.
    """
    await assert_eventually(functools.partial(_ensured, bus), within=60, why="the cluster elects its leaders")
    stored = [await _publish(bus, f"before-{number}") for number in range(20)]
    assert all(stored)
    leader = (await bus.jetstream.stream_info(EVENTS)).cluster
    assert leader is not None
    dead = cluster[int(str(leader.leader).removeprefix("nats-")) - 1]
    dead.server.kill()
    await assert_eventually(functools.partial(_publish, bus, "after"), within=60, why="the others take over")
    await verify_fsync(bus, _settings(cluster), CONFIG)
    messages = (await bus.jetstream.stream_info(EVENTS)).state.messages
    dead.server.start()
    assert messages == 21


async def _ensured(bus: Bus) -> bool:
    try:
        await ensure_streams(bus, CONFIG)
    except Unavailable:
        return False
    return True


async def _publish(bus: Bus, event_id: str) -> bool:
    now = datetime.now(UTC)
    envelope = Envelope(
        id=event_id, source="probe", type="t", time=now, received_at=now, body="x", body_sha256=sha256_hex(b"x")
    )
    try:
        await EventPublisher(bus).publish_event(envelope, timeout=timedelta(seconds=2))
    except Unavailable:
        return False
    return True


def _settings(cluster: list[Node], password: str | None = None) -> ProcessSettings:
    return ProcessSettings(
        nats_url=",".join(node.url for node in cluster),
        nats_monitor_url=",".join(node.monitor for node in cluster),
        nats_user="holdfast",
        nats_password=SecretStr(password or _environment()["NATS_PASSWORD"]),
    )


def _environment() -> dict[str, str]:
    return {name: str(value) for name, value in services()["nats-1"]["environment"].items()}
