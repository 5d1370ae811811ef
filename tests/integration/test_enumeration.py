"""Guessing names of sources: an unknown one costs what a wrong signature costs, and says as little."""

import asyncio
import json
import statistics
import time
from collections import defaultdict
from pathlib import Path

import httpx
import pytest

from holdfast.domain.sources import MAX_BODY
from tests import gateways
from tests.gateways import CONFIG, Running
from tests.senders import send
from tests.servers import NatsServer

pytestmark = pytest.mark.integration

ROUNDS = 80
FACTOR = 1.8
"""Medians of requests that take turns lie within a few percent of each other; leaving the body unread, or unhashed and
unread, would make one several times the other. So this bound is wide for a loaded machine and narrow for a mistake."""
MORE = """  discord:
    verify: {preset: discord, secrets: ["file:discord.secret"]}
  basic:
    verify: {preset: basic, secrets: ["file:basic.secret"]}
"""
WRONG = {
    "github": {"x-hub-signature-256": "sha256=" + "0" * 64},
    "discord": {"x-signature-ed25519": "0" * 128, "x-signature-timestamp": "1"},
    "basic": {"authorization": "Basic eDp5"},
    "token": {"authorization": "Bearer wrong"},
    "nobody": {"x-hub-signature-256": "sha256=" + "0" * 64},
}


async def ask(gateway: Running, source: str, body: bytes) -> tuple[float, httpx.Response]:
    """Send one request that cannot be verified; return how long its answer took, seconds."""
    began = time.perf_counter()
    answer = await gateway.http.post(f"/hooks/{source}", content=body, headers=WRONG[source])
    return time.perf_counter() - began, answer


async def test_an_unknown_source_looks_like_a_wrong_signature(nats_server: NatsServer, tmp_path: Path) -> None:
    """For every kind of proof: the same time, the same header names, nothing of the inside; 404 beside 401."""
    (tmp_path / "discord.secret").write_text(send("discord").secrets[0])
    (tmp_path / "basic.secret").write_text("user:password")
    async with gateways.fresh(nats_server, tmp_path, CONFIG + MORE) as gateway:
        body = b"x" * 500_000
        taken: defaultdict[str, list[float]] = defaultdict(list)
        for _ in range(ROUNDS):
            for source in WRONG:
                seconds, answer = await ask(gateway, source, body)
                taken[source].append(seconds)
                assert answer.status_code == (404 if source == "nobody" else 401)
                names = set(answer.headers) - {"www-authenticate"}
                assert names == {"date", "content-type", "content-length"}
                assert answer.json().keys() == {"type", "title", "status", "code", "detail"}
                assert source not in json.dumps(answer.json())
    unknown = statistics.median(taken.pop("nobody"))
    for source, times in taken.items():
        assert 1 / FACTOR < statistics.median(times) / unknown < FACTOR, (source, unknown, statistics.median(times))


async def test_an_unknown_source_is_bounded_like_a_known_one(nats_server: NatsServer, tmp_path: Path) -> None:
    """Too large is 413 and compressed is 415 on both, so that no refusal tells which names exist."""
    async with gateways.fresh(nats_server, tmp_path) as gateway:
        for source in ("github", "nobody"):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.gateway.port)
            head = f"POST /hooks/{source} HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n"
            writer.write(head.encode())
            assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 413")
            writer.close()
            squeezed = {"content-encoding": "gzip"}
            answer = await gateway.http.post(f"/hooks/{source}", content=b"x", headers=squeezed)
            assert answer.status_code == 415
