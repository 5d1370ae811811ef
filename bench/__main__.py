"""Runs every measurement and prints one table: `make bench`, or `python -m bench gateway latency`."""

import asyncio
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Awaitable, Callable

import httpx
import uvloop
from rich.console import Console
from rich.table import Table

from bench import load
from bench.bulk import bulk
from bench.custody import custody
from bench.filters import filter_costs
from bench.schemes import verification_costs
from bench.stack import resident, running
from holdfast.embedded.servers import free_ports
from holdfast.embedded.sink import Call, Sink

SECONDS = 8.0
CONNECTIONS = 32
DELIVERIES = 600

Row = tuple[str, str, str, str]  # what, measured, baseline, ratio or target


async def gateway() -> list[Row]:
    """Answers per second against an empty handler of the same server, 32 connections, 1 KiB bodies, event fsynced."""
    (port,) = free_ports(1)
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.empty", str(port))
    try:
        await _listening(port)
        empty = await load.closed_loop(
            port, load.signed_requests("/hooks/github", 90_000, host="x"), CONNECTIONS, SECONDS
        )
    finally:
        server.kill()
        await server.wait()
    async with running("http://127.0.0.1:9", "nats", "gateway") as stack:
        port = int(stack.gateway_url.rpartition(":")[2])
        requests = load.signed_requests("/hooks/github", 60_000, host="x")
        await load.closed_loop(port, requests[:2_000], CONNECTIONS, SECONDS)  # warm
        before = resident(stack.pid("gateway") or 0)
        full = await load.closed_loop(port, requests[2_000:], CONNECTIONS, SECONDS)
        paced = await load.open_loop(port, load.signed_requests("/hooks/github", 5_000, host="x"), 64, 500)
        after = resident(stack.pid("gateway") or 0)
    ratio = full.per_second / empty.per_second
    taken = len(full.latencies) + len(paced.latencies)
    return [
        (
            "gateway, 32 connections",
            f"{full.per_second:.0f}/s, p99 {full.quantile(0.99):.1f} ms",
            f"empty handler {empty.per_second:.0f}/s, p99 {empty.quantile(0.99):.1f} ms",
            f"{ratio:.2f} (target 0.60)",
        ),
        (
            "gateway at 500/s",
            f"p50 {paced.quantile(0.5):.1f} ms, p99 {paced.quantile(0.99):.1f} ms",
            "",
            f"p99 target 50 ms; statuses {paced.statuses}",
        ),
        ("gateway's memory", f"{before:.0f} → {after:.0f} MiB over {taken} events", "", "flat, under 200 MiB"),
    ]


async def spool() -> list[Row]:
    """Answers per second with the bus away and an outbox, against the bus present, in one gateway."""
    more = "gateway: {spool: {max_bytes: 4GiB}}\n"
    async with running("http://127.0.0.1:9", "nats", "gateway", more=more) as stack:
        port = int(stack.gateway_url.rpartition(":")[2])
        requests = load.signed_requests("/hooks/github", 60_000, host="x")
        await load.closed_loop(port, requests[:2_000], CONNECTIONS, SECONDS)  # warm
        present = await load.closed_loop(port, requests[2_000:30_000], CONNECTIONS, SECONDS)
        nats = stack.pid("nats") or 0
        os.kill(nats, signal.SIGSTOP)  # frozen: a dead one would be started again at once
        try:
            await load.closed_loop(port, requests[30_000:30_100], CONNECTIONS, SECONDS)  # finds out
            away = await load.closed_loop(port, requests[30_100:], CONNECTIONS, 4.0)
        finally:
            os.kill(nats, signal.SIGCONT)
        began, events = time.perf_counter(), await _outbox(stack.gateway_url)
        await _emptied(stack.gateway_url)
        drained = events / (time.perf_counter() - began)
    return [
        (
            "gateway with outbox, bus away",
            f"{away.per_second:.0f}/s, p99 {away.quantile(0.99):.1f} ms",
            f"bus present {present.per_second:.0f}/s, p99 {present.quantile(0.99):.1f} ms",
            f"{away.per_second / present.per_second:.2f}; statuses {away.statuses}",
        ),
        ("outbox to the bus", f"{drained:.0f}/s", "", f"{events} events, from the bus's return"),
    ]


async def abuse() -> list[Row]:
    """Normal traffic at 50/s beside 500 connections that drip headers and 200 that drip bodies, and without them."""
    seconds = 20.0
    async with running("http://127.0.0.1:9", "nats", "gateway") as stack:
        port = int(stack.gateway_url.rpartition(":")[2])
        alone = await load.open_loop(port, load.signed_requests("/hooks/github", 500, host="x"), 16, 50)
        before = resident(stack.pid("gateway") or 0)
        command = [sys.executable, "-m", "bench.slow", str(port), "500", "200", str(seconds)]
        slow = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        requests = load.signed_requests("/hooks/github", int(50 * (seconds - 2)), host="x")
        beside = await load.open_loop(port, requests, 16, 50)
        after = resident(stack.pid("gateway") or 0)
        printed, _ = await slow.communicate()
    fates = json.loads(printed)
    ended = ", ".join(f"{kind} {each['ended']} in at most {each['longest']:.1f} s" for kind, each in fates.items())
    return [
        (
            "50/s beside 700 slow clients",
            f"p50 {beside.quantile(0.5):.1f} ms, p99 {beside.quantile(0.99):.1f} ms",
            f"alone p50 {alone.quantile(0.5):.1f} ms, p99 {alone.quantile(0.99):.1f} ms",
            f"p99 target 1000 ms; statuses {beside.statuses}",
        ),
        ("slow clients ended", ended, "", f"memory {before:.0f} → {after:.0f} MiB"),
    ]


