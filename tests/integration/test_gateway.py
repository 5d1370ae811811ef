import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.bus.objects import load_body
from tests import gateways
from tests.conftest import SHARED
from tests.gateways import ORDERS_SECRET, Running, json_body, stored
from tests.servers import NatsServer

pytestmark = pytest.mark.integration


@pytest.fixture
async def gateway(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Running]:
    """Serve on empty streams."""
    async with gateways.fresh(nats_server, tmp_path) as running:
        yield running


def order_headers(body: bytes, delivery: str, moment: float | None = None) -> dict[str, str]:
    """Sign as the source `orders` expects."""
    timestamp = str(int(time.time() if moment is None else moment))
    digest = hmac.new(ORDERS_SECRET.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Signature": digest, "X-Timestamp": timestamp, "X-Delivery-Id": delivery}


async def test_a_signed_webhook_is_answered_202_and_lies_on_the_bus(gateway: Running) -> None:
    """The answer names the event that is stored, and what is stored is the body, byte for byte."""
    body = json_body(ref="refs/heads/main", repository={"full_name": "acme/app"})
    answer = await gateway.github(body, "72d3162e")
    event_id = f"72d3162e.{hashlib.sha256(body).hexdigest()[:32]}"
    assert answer.status_code == 202
    assert answer.json() == {"id": event_id, "status": "accepted", "duplicate": False}
    assert answer.headers["location"] == f"/events/github/{event_id}"
    assert "server" not in answer.headers
    ((envelope, _),) = await stored(gateway.gateway)
    assert envelope.raw_body == body
    assert (envelope.id, envelope.source, envelope.type) == (event_id, "github", "push")
    assert envelope.subject == "acme/app"
    assert "x-hub-signature-256" not in envelope.headers


async def test_the_same_delivery_again_is_one_event_and_no_error(gateway: Running) -> None:
    """A repeat is answered 2xx with duplicate true; another body under the same delivery id is another event."""
    body = json_body(a=1)
    await gateway.github(body, "same")
    again = await gateway.github(body, "same")
    assert (again.status_code, again.json()["duplicate"]) == (202, True)
    other = await gateway.github(json_body(a=2), "same")
    assert other.json()["duplicate"] is False
    assert len(await stored(gateway.gateway)) == 2


async def test_nothing_unproven_is_stored(gateway: Running) -> None:
    """A wrong, missing, doubled or non-ASCII signature is 401, an unknown source 404, and the stream stays empty."""
    body = json_body(a=1)
    right = gateways.github_headers(body, "d")
    signature = right.pop("X-Hub-Signature-256")
    attempts: list[list[tuple[bytes, bytes]]] = [
        [],
        [(b"X-Hub-Signature-256", b"sha256=" + b"0" * 64)],
        [(b"X-Hub-Signature-256", b"\xff\xfe\x80")],
        [(b"X-Hub-Signature-256", signature.encode()), (b"X-Hub-Signature-256", signature.encode())],
    ]
    plain = [(name.encode(), value.encode()) for name, value in right.items()]
    for signatures in attempts:
        answer = await gateway.http.post("/hooks/github", content=body, headers=[*plain, *signatures])
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"].startswith("signature.")
    assert (await gateway.github(body, secret="other")).status_code == 401
    unknown = await gateway.http.post("/hooks/nobody", content=body)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "source.unknown")
    assert await stored(gateway.gateway) == []


