"""Limits, pauses, circuit breakers, order, debounce, throttle and times, through a real worker on real servers."""

import itertools
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from temporalio.client import Client

from holdfast import ids
from holdfast.bus import controls
from holdfast.bus.connect import Bus
from holdfast.bus.controls import Pause
from holdfast.bus.lookup import find_dead_letters
from holdfast.bus.publish import EventPublisher
from holdfast.contracts import names
from holdfast.embedded.sink import Call, Reply, Sink
from tests import servers
from tests.buses import SOON
from tests.conftest import assert_eventually
from tests.workers import count, event, fresh_bus, ready, settings_of, temporal_client, working
from workers.worker import WorkerProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

CONFIG = """
version: 1
sources: {{orders: {{dangerous_unverified: true}}}}
targets:
  narrow: {{url_prefix: "{url}/narrow", concurrency: 2}}
  fragile: {{url_prefix: "{url}/fragile", breaker: {{failures: 3, within: 1m, open_for: 2s}}}}
triggers:
  paced: {{on: orders, when: event.data.to == "paced", rate_limit: 20/s, run: {{http: {{url: "{url}/paced"}}}}}}
  narrow: {{on: orders, when: event.data.to == "narrow", run: {{http: {{url: "{url}/narrow"}}}}}}
  fragile:
    on: orders
    when: event.data.to == "fragile"
    run: {{http: {{url: "{url}/fragile"}}}}
    retry: {{max_attempts: 5, initial: 100ms, max: 200ms}}
  plain: {{on: orders, when: event.data.to == "plain", run: {{http: {{url: "{url}/plain"}}}}}}
  ordered:
    on: orders
    when: event.data.to == "ordered"
    key: event.data.key
    run: {{http: {{url: "{url}/ordered/${{event.data.key}}/${{event.data.n}}"}}}}
    retry: {{max_attempts: 1}}
  last:
    on: orders
    when: event.data.to == "last"
    key: event.data.key
    debounce: 1s
    run: {{http: {{url: "{url}/last/${{event.data.key}}/${{event.data.n}}"}}}}
  few:
    on: orders
    when: event.data.to == "few"
    key: event.data.key
    throttle: {{per: 1h, max: 2, excess: skip}}
    run: {{http: {{url: "{url}/few/${{event.data.key}}/${{event.data.n}}"}}}}
  later: {{on: orders, when: event.data.to == "later", delay: 2s, run: {{http: {{url: "{url}/later"}}}}}}
  when:
    on: orders
    when: event.data.to == "when"
    not_before: event.data.at
    run: {{http: {{url: "{url}/when"}}}}
"""


class Shop(NamedTuple):
    """What every test here needs."""

    process: WorkerProcess
    bus: Bus
    client: Client
    sink: Sink

    async def send(self, to: str, n: int = 0, key: str = "", **more: object) -> str:
        """Publish one event; return its delivery's workflow id."""
        fields = {"to": to, "n": n, "key": key, **more}
        body = "{" + ",".join(f'"{k}":{v}' if isinstance(v, int) else f'"{k}":"{v}"' for k, v in fields.items()) + "}"
        one = event(f"{to}-{n}-{uuid.uuid4().hex[:8]}", body)
        await EventPublisher(self.bus).publish_event(one, timeout=SOON)
        return ids.delivery_id(to, one.source, one.id)

    def paths(self, prefix: str) -> list[str]:
        """Return what the target was called with, in order."""
        return [call.path for call in self.sink.calls if call.path.startswith(prefix)]


@pytest.fixture
async def shop(
    nats_server: servers.NatsServer, temporal_server: servers.TemporalServer, tmp_path: Path
) -> AsyncIterator[Shop]:
    """A worker that is ready, and a target."""
    settings, sink = settings_of(nats_server, temporal_server), Sink()
    await sink.start()
    async with fresh_bus(settings) as bus, working(settings, tmp_path, CONFIG.format(url=sink.url)) as process:
        await ready(process)
        yield Shop(process, bus, await temporal_client(temporal_server, nats_server), sink)
    await sink.stop()


