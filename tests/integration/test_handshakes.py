"""What providers ask before they send events, through the HTTP surface of a running gateway."""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import gateways
from tests.conftest import SHARED
from tests.gateways import SECRET, Running, stored
from tests.servers import NatsServer

pytestmark = pytest.mark.integration

_V0 = (
    'verify: {preset: hmac, header: X-Signature, prefix: "v0=", signed: "v0:{timestamp}:{body}",'
    ' timestamp: {header: X-Timestamp}, secrets: ["file:new.secret", "file:github.secret"]}'
)
CONFIG = f"""version: 1
sources:
  slack:
    {_V0}
    handshake: slack
  zoom:
    {_V0}
    handshake: zoom
  discord:
    {_V0}
    handshake: discord
  eventgrid:
    {_V0}
    handshake: eventgrid
  aws-sns:
    {_V0}
    handshake: aws-sns
  twitter:
    {_V0}
    handshake: twitter
  dropbox: {{dangerous_unverified: true, handshake: dropbox}}
  meta: {{dangerous_unverified: true, handshake: meta, handshake_token: "file:token.secret"}}
  okta: {{dangerous_unverified: true, handshake: okta}}
  msgraph: {{dangerous_unverified: true, handshake: msgraph}}
  intercom: {{dangerous_unverified: true, handshake: intercom}}
  asana: {{dangerous_unverified: true, handshake: asana}}
  cloudevents: {{dangerous_unverified: true, event: {{cloudevents: required}}}}
  adyen: {{dangerous_unverified: true, respond: {{status: 200, body: "[accepted]"}}}}
  silent: {{dangerous_unverified: true, event: {{cloudevents: optional}}, handshake: none}}
"""
_SUBSCRIBE = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336"
UNSUBSCRIBED = {"Type": "UnsubscribeConfirmation", "SubscribeURL": _SUBSCRIBE}
SUBSCRIBED = {"Type": "SubscriptionConfirmation", "SubscribeURL": _SUBSCRIBE}
_SOURCE_OF = {
    "microsoft-graph": "msgraph",
    "azure-event-grid": "eventgrid",
    "cloudevents-webhook": "cloudevents",
    "discord-webhook-events": "discord",
}


class Amazon:
    """Stands in for Amazon SNS: remembers what it was asked to confirm."""

    def __init__(self) -> None:
        self.confirmed: list[tuple[str, str]] = []

    def __call__(self, source: str, url: str) -> None:
        """Confirm."""
        self.confirmed.append((source, url))

    async def close(self) -> None:
        """Nothing is under way."""


@pytest.fixture
def amazon() -> Amazon:
    """Nobody has asked yet."""
    return Amazon()


@pytest.fixture
async def gateway(nats_server: NatsServer, tmp_path: Path, amazon: Amazon) -> AsyncIterator[Running]:
    """Serve on empty streams."""
    (tmp_path / "new.secret").write_text("canary-not-in-use-yet")
    (tmp_path / "token.secret").write_text("my-verify-token")
    async with gateways.fresh(nats_server, tmp_path, CONFIG, confirm=amazon) as running:
        yield running


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """Headers that prove a body."""
    stamp = str(int(time.time()))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Signature": f"v0={digest}", "X-Timestamp": stamp}


async def ask(gateway: Running, source: str, document: Any, **more: Any) -> httpx.Response:
    """POST a signed JSON body."""
    body = json.dumps(document).encode()
    headers = {**signed(body, more.get("secret", SECRET)), "Content-Type": "application/json"}
    return await gateway.http.post(f"/hooks/{source}", content=body, headers={**headers, **more.get("headers", {})})