async def test_a_source_with_its_own_route_identity_and_answer(gateway: Running) -> None:
    """Path parts, CEL identity joined with the body's hash, type, subject and the configured answer."""
    body = json_body(action="paid", order_id="o-7")
    answer = await gateway.http.post(
        "/hooks/orders/acme%2Feu?src=a",
        content=body,
        headers={**order_headers(body, "dlv-1"), "Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.text) == (200, "ok")
    ((envelope, _),) = await stored(gateway.gateway)
    assert envelope.id == f"dlv-1.{envelope.body_sha256[:32]}"
    assert (envelope.type, envelope.subject) == ("order.paid", "o-7")
    assert (envelope.path, envelope.query) == ({"tenant": "acme/eu"}, {"src": "a"})
    stale = await gateway.http.post(
        "/hooks/orders/x", content=body, headers=order_headers(body, "dlv-2", time.time() - 400)
    )
    assert (stale.status_code, stale.json()["code"]) == (401, "signature.stale")


async def test_the_cap_is_exact_with_and_without_a_length(gateway: Running) -> None:
    """A body of the cap passes, one byte more is 413, announced or chunked; the connection stays usable for others."""

    async def chunks(size: int) -> AsyncIterator[bytes]:
        for start in range(0, size, 300):
            yield b"x" * min(300, size - start)

    for size, status in ((999, 202), (1000, 202), (1001, 413), (200_000, 413)):
        announced = await gateway.http.post("/hooks/open", content=b"x" * size)
        assert announced.status_code == status
        chunked = await gateway.http.post("/hooks/open", content=chunks(size))
        assert chunked.status_code == status
    refused = await gateway.http.post("/hooks/open", content=b"x" * 1001)
    assert refused.json()["code"] == "request.too_large"
    assert refused.headers["connection"] == "close"


async def test_every_body_of_a_megabyte_fits_the_bus(gateway: Running) -> None:
    """Quotes, control characters and binary grow differently in the record; none of them outgrows the message."""
    for fill in (b'"', b"\n", b"\x01", b"\xff", b"x"):
        body = fill * 1_048_576
        answer = await gateway.http.post("/hooks/large", content=body)
        assert answer.status_code == 202, fill
    bodies = [await load_body(gateway.gateway.bus, envelope) for envelope, _ in await stored(gateway.gateway)]
    assert {body[:1] for body in bodies if len(body) == 1_048_576} == {
        b'"',
        b"\n",
        b"\x01",
        b"\xff",
        b"x",
    }


async def test_what_http_asks_for(gateway: Running) -> None:
    """405 names the methods, a compressed body is 415, a broken one 400, an unknown page 404: all as problems."""
    wrong = await gateway.http.get("/hooks/github")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    packed = await gateway.http.post("/hooks/open", content=b"x", headers={"Content-Encoding": "gzip"})
    assert packed.status_code == 415
    broken = await gateway.http.post("/hooks/open", content=b"{", headers={"Content-Type": "application/json"})
    assert (broken.status_code, broken.json()["code"]) == (400, "request.malformed")
    for path in ("/nowhere", "/hooks", "/hooks/", "/hooks/github/"):
        assert (await gateway.http.get(path)).status_code == 404
    deleted = await gateway.http.delete("/healthz/live")
    assert (deleted.status_code, deleted.headers["allow"]) == (405, "GET")
    for answer in (wrong, packed, broken, deleted):
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


async def test_no_outer_header_becomes_a_command_to_the_bus(gateway: Running) -> None:
    """Roll-up, deduplication, expectation and status headers of a sender stay outside."""
    hostile = {
        "Nats-Rollup": "all",
        "Nats-Msg-Id": "fixed",
        "Nats-TTL": "1s",
        "Nats-Expected-Stream": "OTHER",
        "Nats-Expected-Last-Sequence": "99",
        "Status": "404",
        "Description": "No Messages",
    }
    for number in range(3):
        answer = await gateway.github(json_body(number=number), f"h-{number}", headers=hostile)
        assert (answer.status_code, answer.json()["duplicate"]) == (202, False)
    messages = await stored(gateway.gateway)
    assert len(messages) == 3
    for _, headers in messages:
        assert set(headers) == {"Nats-Msg-Id", "Nats-Expected-Stream"}
        assert headers["Nats-Msg-Id"] != "fixed"


async def test_the_trace_of_the_sender_is_kept_and_a_broken_one_replaced(gateway: Running) -> None:
    """A valid traceparent goes with the event; junk never does, and every event has a trace."""
    sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await gateway.github(json_body(n=1), "t-1", headers={"traceparent": sent, "tracestate": "a=1"})
    await gateway.github(json_body(n=2), "t-2", headers={"traceparent": "00-0-0-01", "tracestate": "a=1"})
    (first, _), (second, _) = await stored(gateway.gateway)
    assert (first.traceparent, first.tracestate) == (sent, "a=1")
    assert second.traceparent is not None
    assert second.traceparent.startswith("00-")
    assert len(second.traceparent) == 55
    assert second.tracestate is None


async def test_secrets_reach_neither_logs_nor_the_bus_nor_answers(
    gateway: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the configured secrets nor signatures, tokens or bodies appear anywhere but in the event's own body."""
    caplog.set_level("DEBUG")
    body = json_body(text="canary-body-51c2")
    accepted = await gateway.github(body, "c-1", headers={"Authorization": "Bearer canary-token", "Cookie": "canary"})
    refused = await gateway.github(body, "c-2", secret="wrong")
    token = await gateway.http.post("/hooks/token", content=b"x", headers={"Authorization": "Bearer canary-wrong"})
    assert [accepted.status_code, refused.status_code, token.status_code] == [202, 401, 401]
    seen = " ".join(str(vars(record)) for record in caplog.records if not record.name.startswith(("httpx", "httpcore")))
    assert "request.rejected" in seen
    pages = [accepted.text, refused.text, token.text, (await gateway.http.get("/openapi.json")).text]
    pages.append((await gateway.ops.get("/metrics")).text)
    for place in (seen, *pages):
        assert "canary" not in place
    ((envelope, _),) = await stored(gateway.gateway)
    assert "canary" not in json.dumps(envelope.headers)


async def test_health_metrics_and_the_description_of_the_routes(gateway: Running) -> None:
    """Both ports tell health; the operators' port shows what was counted; OpenAPI names every source's route."""
    await gateway.github(json_body(n=1), "m-1")
    await gateway.http.post("/hooks/guess-1", content=b"x")
    for client in (gateway.http, gateway.ops):
        assert (await client.get("/healthz/live")).json() == {"status": "live"}
        assert (await client.get("/healthz/ready")).json()["status"] == "ready"
    metrics = (await gateway.ops.get("/metrics")).text
    assert 'holdfast_gateway_requests_total{source="github",status="202"} 1.0' in metrics
    assert 'source="_unknown"' in metrics
    assert "guess-1" not in metrics
    assert (await gateway.http.get("/metrics")).status_code == 404
    paths = (await gateway.http.get("/openapi.json")).json()["paths"]
    assert {"/hooks/github", "/hooks/orders/{tenant}", "/healthz/ready"} <= set(paths)
    assert "503" in paths["/hooks/github"]["post"]["responses"]


async def test_all_public_github_payloads_come_through_unchanged(gateway: Running) -> None:
    """Each real payload is accepted, and lies on the bus byte for byte as it was sent."""
    files = sorted((SHARED / "github").glob("*.json"))
    if not files:
        pytest.skip(f"the public GitHub payloads are not at {SHARED / 'github'}")
    for number, file in enumerate(files):
        answer = await gateway.github(file.read_bytes(), f"gh-{number}", event=file.name.partition(".")[0])
        assert answer.status_code == 202, file.name
    bodies = [(envelope.type, envelope.raw_body) for envelope, _ in await stored(gateway.gateway)]
    assert bodies == [(file.name.partition(".")[0], file.read_bytes()) for file in files]
