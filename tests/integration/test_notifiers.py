"""Every notifier against a real server of its kind: what exactly it sends, and what it makes of the answer."""

import asyncio
import base64
import contextlib
import email
import email.policy
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from activities.http import new_client
from activities.notifiers.documents import message_id
from activities.notifiers.texts import Links
from activities.notify import Sender
from holdfast.bus.connect import Bus
from holdfast.clock import SystemClock
from holdfast.contracts.notifications import Notification
from holdfast.domain.incidents import Sample
from holdfast.errors import HoldfastError, PermanentFailure, TransientFailure
from holdfast.settings.secrets import Secrets
from tests import buses, durable
from tests.inboxes import Inbox, inbox
from tests.servers import NatsServer

pytestmark = pytest.mark.integration

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LINKS = Links("http://ui.example", "default")
KEY = "escalation/oncall/trigger/bill/2026-01-02T03:04:05.000Z-1"


def said(notifier: str, about: Any = "alarm", **more: Any) -> Notification:
    """What an escalation has to say of three failures."""
    case = Sample("dead-letter/bill/shop/e-1", NOW, "target.refused", "HTTP 404 <!channel> *x*", "shop", "e-1", "t")
    given = Notification(
        id=f"{KEY}/{about}/{notifier}/1.1",
        notifier=notifier,
        about=about,
        escalation="oncall",
        group="trigger/bill",
        incident=KEY,
        workflow_id="escalation/oncall/trigger/bill",
        at=NOW,
        since=NOW,
        tier=1,
        waiting=2,
        open=3,
        failures=3,
        codes={"target.refused": 3},
        samples=(case,),
        trigger="bill",
        source="shop",
        stage="delivery",
        by="ana",
    )
    return given.model_copy(update=more)


@contextlib.asynccontextmanager
async def sender(
    directory: Path, notifiers: str, env: Mapping[str, str], bus: Bus | None = None
) -> AsyncIterator[Sender]:
    """What sends, with a configuration of one's own."""
    loaded = durable.config(directory, f"version: 1\nnotifiers:\n{notifiers}\n")
    async with new_client() as http:
        yield Sender(
            loaded.config.notifiers,
            Secrets(directory, env),
            http,
            bus,  # type: ignore[arg-type]  # only `nats` asks for it
            SystemClock(),
        )


@pytest.fixture
async def box() -> AsyncIterator[Inbox]:
    """An endpoint that keeps what it is sent."""
    async with inbox() as opened:
        yield opened


async def test_slack_gets_text_and_blocks(tmp_path: Path, box: Inbox) -> None:
    """The text is the title, the blocks hold facts, case, commands and link; nothing in them is markup of an event."""
    async with sender(tmp_path, "  s: {slack: {url: 'env:S'}}", {"S": f"{box.url}/services/T/B/x"}) as send:
        assert await send.send(said("s"), LINKS) == "HTTP 200"
    (post,) = box.at("/services/T/B/x")
    assert post.headers["content-type"] == "application/json"
    assert post.json["text"] == "3 failures of trigger bill: 2 not acknowledged"
    kinds = [block["type"] for block in post.json["blocks"]]
    assert kinds == ["header", "section", "section", "section", "section"]
    whole = json.dumps(post.json)
    assert "<!channel>" not in whole
    assert "&lt;!channel&gt;" in whole
    assert "holdfast escalations acknowledge 'escalation/oncall/trigger/bill'" in whole
    assert "http://ui.example/namespaces/default/workflows/escalation%2Foncall%2Ftrigger%2Fbill" in whole