def moments(calls: list[Call]) -> list[float]:
    """Return when calls came, seconds."""
    return [datetime.fromisoformat(call.at).timestamp() for call in calls]


async def test_a_rate_is_kept_and_nothing_is_lost(shop: Shop) -> None:
    """60 events at once through 20/s: each arrives once, and no second has many more than 20 of them."""
    for n in range(60):
        await shop.send("paced", n)
    await assert_eventually(lambda: _have(shop.sink, "/paced", 60), 30)
    times = sorted(moments(shop.sink.at("/paced")))
    assert len({call.key for call in shop.sink.at("/paced")}) == 60
    # the sink notes when it has answered, so a busy machine may push a few of one second into the next
    assert max(sum(start <= at < start + 1 for at in times) for start in times) <= 20 * 1.1 + 3
    assert times[-1] - times[0] < 60 / 20 * 2


async def test_no_more_are_under_way_than_there_are_places(shop: Shop) -> None:
    """A target with two places never has three calls open."""
    shop.sink.standing["/narrow"] = Reply(delay=0.3)
    for n in range(10):
        await shop.send("narrow", n)
    await assert_eventually(lambda: _have(shop.sink, "/narrow", 10), 30)
    times = sorted(moments(shop.sink.at("/narrow")))
    assert all(third - first >= 0.25 for first, third in zip(times, times[2:], strict=False))


async def test_a_pause_holds_deliveries_without_attempts(shop: Shop) -> None:
    """While a trigger is paused nothing is sent and the deliveries wait visibly; resumed, each goes out."""
    await controls.pause(shop.bus, "trigger", "plain", Pause(reason="maintenance", by="ann", at=datetime.now(UTC)))
    process = shop.process
    await assert_eventually(lambda: _seen(process, "trigger/plain", paused=True))
    deliveries = [await shop.send("plain", n) for n in range(3)]
    waiting = f"HoldfastTrigger = 'plain' AND HoldfastState = '{names.STATE_WAITING}'"
    await assert_eventually(lambda: _counted(shop.client, waiting, 3), 20)
    assert shop.sink.at("/plain") == []
    assert await controls.resume(shop.bus, "trigger", "plain")
    await assert_eventually(lambda: _have(shop.sink, "/plain", 3), 30)
    for delivery in deliveries:
        assert (await shop.client.get_workflow_handle(delivery).result())["attempts"] == 1


async def test_a_breaker_leaves_a_failing_target_alone(shop: Shop) -> None:
    """After three failures nothing is sent while it is open, then one is tried; healed, everything goes out."""
    shop.sink.standing["/fragile"] = Reply(503)
    deliveries = [await shop.send("fragile", n) for n in range(6)]
    await assert_eventually(lambda: _have(shop.sink, "/fragile", 3), 20)
    opened = moments(shop.sink.at("/fragile"))
    shop.sink.standing["/fragile"] = Reply()
    for delivery in deliveries:
        assert (await shop.client.get_workflow_handle(delivery).result())["outcome"] == "delivered"
    later = sorted(moments(shop.sink.at("/fragile")))
    gap = max(b - a for a, b in itertools.pairwise(later))
    assert gap > 1.5, (opened, later)


async def test_events_of_a_key_go_out_in_the_order_of_the_stream(shop: Shop) -> None:
    """Three keys, ten events each, all at once: each key's calls come in order, one after another."""
    for n in range(10):
        for key in "abc":
            await shop.send("ordered", n, key)
    await assert_eventually(lambda: _have(shop.sink, "/ordered/", 30), 60)
    for key in "abc":
        assert shop.paths(f"/ordered/{key}/") == [f"/ordered/{key}/{n}" for n in range(10)]


