"""The admin API while Temporal is away or the audit log is full: 503, Retry-After, and nothing done in secret."""

import time
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from holdfast.bus.connect import Bus
from holdfast.bus.publish import Publisher
from holdfast.bus.streams import AUDIT
from holdfast.domain.access import Scope
from holdfast.errors import HoldfastError
from tests import servers
from tests.apis import Api, case_path, serving
from tests.conftest import assert_eventually
from tests.servers import NatsServer, TemporalServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SMALL = "bus: {streams: {audit: {max_bytes: 1MiB}}}\n"
BULK = {"move": "acknowledge", "select": {"where": "true"}, "confirmed": True}
LIMIT = 20  # seconds in which an answer must come, whatever is away


async def test_without_temporal_it_says_so_and_when_to_come_back(nats_server: NatsServer, tmp_path: Path) -> None:
    """Every look and operation is 503 with Retry-After within seconds; afterwards the same requests work again."""
    with servers.temporal(tmp_path) as temporal:
        async with serving(nats_server, temporal, tmp_path) as api:
            (letter,) = await api.dead_letters("away", 1)
            temporal.kill()
            await _all_refused(api, letter)
            temporal.start()

            async def back() -> bool:
                return (await api.post(case_path(letter, "acknowledge"))).status_code == 200

            await assert_eventually(back, 60)
            log = (await api.get("/v1/audit", target=letter)).json()["items"]
            assert (log[-1]["outcome"], log[-1]["status"]) == ("failed", 503)


async def _all_refused(api: Api, letter: str) -> None:
    for path in ("/v1/dead-letters", case_path(letter), "/v1/bulk", "/v1/schedules"):
        began = time.monotonic()
        _refused(await api.get(path, Scope.READ), "temporal.unavailable")
        assert time.monotonic() - began < LIMIT
    for path, given in ((case_path(letter, "acknowledge"), {}), ("/v1/bulk", BULK)):
        _refused(await api.post(path, given), "temporal.unavailable")
    assert (await api.get("/v1/triggers")).status_code == 200
    assert (await api.get("/v1/audit")).status_code == 200


def _refused(answer: httpx.Response, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, code), answer.text
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_full_audit_log_stops_operations_and_not_reading(
    nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path
) -> None:
    """503 `bus.full`; the case has not moved; the metric says so; after room was made the operation is done."""
    async with serving(nats_server, temporal_server, tmp_path, SMALL) as api:
        (letter,) = await api.dead_letters("full", 1)
        await _fill(api.bus)
        _refused(await api.post(case_path(letter, "acknowledge")), "bus.full")
        _refused(await api.post("/v1/bulk", BULK), "bus.full")
        _refused(await api.post("/v1/schedules/nightly/pause", {"reason": "x"}), "bus.full")
        assert (await api.get(case_path(letter))).json()["state"] == "open"
        assert (await api.get("/v1/audit")).status_code == 200
        await assert_eventually(lambda: _says_full(api), 30)
        await api.bus.jetstream.purge_stream(AUDIT)
        assert (await api.post(case_path(letter, "acknowledge"))).json()["state"] == "acknowledged"


async def _fill(bus: Bus) -> None:
    """Fill it to the last byte that anything fits into."""
    size = 512 * 1024
    while size:
        try:
            await bus.part(Publisher).publish(
                "audit.filler", b" " * size, {}, expected=AUDIT, timeout=timedelta(seconds=5)
            )
        except HoldfastError:
            size //= 2


async def _says_full(api: Api) -> bool:
    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"http://127.0.0.1:{api.process.ops_port}/metrics")).text
    shown = [line for line in text.splitlines() if line.startswith("holdfast_audit_fill ")]
    return bool(shown) and float(shown[0].split()[1]) > 0.99
