"""Fixtures that every kind of test shares: one nats-server and one Temporal per session and worker process."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests import servers

SHARED = Path(__file__).parents[2] / "shared" / "data"
"""Public vectors that lie beside the checkout, where they do; tests that read them skip loudly where they do not."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let one test be as long as it is meant to be in earnest."""
    parser.addoption("--outage", type=float, default=8.0, help="seconds that the bus is away under load (default 8)")


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.NatsServer]:
    """Start one nats-server for the session; a test that stops servers starts its own."""
    with servers.nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="session")
def temporal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.TemporalServer]:
    """Start one Temporal for the session; a test that stops servers starts its own."""
    with servers.temporal(tmp_path_factory.mktemp("temporal")) as server:
        yield server


async def assert_eventually(check: Callable[[], Awaitable[bool]], within: float = 20.0, why: str = "") -> None:
    """Wait until `check` holds, at most `within` seconds."""
    deadline = time.monotonic() + within
    while not await check():
        assert time.monotonic() < deadline, f"did not come true within {within} s: {why or check}"
        await asyncio.sleep(0.05)  # the one place in the tests that waits by the clock