async def test_a_poisoned_key_stops_only_itself(shop: Shop) -> None:
    """A dead letter stops its key: what follows is waiting and visible; closing the case lets it go on."""
    from holdfast.contracts.moves import DiscardInput
    from holdfast.temporal.cases import discard

    bad, good = uuid.uuid4().hex[:6], uuid.uuid4().hex[:6]
    shop.sink.standing[f"/ordered/{bad}/0"] = Reply(400)
    first = await shop.send("ordered", 0, bad)
    for n in (1, 2):
        await shop.send("ordered", n, bad)
        await shop.send("ordered", n, good)
    await assert_eventually(lambda: _have(shop.sink, f"/ordered/{good}/", 2), 30)
    waiting = f"HoldfastKey = '{bad}' AND HoldfastState = '{names.STATE_WAITING}' AND WorkflowType = 'EventDelivery'"
    await assert_eventually(lambda: _counted(shop.client, waiting, 2), 20)
    blocked = f"HoldfastKey = '{bad}' AND HoldfastState = '{names.STATE_BLOCKED}'"
    await assert_eventually(lambda: _counted(shop.client, blocked, 1), 20)
    assert shop.paths(f"/ordered/{bad}/") == [f"/ordered/{bad}/0"]

    async def discarded() -> bool:
        try:
            await discard(shop.client, ids.case_id(first), DiscardInput(by="ann", reason="not ours"))
        except Exception:  # noqa: BLE001 - the case comes a moment after its dead letter
            return False
        return True

    await assert_eventually(discarded, 20)
    await assert_eventually(lambda: _have(shop.sink, f"/ordered/{bad}/", 3), 40)
    assert shop.paths(f"/ordered/{bad}/") == [f"/ordered/{bad}/{n}" for n in range(3)]


async def test_only_the_last_event_of_a_burst_is_delivered(shop: Shop) -> None:
    """Debounced: of five events the last goes out after the quiet, the others are recorded as superseded."""
    deliveries = [await shop.send("last", n, "k") for n in range(5)]
    results = [await shop.client.get_workflow_handle(one).result() for one in await _all_started(shop, deliveries)]
    assert [result["outcome"] for result in results] == ["superseded"] * 4 + ["delivered"]
    assert shop.paths("/last/") == ["/last/k/4"]


async def test_a_throttle_lets_the_first_ones_through(shop: Shop) -> None:
    """Two an hour: the first two of a key go out, the rest are superseded, another key has its own two."""
    deliveries = [await shop.send("few", n, "k") for n in range(4)] + [await shop.send("few", 0, "other")]
    results = [await shop.client.get_workflow_handle(one).result() for one in await _all_started(shop, deliveries)]
    assert [result["outcome"] for result in results] == ["delivered"] * 2 + ["superseded"] * 2 + ["delivered"]


async def test_a_delivery_waits_for_its_time(shop: Shop) -> None:
    """`delay` and `not_before` hold a delivery back, as `waiting`, until then."""
    at = datetime.now(UTC) + timedelta(seconds=3)
    began = datetime.now(UTC).timestamp()
    await shop.send("later")
    await shop.send("when", at=at.isoformat())
    waiting = f"HoldfastState = '{names.STATE_WAITING}' AND HoldfastTrigger IN ('later', 'when')"
    await assert_eventually(lambda: _counted(shop.client, waiting, 2), 10)
    await assert_eventually(lambda: _have(shop.sink, "/when", 1), 20)
    await assert_eventually(lambda: _have(shop.sink, "/later", 1), 20)
    assert moments(shop.sink.at("/later"))[0] >= began + 1.9
    assert moments(shop.sink.at("/when"))[0] >= at.timestamp() - 0.01
    assert [letter async for letter in find_dead_letters(shop.bus)] == []


async def _all_started(shop: Shop, deliveries: list[str]) -> list[str]:
    async def there() -> bool:
        for one in deliveries:
            try:
                await shop.client.get_workflow_handle(one).describe()
            except Exception:  # noqa: BLE001 - not started yet
                return False
        return True

    await assert_eventually(there, 20)
    return deliveries


async def _have(sink: Sink, prefix: str, number: int) -> bool:
    return len([call for call in sink.calls if call.path.startswith(prefix)]) >= number


async def _counted(client: Client, query: str, number: int) -> bool:
    return await count(client, query) == number


async def _seen(process: WorkerProcess, name: str, *, paused: bool) -> bool:
    admission = process.admission
    return admission is not None and admission.controls is not None and (name in admission.controls.pauses) == paused