async def test_every_public_vector_is_answered_and_nothing_is_stored(gateway: Running) -> None:
    """Status, headers and body are those expected; the stream holds only the two that are events."""
    file = SHARED / "handshake_vectors.json"
    if not file.exists():
        pytest.skip(f"the public handshakes are not at {file}")
    for vector in json.loads(file.read_text()):
        asked, expected = vector["request"], vector["expect"]
        source = _SOURCE_OF.get(vector["provider"], vector["provider"])
        body = asked["body"].replace("<vector body>", json.dumps(UNSUBSCRIBED)).encode()
        answer = await gateway.http.request(
            asked["method"],
            asked["path"].replace("/in/x", f"/hooks/{source}"),
            content=body,
            headers={**signed(body), **asked["headers"]},
        )
        name = vector["provider"], vector["source"]
        assert answer.status_code == expected["status"], (name, answer.text)
        for header, value in expected["headers"].items():
            assert answer.headers[header].partition(";")[0] == value, name
        if vector["provider"] == "zoom":
            token = json.loads(body)["payload"]["plainToken"]
            mac = hmac.new(SECRET.encode(), token.encode(), hashlib.sha256).hexdigest()
            assert answer.json() == {"plainToken": token, "encryptedToken": mac}
        elif expected["body"] is not None:
            assert answer.text == expected["body"], name
    assert {envelope.source for envelope, _ in await stored(gateway.gateway)} == {"adyen", "cloudevents"}


async def test_a_subscription_is_confirmed_and_an_end_of_one_is_not(gateway: Running, amazon: Amazon) -> None:
    """SNS: a proven question is confirmed once, and unsubscribing never subscribes again."""
    assert (await ask(gateway, "aws-sns", SUBSCRIBED)).status_code == 200
    assert (await ask(gateway, "aws-sns", UNSUBSCRIBED)).status_code == 200
    assert (await ask(gateway, "aws-sns", {**SUBSCRIBED, "Type": "Notification"})).status_code == 202
    assert amazon.confirmed == [("aws-sns", _SUBSCRIBE)]
    assert len(await stored(gateway.gateway)) == 1


async def test_an_unproven_question_is_not_answered(gateway: Running, amazon: Amazon) -> None:
    """Slack, Zoom and Discord sign what they ask: a wrong signature is 401, and no secret is used for it."""
    questions: dict[str, Any] = {
        "slack": {"type": "url_verification", "challenge": "canary-challenge"},
        "zoom": {"event": "endpoint.url_validation", "payload": {"plainToken": "canary-token"}},
        "discord": {"type": 1},
        "aws-sns": SUBSCRIBED,
    }
    for source, document in questions.items():
        answer = await ask(gateway, source, document, secret="wrong")
        assert answer.status_code == 401, source
        assert "canary" not in answer.text
    assert amazon.confirmed == []
    assert (await ask(gateway, "discord", {"type": 1})).json() == {"type": 1}
    wrong_token = {"hub.mode": "subscribe", "hub.challenge": "1", "hub.verify_token": "guess"}
    assert (await gateway.http.get("/hooks/meta", params=wrong_token)).status_code == 401
    assert await stored(gateway.gateway) == []


async def test_no_challenge_makes_the_gateway_sign_a_forged_event(gateway: Running) -> None:
    """What is hashed with the secret can be no body: a challenge of another form is no handshake."""
    body = '{"forged": true}'
    crc = await gateway.http.get("/hooks/twitter", params={"crc_token": body})
    assert crc.status_code == 405
    zoom = await ask(gateway, "zoom", {"event": "endpoint.url_validation", "payload": {"plainToken": f"v0:1:{body}"}})
    assert (zoom.status_code, zoom.json()["status"]) == (202, "accepted")
    good = await gateway.http.get("/hooks/twitter", params={"crc_token": "NGE3OTc1"})
    assert good.json()["response_token"].startswith("sha256=")


