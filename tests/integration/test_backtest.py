"""`holdfast triggers backtest` on a real stream, against what a real worker runs."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from holdfast.bus.publish import EventPublisher
from holdfast.cli.main import app
from tests.buses import SOON, connected
from tests.servers import NatsServer, TemporalServer
from tests.workers import event, fresh_bus, ready, settings_of, working

pytestmark = pytest.mark.integration

RUNNING = """
version: 1
sources: {orders: {dangerous_unverified: true}}
triggers:
  big: {on: orders, when: event.data.amount > 100, run: {log: {message: event.id}}}
  all: {on: orders, run: {log: {message: event.id}}}
  same: {on: orders, run: {log: {message: event.id}}}
"""
CHANGED = """
version: 1
sources: {orders: {dangerous_unverified: true}}
triggers:
  big: {on: orders, when: event.data.amount > 10, run: {log: {message: event.id}}}
  all: {on: orders, run: {log: {message: '"order " + event.id'}}}
  same: {on: orders, run: {log: {message: event.id}}}
  fresh: {on: orders, when: 'event.data.amount / (event.data.amount - 50) > 0', run: {log: {message: event.id}}}
"""
AMOUNTS = {"small": 5, "middle": 50, "large": 500}


@pytest.fixture(autouse=True)
def environment(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Commands find the test's bus."""
    plan = nats_server.plan
    for name, value in {"NATS_URL": plan.url, "NATS_USER": plan.user, "NATS_PASSWORD": plan.password}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOLDFAST_DATA_DIR", str(tmp_path / "data"))


async def backtest(*args: str) -> Result:
    """Run the command beside the test's loop."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["triggers", "backtest", *args])


async def publish(publisher: EventPublisher) -> None:
    """Store one event of each amount."""
    for name, amount in AMOUNTS.items():
        await publisher.publish_event(event(name, json.dumps({"amount": amount})), timeout=SOON)


async def test_a_changed_file_is_compared_event_by_event(nats_server: NatsServer, tmp_path: Path) -> None:
    """Newly matched, run otherwise, newly failing: each named with event, trigger and reason; equal ones are not."""
    (tmp_path / "old.yaml").write_text(RUNNING)
    (tmp_path / "new.yaml").write_text(CHANGED)
    files = ("--config", str(tmp_path / "new.yaml"), "--running", str(tmp_path / "old.yaml"))
    async with connected(nats_server) as bus:
        await publish(EventPublisher(bus))
        result = await backtest("--since", "1h", "--json", *files)
        assert result.exit_code == 1, result.output  # `fresh` divides by zero for one of them
        found = json.loads(result.stdout)
        assert found["events"] == 3
        kinds = {(each["trigger"], each["id"]): each["kind"] for each in found["differences"]}
        assert kinds == {
            ("big", "middle"): "newly_matched",
            **{("all", name): "changed" for name in AMOUNTS},
            ("fresh", "middle"): "newly_failing",
            ("fresh", "large"): "newly_matched",
        }
        change = next(each for each in found["differences"] if each["trigger"] == "all")["changes"][0]
        assert (change["path"], change["after"]) == ("action.message", f"order {change['before']}")
        text = await backtest("--since", "1h", *files)
        assert "would be a dead letter" in text.stdout
        assert "3 events, 6 differences" in text.stdout
        nothing = await backtest("--since", "2020-01-01T00:00:00Z", "--source", "other", *files)
        assert (nothing.exit_code, "0 events" in nothing.stdout) == (0, True)
        same = await backtest("--exit-code", "--config", files[1], "--running", files[1])
        assert (same.exit_code, "0 differences" in same.stdout) == (0, True)
        lone = await backtest("--config", files[1])
        assert lone.exit_code == 1  # no worker runs that could say what is in force
        assert "--running" in lone.output


async def test_the_running_file_is_what_a_worker_runs(
    nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    """Without another word the file is compared with what a worker has in force, not with what lies on its disk."""
    settings = settings_of(nats_server, temporal_server)
    (tmp_path / "new.yaml").write_text(CHANGED.replace("fresh:", "none:").replace("/ (event.data.amount - 50) ", ""))
    async with fresh_bus(settings) as bus, working(settings, tmp_path, RUNNING) as process:
        await ready(process)
        await publish(EventPublisher(bus))
        result = await backtest("--config", str(tmp_path / "new.yaml"), "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["summary"] == {"newly_matched": 4, "changed": 3}