async def test_teams_gets_an_adaptive_card(tmp_path: Path, box: Inbox) -> None:
    """The message of a Workflows webhook: one attachment, an Adaptive Card with a way to the UI."""
    async with sender(tmp_path, "  t: {teams: {url: 'env:T'}}", {"T": f"{box.url}/workflows/x"}) as send:
        await send.send(said("t"), LINKS)
    (post,) = box.posts
    (attachment,) = post.json["attachments"]
    assert (post.json["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert card["actions"][0]["type"] == "Action.OpenUrl"


async def test_pagerduty_triggers_acknowledges_and_resolves_one_incident(tmp_path: Path, box: Inbox) -> None:
    """Events API v2: the three actions share one dedup_key; a trigger has its payload."""
    text = f"  p: {{pagerduty: {{routing_key: 'env:PD', severity: critical, url: '{box.url}/v2/enqueue'}}}}"
    async with sender(tmp_path, text, {"PD": "R0UT1NG"}) as send:
        for about in ("alarm", "acknowledged", "recovered"):
            await send.send(said("p", about), LINKS)
    events = [post.json for post in box.at("/v2/enqueue")]
    assert [event["event_action"] for event in events] == ["trigger", "acknowledge", "resolve"]
    assert {event["dedup_key"] for event in events} == {KEY}
    assert {event["routing_key"] for event in events} == {"R0UT1NG"}
    payload = events[0]["payload"]
    assert (payload["summary"], payload["source"], payload["severity"]) == (
        "3 failures of trigger bill: 2 not acknowledged",
        "shop",
        "critical",
    )
    assert set(events[1]) == {"routing_key", "event_action", "dedup_key"}


async def test_opsgenie_creates_acknowledges_and_closes_one_alert(tmp_path: Path, box: Inbox) -> None:
    """Alert API v2: alias and message, GenieKey, and the alias in the address of what follows."""
    async with sender(tmp_path, f"  o: {{opsgenie: {{api_key: 'env:OG', url: '{box.url}'}}}}", {"OG": "k3y"}) as send:
        for about in ("alarm", "acknowledged", "recovered"):
            await send.send(said("o", about), LINKS)
    create, acknowledge, close = box.posts
    assert {post.headers["authorization"] for post in box.posts} == {"GenieKey k3y"}
    assert create.path == "/v2/alerts"
    assert create.json["message"] == "3 failures of trigger bill: 2 not acknowledged"
    alias = create.json["alias"].replace(":", "%3A")
    assert acknowledge.path == f"/v2/alerts/{alias}/acknowledge?identifierType=alias"
    assert acknowledge.json["user"] == "ana"
    assert close.path == f"/v2/alerts/{alias}/close?identifierType=alias"


async def test_a_webhook_is_signed_as_standard_webhooks_says(tmp_path: Path, box: Inbox) -> None:
    """Headers from secrets, the documented JSON, and a signature that the standard's formula gives again."""
    text = f"  w: {{webhook: {{url: '{box.url}/w', secret: 'env:SIGN', headers: {{X-Token: 'env:TOKEN'}}}}}}"
    key = b"0123456789abcdef01234567"
    env = {"SIGN": "whsec_" + base64.b64encode(key).decode(), "TOKEN": "t0ken"}
    async with sender(tmp_path, text, env) as send:
        await send.send(said("w"), LINKS)
    (post,) = box.posts
    assert post.headers["x-token"] == "t0ken"
    assert post.headers["webhook-id"] == post.headers["idempotency-key"] == message_id(said("w"))
    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode() + post.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert post.headers["webhook-signature"] == f"v1,{expected}"
    assert post.json["type"] == "holdfast.escalation.alarm"
    data = post.json["data"]
    assert (data["group"], data["failures"], data["tier"]) == ("trigger/bill", 3, 1)
    assert data["link"].startswith("http://ui.example/")


class Post:
    """A mail server's hand: keeps the mail, or refuses the recipient."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.refuse = ""

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, ___: Any) -> str:  # noqa: N802
        """Take a recipient."""
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802
        """Take a mail."""
        self.mails.append(envelope.content)
        return "250 kept"


@contextlib.asynccontextmanager
async def mail_server(post: Post) -> AsyncIterator[int]:
    """A real SMTP server that wants a login; its port."""

    def check(_: Any, __: Any, ___: Any, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"holdfast", b"p4ss")
        return AuthResult(success=good, handled=mechanism in {"PLAIN", "LOGIN"} and good)

    def serve() -> SMTP:
        return SMTP(post, authenticator=check, auth_require_tls=False, hostname="mail.test")

    server = await asyncio.get_running_loop().create_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_a_mail_is_one_message_to_all_and_no_event_can_add_a_header(tmp_path: Path) -> None:
    """Subject and headers are single lines; the parts of one incident are one thread."""
    post = Post()
    async with mail_server(post) as port:
        text = (
            f"  m: {{email: {{host: 127.0.0.1, port: {port}, security: none, from: holdfast@example.com,"
            " to: [a@example.com, b@example.com]}}"
        )
        async with sender(tmp_path, text, {}) as send:
            await send.send(said("m", trigger="bill\r\nBcc: evil@example.com"), LINKS)
    (raw,) = post.mails
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert mail["Subject"].startswith("[Holdfast] 3 failures of trigger bill Bcc: evil@example.com")
    assert mail["Bcc"] is None
    assert mail["To"] == "a@example.com, b@example.com"
    assert "target.refused" in mail.get_body().get_content()  # type: ignore[union-attr]


@pytest.mark.parametrize(("reply", "kind"), [("450 later", TransientFailure), ("550 no such user", PermanentFailure)])
async def test_a_mail_servers_refusal_is_read(tmp_path: Path, reply: str, kind: type[HoldfastError]) -> None:
    """4yz may pass, 5yz is for good."""
    post = Post()
    post.refuse = reply
    async with mail_server(post) as port:
        text = (
            f"  m: {{email: {{host: 127.0.0.1, port: {port}, security: none, from: h@example.com, to: a@example.com}}}}"
        )
        async with sender(tmp_path, text, {}) as send:
            with pytest.raises(kind):
                await send.send(said("m"), LINKS)


async def test_a_server_without_starttls_gets_neither_mail_nor_password(tmp_path: Path) -> None:
    """Encryption that was asked for is not given up for a server that has none."""
    post = Post()
    async with mail_server(post) as port:
        text = (
            f"  m: {{email: {{host: 127.0.0.1, port: {port}, username: holdfast, password: 'env:PASS',"
            " from: h@example.com, to: a@example.com}}"
        )
        async with sender(tmp_path, text, {"PASS": "p4ss"}) as send:
            with pytest.raises(TransientFailure) as caught:
                await send.send(said("m"), LINKS)
    assert "p4ss" not in str(caught.value)
    assert post.mails == []


async def test_nats_stores_the_same_document_once(tmp_path: Path, nats_server: NatsServer) -> None:
    """Two attempts are one message of the stream that captures the subject."""
    async with buses.connected(nats_server) as bus:
        await bus.jetstream.add_stream(name="ALERTS", subjects=["alerts.>"])
        try:
            async with sender(tmp_path, "  n: {nats: {subject: alerts.holdfast}}", {}, bus) as send:
                first = await send.send(said("n"), LINKS)
                assert await send.send(said("n"), LINKS) == first
            info = await bus.jetstream.stream_info("ALERTS")
            message = await bus.jetstream.get_msg("ALERTS", info.state.last_seq)
        finally:
            await bus.jetstream.delete_stream("ALERTS")
    assert info.state.messages == 1
    assert json.loads(message.data or b"")["type"] == "holdfast.escalation.alarm"


async def test_log_writes_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The event `notification` at the level that is configured."""
    async with sender(tmp_path, "  l: {log: {level: error}}", {}) as send:
        await send.send(said("l"), LINKS)
    (record,) = [one for one in caplog.records if one.message == "notification"]
    assert record.levelno == logging.ERROR


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, PermanentFailure), (302, PermanentFailure), (429, TransientFailure), (500, TransientFailure)],
)
async def test_an_answer_is_judged_and_shows_no_secret(
    tmp_path: Path, box: Inbox, status: int, kind: type[HoldfastError]
) -> None:
    """Refusals are for good, 429 and 5xx may pass; no text holds the address, which is a secret."""
    box.script["/services/SECRET"].append(status)
    async with sender(tmp_path, "  s: {slack: {url: 'env:S'}}", {"S": f"{box.url}/services/SECRET"}) as send:
        with pytest.raises(kind) as caught:
            await send.send(said("s"), LINKS)
    assert "SECRET" not in str(caught.value)


async def test_a_secret_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    """Setting it mends the notifier, so it is no refusal; the error names the reference and no value."""
    async with sender(tmp_path, "  s: {slack: {url: 'env:NOT_THERE'}}", {}) as send:
        with pytest.raises(TransientFailure, match="env:NOT_THERE"):
            await send.send(said("s"), LINKS)
        with pytest.raises(PermanentFailure):
            await send.send(said("gone"), LINKS)