async def test_events_that_look_alike_are_events(gateway: Running) -> None:
    """A body that mentions a handshake, or asks in the wrong place or form, is stored like any other."""
    likes: list[tuple[str, Any]] = [
        ("slack", {"type": "event_callback", "event": {"text": "url_verification", "challenge": "x"}}),
        ("slack", {"type": "url_verification"}),
        ("slack", ["url_verification"]),
        ("discord", {"type": 1, "event": {"type": "APPLICATION_AUTHORIZED"}}),
        ("discord", {"type": True}),
        ("zoom", {"event": "meeting.started", "payload": {"plainToken": "x"}}),
    ]
    for source, document in likes:
        assert (await ask(gateway, source, document)).status_code == 202, document
    secret = await gateway.http.post("/hooks/asana", content=b'{"events": [1]}', headers={"X-Hook-Secret": "abc"})
    graph = await gateway.http.post("/hooks/msgraph?validationToken=x", content=b'{"value": []}')
    assert [secret.status_code, graph.status_code] == [202, 202]
    assert len(await stored(gateway.gateway)) == len(likes) + 2


async def test_methods_reach_only_the_handshakes_that_use_them(gateway: Running) -> None:
    """GET and OPTIONS are 405 where no handshake has them, or the request is none; unknown sources stay 404."""
    for method, path in (
        ("GET", "/hooks/slack?challenge=1"),
        ("OPTIONS", "/hooks/dropbox"),
        ("GET", "/hooks/dropbox"),
        ("GET", "/hooks/meta?hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=my-verify-token"),
        ("OPTIONS", "/hooks/cloudevents"),
        ("OPTIONS", "/hooks/silent"),
        ("DELETE", "/hooks/okta"),
    ):
        answer = await gateway.http.request(method, path, headers={"X-Other": "1"})
        assert (answer.status_code, answer.headers.get("allow")) == (405, "POST"), path
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await gateway.http.get("/hooks/nobody?challenge=1")).status_code == 404
    paths = (await gateway.http.get("/openapi.json")).json()["paths"]
    assert {path: sorted(paths[path].keys()) for path in ("/hooks/slack", "/hooks/dropbox", "/hooks/cloudevents")} == {
        "/hooks/slack": ["post"],
        "/hooks/dropbox": ["get", "post"],
        "/hooks/cloudevents": ["options", "post"],
    }


async def test_an_echo_is_plain_text_that_no_browser_runs(gateway: Running) -> None:
    """Markup in a challenge comes back as text/plain with nosniff; a line break never comes back at all."""
    markup = "<script>alert(1)</script>"
    for url, field in (("/hooks/dropbox", "challenge"), ("/hooks/msgraph", "validationToken")):
        method = "GET" if field == "challenge" else "POST"
        answer = await gateway.http.request(method, url, params={field: markup})
        assert (answer.status_code, answer.text) == (200, markup)
        assert answer.headers["content-type"] == "text/plain"
        assert answer.headers["x-content-type-options"] == "nosniff"
    broken = await gateway.http.get("/hooks/dropbox", params={"challenge": "a\r\nSet-Cookie: b"})
    assert broken.status_code == 405


async def test_no_question_is_a_500(gateway: Running) -> None:
    """Doubled, empty, odd and hostile questions end in an answer of ours."""
    odd: list[Any] = [None, [], [[]], {"payload": []}, {"payload": {"plainToken": {}}}, {"type": []}, "x", 1]
    for source in ("slack", "zoom", "discord", "eventgrid", "aws-sns"):
        for document in odd:
            answer = await ask(gateway, source, document, headers={"aeg-event-type": "SubscriptionValidation"})
            assert answer.status_code in {200, 202, 400}, (source, document)


async def test_intercoms_probe_is_answered_and_nobody_elses(gateway: Running) -> None:
    """HEAD is 200 without a body where the sender probes, and 405 elsewhere."""
    probe = await gateway.http.head("/hooks/intercom")
    assert (probe.status_code, probe.content) == (200, b"")
    assert (await gateway.http.head("/hooks/slack")).status_code == 405
    assert await stored(gateway.gateway) == []
