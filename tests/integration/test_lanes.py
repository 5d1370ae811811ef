"""Lanes on a real bus: what several processes are granted together is what one would be granted."""

import asyncio
import contextlib
from itertools import pairwise

import pytest

from holdfast.bus.connect import Bus
from holdfast.bus.lanes import Lane
from holdfast.bus.registers import ensure_registers
from holdfast.clock import SystemClock
from holdfast.domain.lanes import Entry, Exit, Granted, Later
from holdfast.domain.pressure import DeliveryLimits
from tests import buses
from tests.servers import NatsServer

pytestmark = pytest.mark.integration

PROCESSES = 4
EACH = 100


async def lanes(stack: contextlib.AsyncExitStack, server: NatsServer, key: str, rule: DeliveryLimits) -> list[Lane]:
    """Return one lane as four processes see it, each over a connection of its own."""
    found = []
    for _ in range(PROCESSES):
        bus = Bus.from_settings(buses.settings_for(server), "test")
        await bus.start()
        stack.push_async_callback(bus.close)
        await bus.connected(buses.SOON)
        await ensure_registers(bus, 1)
        found.append(Lane(bus, key, rule, SystemClock()))
    return found


async def test_four_processes_are_granted_fifty_a_second(nats_server: NatsServer) -> None:
    """400 questions of four processes at once get the 400 slots of eight seconds, 20 ms apart, none of them twice."""
    rule = DeliveryLimits.model_validate({"rate_limit": "50/s"})
    async with contextlib.AsyncExitStack() as stack:
        ours = await lanes(stack, nats_server, "test.rate", rule)
        asked = [lane.enter(Entry(f"{n}-{m}", 1, 60)) for n, lane in enumerate(ours) for m in range(EACH)]
        answers = await asyncio.gather(*asked)
    slots = sorted(answer.at for answer in answers if isinstance(answer, Granted))
    assert len(slots) == PROCESSES * EACH
    assert all(after - before >= 0.0199 for before, after in pairwise(slots))
    assert (len(slots) - 1) / (slots[-1] - slots[0]) == pytest.approx(50, rel=0.1)


async def test_a_burst_is_as_large_as_configured(nats_server: NatsServer) -> None:
    """`burst: 5` grants five at once, whichever process asks, and then one every 100 ms."""
    rule = DeliveryLimits.model_validate({"rate_limit": "10/s", "burst": 5})
    async with contextlib.AsyncExitStack() as stack:
        ours = await lanes(stack, nats_server, "test.burst", rule)
        answers = await asyncio.gather(*(lane.enter(Entry(f"{n}", 1, 60)) for n, lane in enumerate(ours * 5)))
    slots = sorted(answer.at for answer in answers if isinstance(answer, Granted))
    assert all(sum(at <= other < at + 0.0999 for other in slots) <= 5 for at in slots)
    assert slots[-1] - slots[0] >= (len(slots) - 5) * 0.0999 - 0.05


async def test_places_are_never_given_twice(nats_server: NatsServer) -> None:
    """Twelve ask four processes for three places: three get one; those who have patience get theirs when one leaves."""
    rule = DeliveryLimits.model_validate({"concurrency": 3})
    async with contextlib.AsyncExitStack() as stack:
        ours = await lanes(stack, nats_server, "test.places", rule)
        first = await asyncio.gather(*(lane.enter(Entry(f"{n}", 30, 0)) for n, lane in enumerate(ours * 3)))
        inside = [n for n, answer in enumerate(first) if isinstance(answer, Granted)]
        assert len(inside) == 3
        assert all(isinstance(answer, Later) for n, answer in enumerate(first) if n not in inside)
        waiting = asyncio.create_task(ours[0].enter(Entry("patient", 30, 20)))
        await ours[3].leave(Exit(f"{inside[0]}", failed=False, took=0.1))
        assert isinstance(await waiting, Granted)


async def test_a_breaker_is_shared(nats_server: NatsServer) -> None:
    """Failures that different processes saw open it for all; one probe is let through, and its success closes it."""
    rule = DeliveryLimits.model_validate({"breaker": {"failures": 4, "within": "1m", "open_for": "300ms"}})
    async with contextlib.AsyncExitStack() as stack:
        ours = await lanes(stack, nats_server, "test.breaker", rule)
        for lane in ours:
            await lane.leave(Exit("x", failed=True, took=0.1))
        for lane in ours:
            answer = None
            async with asyncio.timeout(10):  # a process believes what it knows for a quarter of a second
                while not isinstance(answer, Later):
                    answer = await lane.enter(Entry("y", 30, 0))
            assert answer.why == "breaker"
        probe = None
        async with asyncio.timeout(10):
            while not isinstance(probe, Granted):
                probe = await ours[1].enter(Entry("probe", 30, 0))
        assert probe.probe
        assert isinstance(await ours[2].enter(Entry("other", 30, 0)), Later)
        await ours[1].leave(Exit("probe", failed=False, took=0.1, probe=True))
        async with asyncio.timeout(10):
            while not isinstance(await ours[3].enter(Entry("z", 30, 0)), Granted):
                pass