async def _outbox(url: str) -> int:
    async with httpx.AsyncClient(trust_env=False) as http:
        return int((await http.get(f"{url}/healthz/ready")).json()["outbox"]["events"])


async def _emptied(url: str) -> None:
    deadline = time.monotonic() + 180
    while await _outbox(url):
        if time.monotonic() > deadline:
            raise TimeoutError("the outbox is not emptied")
        await asyncio.sleep(0.05)


async def deliveries() -> list[Row]:
    """Events per second from webhook to completed workflow, against the bare SDK and the naive design."""
    sink = Sink()
    await sink.start()
    try:
        async with running(sink.url) as stack:
            port = int(stack.gateway_url.rpartition(":")[2])
            await _deliver(sink, port, 60)  # warm
            mine = await _deliver(sink, port, DELIVERIES)
            bare_rate = await _baseline(stack.temporal_address, f"{sink.url}/bare", "bare")
            naive_rate = await _baseline(stack.temporal_address, f"{sink.url}/naive", "naive")
            memory = {name: resident(stack.pid(name) or 0) for name in ("gateway", "worker")}
    finally:
        await sink.stop()
    return [
        (
            "deliveries against the bare SDK",
            f"{mine:.1f}/s",
            f"bare SDK loop {bare_rate:.1f}/s",
            f"{mine / bare_rate:.2f} (target 0.90)",
        ),
        (
            "deliveries against the naive design",
            f"{mine:.1f}/s",
            f"one regular activity {naive_rate:.1f}/s",
            f"{mine / naive_rate:.2f} (target 2.00)",
        ),
        ("memory", ", ".join(f"{k} {v:.0f} MiB" for k, v in memory.items()), "", "target 200 MiB each"),
    ]


async def _baseline(address: str, url: str, kind: str) -> float:
    command = [sys.executable, "-m", "bench.bare", address, url, str(DELIVERIES), str(CONNECTIONS), kind]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    return float(printed)


async def latency() -> list[Row]:
    """From the moment a webhook is due to the call at the target, at fixed rates."""
    rows: list[Row] = []
    sink = Sink()
    await sink.start()
    try:
        async with running(sink.url) as stack:
            port = int(stack.gateway_url.rpartition(":")[2])
            await _deliver(sink, port, 60)
            for rate, target in ((20, 100), (40, 500)):
                rows.append(await _end_to_end(sink, port, rate, target))
    finally:
        await sink.stop()
    return rows


async def _end_to_end(sink: Sink, port: int, rate: int, target: int) -> Row:
    count = rate * 20
    requests = load.signed_requests("/hooks/github", count, host="x", prefix="deliver")
    due = {_delivery(request): index / rate for index, request in enumerate(requests)}
    arrived: dict[str, float] = {}

    def note(call: Call) -> None:
        arrived.setdefault(call.event_id.partition(".")[0], time.perf_counter())

    sink.on_call = note
    began = time.perf_counter()
    await load.open_loop(port, requests, 32, rate)
    await _until(lambda: len(arrived) >= count)
    sink.on_call = None
    waits = sorted((arrived[key] - began - due[key]) * 1_000 for key in due)
    p50, p99 = waits[len(waits) // 2], waits[int(0.99 * len(waits))]
    return (f"end to end at {rate}/s", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms", "", f"p99 target {target} ms")


async def _deliver(sink: Sink, port: int, count: int) -> float:
    """Send `count` events and wait until each has reached the target; return events per second."""
    before = len(sink.at("/ok"))
    requests = load.signed_requests("/hooks/github", count, host="x", prefix="deliver")
    began = time.perf_counter()
    outcome = await load.closed_loop(port, requests, CONNECTIONS, 60)
    if outcome.statuses != {202: count}:
        raise RuntimeError(f"not every event was accepted: {outcome.statuses}")
    await _until(lambda: len(sink.at("/ok")) - before >= count)
    return count / (time.perf_counter() - began)


def _delivery(request: bytes) -> str:
    return request.partition(b"x-github-delivery: ")[2].partition(b"\r\n")[0].decode()


async def schemes() -> list[Row]:
    """What verifying one 1 KiB request costs, for one sender of each kind, against the bare HMAC of its body."""
    return [
        (f"verify {name}", f"{spent * 1e6:.1f} µs", f"HMAC-SHA256 {bare * 1e6:.1f} µs", f"{spent / bare:.1f}")
        for name, spent, bare in verification_costs()
    ]


async def _until(holds: Callable[[], bool], within: float = 180.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("the measurement did not finish")
        await asyncio.sleep(0.005)


async def _listening(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise TimeoutError("the empty server does not listen")


async def filters() -> list[Row]:
    """What one event costs against 1, 100 and 1,000 triggers; no server."""
    return await asyncio.to_thread(filter_costs)


PARTS: dict[str, Callable[[], Awaitable[list[Row]]]] = {
    "gateway": gateway,
    "spool": spool,
    "deliveries": deliveries,
    "latency": latency,
    "schemes": schemes,
    "abuse": abuse,
    "filters": filters,
    "bulk": bulk,
    "custody": custody,
}


async def _main(chosen: list[str]) -> None:
    table = Table(title=f"Holdfast on {platform.machine()}, Python {platform.python_version()}")
    for column in ("what", "measured", "baseline in the same run", "ratio or target"):
        table.add_column(column, overflow="fold")
    for name in chosen or PARTS:
        for row in await PARTS[name]():
            table.add_row(*row)
    Console(width=160).print(table)


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - set(PARTS)
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    uvloop.run(_main(sys.argv[1:]))
