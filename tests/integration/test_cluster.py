"""deploy/nats/nats.conf makes a cluster: three real servers from it, on loopback, with one of them killed."""

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.js.api import StorageType, StreamConfig

from holdfast.embedded.servers import binary, free_ports
from tests.conftest import assert_eventually
from tests.servers import Server, answers
from tests.unit.deployment.composed import ROOT, services

pytestmark = pytest.mark.integration
NODES = 3


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
    clients, monitors, routes = (free_ports(NODES * 3)[i::3] for i in range(3))
    environment = _environment()
    password = environment["NATS_CLUSTER_PASSWORD"]
    environment["NATS_ROUTES"] = str([f"nats-route://cluster:{password}@127.0.0.1:{port}" for port in routes]).replace(
        "'", '"'
    )
    nodes = []
    with contextlib.ExitStack() as stack:
        for number, (client, monitor, route) in enumerate(zip(clients, monitors, routes, strict=True), start=1):
            text = (ROOT / "deploy" / "nats" / "nats.conf").read_text()
            for fixed, own in (("4222", client), ("8222", monitor), ("6222", route)):
                text = text.replace(f'"0.0.0.0:{fixed}"', f'"127.0.0.1:{own}"')
            text = text.replace('"/data"', f'"{directory}/store-{number}"')
            config = directory / f"nats-{number}.conf"
            config.write_text(text)
            own_environment = environment | {"NATS_SERVER_NAME": f"nats-{number}"}
            command = [
                "env",
                *(f"{k}={v}" for k, v in own_environment.items()),
                binary("nats-server"),
                "-c",
                str(config),
            ]
            address = f"http://127.0.0.1:{monitor}"
            server = Server(command, directory / f"{number}.log", lambda at=address: answers(f"{at}/varz"))
            stack.callback(server.kill)
            server.start()
            nodes.append(Node(server, f"nats://127.0.0.1:{client}", address))
        yield nodes


async def test_every_node_syncs_before_it_answers(cluster: list[Node]) -> None:
    """`sync_interval: always` is in force on each server: a PubAck means on disk, on a quorum."""
    for node in cluster:
        assert _json(f"{node.monitor}/jsz?config=1")["config"]["sync_always"] is True


async def test_nobody_enters_without_the_password(cluster: list[Node]) -> None:
    """A client without credentials is refused."""
    with pytest.raises(nats.errors.Error):
        await _connect(cluster, password="p-guessed")


async def test_one_server_may_die(cluster: list[Node]) -> None:
    """A stream kept three times goes on acknowledging while its leader is dead, and loses nothing."""
    client = await _connect(cluster, _environment()["NATS_PASSWORD"])
    try:
        await assert_eventually(lambda: _created(client), within=60, why="the cluster elects a leader")
        stream = client.jetstream()
        await assert_eventually(lambda: _stored(client), within=30, why="the stream elects a leader")
        leader = (await stream.stream_info("PROBE")).cluster
        assert leader is not None
        dead = cluster[int(str(leader.leader).removeprefix("nats-")) - 1]
        before = (await stream.stream_info("PROBE")).state.messages
        dead.server.kill()
        await assert_eventually(lambda: _stored(client), within=60, why="the others elect a leader and acknowledge")
        assert (await stream.stream_info("PROBE")).state.messages >= before + 1
        dead.server.start()
    finally:
        await client.close()


async def _connect(cluster: list[Node], password: str) -> Client:
    async def ignore(_: Exception) -> None:
        """Connection losses are what this test is about."""

    return await nats.connect(
        servers=[node.url for node in cluster],
        user="holdfast",
        password=password,
        error_cb=ignore,
        allow_reconnect=password == _environment()["NATS_PASSWORD"],
        max_reconnect_attempts=-1 if password == _environment()["NATS_PASSWORD"] else 1,
        reconnect_time_wait=0.2,  # type: ignore[arg-type] # it is slept on: fractions are fine
    )


async def _created(client: Client) -> bool:
    plan = StreamConfig(name="PROBE", subjects=["probe"], storage=StorageType.FILE, num_replicas=NODES)
    try:
        await client.jetstream().add_stream(plan)
    except nats.errors.Error:
        return False
    return True


async def _stored(client: Client) -> bool:
    try:
        return (await client.jetstream().publish("probe", b"x", timeout=1)).stream == "PROBE"
    except nats.errors.Error:
        return False


def _json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as response:
        return json.load(response)


def _environment() -> dict[str, str]:
    return {name: str(value) for name, value in services()["nats-1"]["environment"].items()}
