"""CloudEvents through the HTTP surface of a running gateway."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.domain.events import Envelope
from tests import gateways
from tests.conftest import SHARED
from tests.gateways import SECRET, Running, stored
from tests.servers import NatsServer

pytestmark = pytest.mark.integration

CONFIG = """version: 1
sources:
  ce:
    dangerous_unverified: true
    event: {cloudevents: required}
  mixed:
    dangerous_unverified: true
    event: {cloudevents: optional}
  signed:
    verify: {preset: github, secrets: ["file:github.secret"]}
    event: {cloudevents: optional}
  named:
    dangerous_unverified: true
    event: {cloudevents: required, type: '"x." + event.cloudevent.source', subject: event.extensions.tenant}
"""
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json; charset=utf-8"}
BINARY = {"ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-specversion": "1.0", "Content-Type": "text/plain"}


def event(**more: Any) -> dict[str, Any]:
    """Return the least CloudEvent, and more."""
    return {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", **more}


@pytest.fixture
async def gateway(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Running]:
    """Serve on empty streams."""
    async with gateways.fresh(nats_server, tmp_path, CONFIG) as running:
        yield running


async def send(gateway: Running, document: Any, source: str = "ce") -> httpx.Response:
    """POST an event or a batch in JSON."""
    headers = BATCH if isinstance(document, list) else STRUCTURED
    return await gateway.http.post(f"/hooks/{source}", content=json.dumps(document).encode(), headers=headers)


async def test_every_public_case_comes_out_as_it_should(nats_server: NatsServer, tmp_path: Path) -> None:
    """Accepted with the attributes and data expected, or refused as malformed and not stored."""
    file = SHARED / "cloudevents_cases.json"
    if not file.exists():
        pytest.skip(f"the public CloudEvents cases are not at {file}")
    cases = json.loads(file.read_text())
    # a source each, for many cases are one event (the same source and id) under several spellings
    sources = "".join(
        f"  c{n}: {{dangerous_unverified: true, event: {{cloudevents: required}}}}\n" for n in range(len(cases))
    )
    async with gateways.fresh(nats_server, tmp_path, f"version: 1\nsources:\n{sources}") as gateway:
        for number, case in enumerate(cases):
            before = len(await stored(gateway.gateway))
            url = f"/hooks/c{number}"
            answer = await gateway.http.post(url, content=case["body"].encode(), headers=case["headers"])
            after = await stored(gateway.gateway)
            if case["expect"]["ok"] is False:
                assert (answer.status_code, answer.json()["code"]) == (400, "request.malformed"), case["name"]
                assert len(after) == before, case["name"]
            elif case["expect"].get("events") == 0:
                assert (answer.status_code, answer.json()) == (202, {"status": "accepted", "events": []})
                assert len(after) == before
            else:
                assert (answer.status_code, len(after)) == (202, before + 1), (case["name"], answer.text)
                check(after[-1][0], case)


def check(envelope: Envelope, case: dict[str, Any]) -> None:
    """Compare one stored event with what its case expects."""
    expected, name, view = case["expect"], case["name"], envelope.view()
    seen = {**view, **view["extensions"], **view["cloudevent"], "specversion": envelope.specversion}
    seen["time"] = view["time"].replace(".000Z", "Z")
    attributes = expected.get("attributes", {})
    assert {key: seen.get(key) for key in attributes} == attributes, name
    if "data" in expected:
        assert view.get("data") == expected["data"], name
    if "data_bytes" in expected:
        assert envelope.raw_body == expected["data_bytes"].encode(), name
    if expected["ok"] == "keep-raw":
        assert envelope.raw_body == case["body"].encode(), name
        assert "data" not in view
        assert view["data_error"]


async def test_an_event_is_its_source_and_id_in_every_mode(gateway: Running) -> None:
    """The same source and id is the same event, however it comes; another source or another of our sources is not."""
    first = await send(gateway, event(data={"a": 1}))
    assert (first.status_code, first.json()["duplicate"]) == (202, False)
    assert first.json()["id"].startswith("1.")
    binary = await gateway.http.post("/hooks/ce", content=b"other", headers=BINARY)
    assert (binary.json()["id"], binary.json()["duplicate"]) == (first.json()["id"], True)
    batched = await send(gateway, [event()])
    assert batched.json()["events"] == [binary.json()]
    assert (await send(gateway, event(source="/other"))).json()["duplicate"] is False
    assert (await send(gateway, event(), "mixed")).json()["duplicate"] is False
    assert len(await stored(gateway.gateway)) == 3


async def test_beside_a_signed_body_the_header_id_suppresses_nothing(gateway: Running) -> None:
    """Where the sender signs bodies only, ce-id with another body is another event, and a true repeat is one."""
    answers = []
    for body in (b"one", b"two", b"one"):
        signed = gateways.github_headers(body, "d", secret=SECRET)
        headers = {**BINARY, "X-Hub-Signature-256": signed["X-Hub-Signature-256"]}
        answers.append((await gateway.http.post("/hooks/signed", content=body, headers=headers)).json())
    assert [answer["duplicate"] for answer in answers] == [False, False, True]
    body = json.dumps(event()).encode()
    forged = {**STRUCTURED, "X-Hub-Signature-256": "sha256=" + "0" * 64}
    assert (await gateway.http.post("/hooks/signed", content=body, headers=forged)).status_code == 401


async def test_data_keeps_its_bytes_and_base64_its_binary(gateway: Running) -> None:
    """Numbers, spaces and escapes of structured data arrive as they were written; so does every byte of base64."""
    text = '{ "n": 1.10, "big": 12345678901234567890, "s":"\\u00e9\\/" }'
    whole = f'{{"data" :\n {text} , "specversion":"1.0","id":"a","source":"/s","type":"t"}}'
    assert (await gateway.http.post("/hooks/ce", content=whole.encode(), headers=STRUCTURED)).status_code == 202
    raw = bytes(range(256))
    base64_event = event(id="b", data_base64=base64.b64encode(raw).decode(), datacontenttype="application/x-thing")
    assert (await send(gateway, base64_event)).status_code == 202
    assert (await send(gateway, event(id="c", data="plain", datacontenttype="text/xml"))).status_code == 202
    events = [envelope for envelope, _ in await stored(gateway.gateway)]
    assert [envelope.raw_body for envelope in events] == [text.encode(), raw, b"plain"]
    assert [e.datacontenttype for e in events] == ["application/json", "application/x-thing", "text/xml"]


async def test_a_batch_is_taken_whole_or_not_at_all(gateway: Running) -> None:
    """One invalid event, or one too many, and none is stored; a valid batch answers every id in order, also again."""
    batch = [event(id=str(number), data="x" * (number % 7)) for number in range(50)]
    broken = await send(gateway, [*batch, event(id="")])
    assert (broken.status_code, broken.json()["code"]) == (400, "request.malformed")
    assert "Event 50" in broken.json()["detail"]
    assert (await send(gateway, [*batch, 7])).status_code == 400
    assert (await send(gateway, [event(id=str(number)) for number in range(501)])).status_code == 413
    assert await stored(gateway.gateway) == []
    accepted = await send(gateway, batch)
    assert accepted.status_code == 202
    receipts = accepted.json()["events"]
    assert [receipt["id"].partition(".")[0] for receipt in receipts] == [str(number) for number in range(50)]
    again = (await send(gateway, batch)).json()["events"]
    assert [receipt["id"] for receipt in again] == [receipt["id"] for receipt in receipts]
    assert {receipt["duplicate"] for receipt in again} == {True}
    assert len(await stored(gateway.gateway)) == 50


@pytest.mark.parametrize(
    ("headers", "document", "status"),
    [
        (STRUCTURED, event(data=1, data_base64="MQ=="), 400),
        (STRUCTURED, event(data_base64="not base64!"), 400),
        (STRUCTURED, event(specversion="0.3"), 400),
        (STRUCTURED, event(time="yesterday"), 400),
        (STRUCTURED, event(Upper="x"), 400),
        (STRUCTURED, event(ext={"an": "object"}), 400),
        (STRUCTURED, event(ext=1.5), 400),
        (STRUCTURED, event(source="has space"), 400),
        (STRUCTURED, event(dataschema="relative"), 400),
        (STRUCTURED, event(data={"a": 1}, datacontenttype="text/plain"), 400),
        (STRUCTURED, [event()], 400),
        (BATCH, event(), 400),
        ({**STRUCTURED, **{k: v for k, v in BINARY.items() if k != "Content-Type"}, "ce-id": ""}, event(), 202),
        (STRUCTURED, event(ext=True, other=-3, data=None), 202),
        ({"Content-Type": "application/cloudevents+avro"}, event(), 415),
        ({**BINARY, "ce-subject": "%C0%A0"}, None, 400),
        ({**BINARY, "ce-subject": '"open'}, None, 400),
        ({**BINARY, "ce-bad-name": "x"}, None, 400),
        ({"Content-Type": "application/json"}, {"type": "t"}, 400),
    ],
)
async def test_what_is_no_valid_cloudevent_is_refused(
    gateway: Running, headers: dict[str, str], document: Any, status: int
) -> None:
    """Each rule of the specification that a case breaks costs it a 4xx; the two that break none are accepted."""
    answer = await gateway.http.post("/hooks/ce", content=json.dumps(document).encode(), headers=headers)
    assert answer.status_code == status, answer.text
    assert len(await stored(gateway.gateway)) == (1 if status == 202 else 0)


async def test_a_mixed_source_takes_what_is_no_cloudevent_as_it_is(gateway: Running) -> None:
    """`optional`: a plain webhook passes as ever, too few ce- headers make no event, a broken event is 400."""
    plain = await gateway.http.post("/hooks/mixed", content=b"{}", headers={"Content-Type": "application/json"})
    some = await gateway.http.post("/hooks/mixed", content=b"x", headers={"ce-id": "1"})
    assert [plain.status_code, some.status_code] == [202, 202]
    assert (await send(gateway, event(type=""), "mixed")).status_code == 400
    assert [envelope.cloudevent for envelope, _ in await stored(gateway.gateway)] == [None, None]


async def test_expressions_see_the_cloudevent(gateway: Running) -> None:
    """A source's own type and subject may be made of the CloudEvent's source and extensions."""
    await send(gateway, event(tenant="acme"), "named")
    ((envelope, _),) = await stored(gateway.gateway)
    assert (envelope.type, envelope.subject) == ("x./s", "acme")
    assert envelope.view()["extensions"] == {"tenant": "acme"}


async def test_an_event_goes_on_in_its_own_trace_where_the_request_names_none(gateway: Running) -> None:
    """The Distributed Tracing extension is the parent; a header of the request comes before it."""
    inner, outer = f"00-{'a' * 32}-{'1' * 16}-01", f"00-{'b' * 32}-{'2' * 16}-01"
    await send(gateway, event(id="t-1", traceparent=inner, tracestate="k=v"))
    headers = {"content-type": "application/cloudevents+json", "traceparent": outer}
    body = json.dumps(event(id="t-2", traceparent=inner)).encode()
    await gateway.http.post("/hooks/ce", content=body, headers=headers)
    first, second = [envelope for envelope, _ in await stored(gateway.gateway)][-2:]
    assert (first.traceparent, first.tracestate) == (inner, "k=v")
    assert second.traceparent is not None
    assert second.traceparent.split("-")[1] == "b" * 32
