"""Why requests are refused is kept for people, without what a forger could use, and without slowing anybody down."""

import asyncio
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.limits import REJECTIONS_BURST
from holdfast.bus.rejections import newest_rejections, publish_rejection
from holdfast.bus.streams import REJECTED
from holdfast.cli.main import app
from holdfast.contracts.rejections import Rejection
from holdfast.domain.access import hash_of
from tests import gateways
from tests.asking import BEARER, TOKEN
from tests.buses import connected, settings_for
from tests.conftest import assert_eventually
from tests.gateways import Running, fresh
from tests.servers import NatsServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

YAML = (
    gateways.CONFIG
    + f"""api:
  tokens:
    watcher: {{scope: read, hash: "{hash_of(TOKEN)}"}}
"""
)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


async def kept(running: Running, count: int, **wanted: str) -> list[dict[str, object]]:
    """Wait until `count` refusals are listed; return them, the newest first."""
    found: list[dict[str, object]] = []

    async def there() -> bool:
        response = await running.http.get("/rejected", params=wanted, headers=BEARER)
        assert response.status_code == 200, response.text
        found[:] = response.json()["rejected"]
        return len(found) >= count

    await assert_eventually(there, 10, f"{count} refusals are kept")
    return found


async def test_each_refusal_says_exactly_why(nats_server: NatsServer, tmp_path: Path) -> None:
    """The sender is told one sentence for every broken proof; the log tells them apart."""
    async with fresh(nats_server, tmp_path, YAML) as running:
        body = b'{"a": 1}'
        assert (await running.http.post("/hooks/github", content=body)).status_code == 401
        assert (await running.github(body, secret="another")).status_code == 401
        old = str(int((datetime.now(UTC) - timedelta(seconds=412)).timestamp()))
        signature = hmac.new(gateways.ORDERS_SECRET.encode(), f"{old}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"X-Signature": signature, "X-Timestamp": old}
        assert (await running.http.post("/hooks/orders/acme", content=body, headers=headers)).status_code == 401
        assert (await running.http.post("/hooks/nope", content=body)).status_code == 404
        assert (await running.http.put("/hooks/github", content=body)).status_code == 405
        assert (await running.http.post("/hooks/open", content=b"x" * 1_001)).status_code == 413
        found = await kept(running, 6)
        assert [each["code"] for each in reversed(found)] == [
            "signature.missing",
            "signature.invalid",
            "signature.stale",
            "source.unknown",
            "request.method_not_allowed",
            "request.too_large",
        ]
        reasons = [str(each["reason"]) for each in reversed(found)]
        assert "x-hub-signature-256" in reasons[0].lower()
        assert reasons[1] == "no signature matches"
        assert reasons[2].startswith(("the signed timestamp is 412 s old", "the signed timestamp is 413 s old"))
        wrong = found[-2]
        assert (wrong["size"], wrong["body_sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
        assert (wrong["method"], wrong["path"], wrong["peer"]) == ("POST", "/hooks/github", "127.0.0.1")
        assert found[2]["source"] == "_unknown"
        assert found[3]["path"] == "/hooks/orders/{tenant}"
        assert [each["code"] for each in await kept(running, 1, source="orders")] == ["signature.stale"]
        assert [each["source"] for each in await kept(running, 1, code="source.unknown")] == ["_unknown"]
        assert len((await running.http.get("/rejected?limit=2", headers=BEARER)).json()["rejected"]) == 2


async def test_nothing_secret_is_kept(nats_server: NatsServer, tmp_path: Path) -> None:
    """No signature, credential, cookie, query value, body or capability in a path is in the stream's bytes."""
    canary = "canary-9d8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f"
    async with fresh(nats_server, tmp_path, YAML) as running:
        secrets = {
            "X-Hub-Signature-256": f"sha256={canary}",
            "Authorization": f"Bearer {canary}",
            "Cookie": f"session={canary}",
            "X-Api-Key": canary,
            "X-Custom": canary,
        }
        query = f"token={canary}&{canary}"
        await running.http.post(f"/hooks/github?{query}", content=canary.encode(), headers=secrets)
        await running.http.post(f"/hooks/{canary}?{query}", content=canary.encode(), headers=secrets)
        await running.http.post("/hooks/token", content=canary.encode(), headers=secrets)
        await kept(running, 3)
        js = running.gateway.bus.jetstream
        for sequence in range(1, (await js.stream_info(REJECTED)).state.last_seq + 1):
            data = (await js.get_msg(REJECTED, sequence)).data or b""
            assert b"canary" not in data
            assert b"x-api-key" in data


async def test_wrong_questions_are_refused(nats_server: NatsServer, tmp_path: Path) -> None:
    """400 that says what is right."""
    async with fresh(nats_server, tmp_path, YAML) as running:
        for query in ("since=yesterday", "limit=0", "limit=99999", "limit=%D9%A3", "code=A%20B", "nope=1"):
            response = await running.http.get(f"/rejected?{query}", headers=BEARER)
            assert (response.status_code, response.json()["code"]) == (400, "input.invalid"), query


async def test_a_flood_is_counted_and_not_kept(nats_server: NatsServer, tmp_path: Path) -> None:
    """Guessing paths fills neither bus nor disk; another source's refusals are kept all the same, and events go on."""
    async with fresh(nats_server, tmp_path, YAML) as running:
        flood = REJECTIONS_BURST * 3
        await asyncio.gather(*(running.http.post(f"/hooks/guess-{number}") for number in range(flood)))
        assert (await running.github(b"{}", secret="wrong")).status_code == 401
        assert (await running.github(b"{}")).status_code == 202
        await kept(running, 1, source="github")
        found = await kept(running, REJECTIONS_BURST, source="_unknown")
        assert len(found) < flood
        metrics = (await running.ops.get("/metrics")).text
        assert 'holdfast_gateway_rejections_unkept_total{reason="rate",source="_unknown"}' in metrics


async def test_the_stream_keeps_the_newest_of_each_source(nats_server: NatsServer) -> None:
    """A log may forget: the oldest of one source goes, the others stay."""
    async with connected(nats_server) as bus:
        limit = (await bus.jetstream.stream_info(REJECTED)).config.max_msgs_per_subject
        assert limit == 1_000
        await publish_rejection(bus, rejection("quiet", "the one"))
        for number in range(1_003):
            await publish_rejection(bus, rejection("noisy", str(number)))
        assert [each.reason for each in await newest_rejections(bus, since=LONG_AGO, source="quiet")] == ["the one"]
        noisy = await newest_rejections(bus, since=LONG_AGO, source="noisy", limit=2_000)
        assert [each.reason for each in noisy] == [str(number) for number in range(1_002, 2, -1)]
        assert [each.reason for each in await newest_rejections(bus, since=LONG_AGO, limit=2)] == ["1002", "1001"]


async def test_the_command_lists_them(nats_server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`holdfast rejected list` reads the bus itself: filters, reasons, JSON, and how many were not kept."""
    settings = settings_for(nats_server)
    monkeypatch.setenv("NATS_URL", settings.nats_url)
    monkeypatch.setenv("NATS_USER", settings.nats_user or "")
    monkeypatch.setenv("NATS_PASSWORD", settings.nats_password.get_secret_value() if settings.nats_password else "")
    monkeypatch.setenv("HOLDFAST_DATA_DIR", str(tmp_path))
    async with connected(nats_server) as bus:
        await publish_rejection(bus, rejection("github", "no signature matches"))
        await publish_rejection(bus, rejection("stripe", "[stale]", code="signature.stale", not_kept=7))
        shown = await run("rejected", "list")
        assert shown.index("[stale]") < shown.index("no signature matches")
        assert "and 7 more" in shown
        assert "stripe" not in await run("rejected", "list", "--source", "github", "--since", "1h")
        (only,) = json.loads(await run("rejected", "list", "--code", "signature.stale", "--json"))
        assert only["source"] == "stripe"
        assert "No refused requests" in await run("rejected", "list", "--source", "none")


async def run(*words: str) -> str:
    """Run a command in a thread of its own, as it starts a loop."""
    result = await asyncio.to_thread(CliRunner().invoke, app, list(words))
    assert result.exit_code == 0, result.output
    return result.stdout


def rejection(source: str, reason: str, code: str = "signature.invalid", not_kept: int = 0) -> Rejection:
    """One record."""
    return Rejection(
        at=datetime.now(UTC),
        source=source,
        status=401,
        code=code,
        reason=reason,
        method="POST",
        path=f"/hooks/{source}",
        not_kept=not_kept,
    )
