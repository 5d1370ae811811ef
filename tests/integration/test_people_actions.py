"""Slack and mail as actions: what is said, to whom, and what a refusal means."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from activities.http import new_client
from activities.people import PeopleTarget
from activities.target import Shipment
from holdfast.clock import SystemClock
from holdfast.domain.actions import EmailAction, SlackAction
from holdfast.domain.expressions import EVENT
from holdfast.domain.mapping import CompiledRun, MappingError
from holdfast.domain.runs import RunConfig
from holdfast.errors import PermanentFailure, TransientFailure
from holdfast.settings.secrets import Secrets
from tests.durable import event
from tests.targets import Answer, target

CARGO = Shipment("bill/shop/e-1", event("e-1"), None, None)
MAIL: dict[str, Any] = {"host": "127.0.0.1", "from": "shop@example.com", "security": "none"}


def mapped(run: dict[str, Any], **data: Any) -> Any:
    """What an action comes to for an event with this data."""
    return CompiledRun(RunConfig.model_validate(run)).action(EVENT.bind(event={"data": data}))


async def send(action: SlackAction | EmailAction, **env: str) -> Any:
    """Carry one out."""
    async with new_client() as client:
        people = PeopleTarget(client, Secrets(Path(), env), SystemClock())
        send_one: Any = people.slack if isinstance(action, SlackAction) else people.email
        return await send_one(action, CARGO)


async def test_a_webhook_takes_a_text_whose_values_are_no_markup() -> None:
    """The file's own markup stays, an event cannot mention a channel."""
    action = mapped({"slack": {"url": "env:HOOK", "text": "*New*: ${event.data.name}"}}, name="<!channel> & co")
    async with target() as there:
        await send(action, HOOK=there.url("/services/T/B"))
    assert there.requests[0].body == b'{"text": "*New*: &lt;!channel&gt; &amp; co"}'


async def test_the_api_says_200_and_may_mean_no() -> None:
    """Ok is delivered, a limit is tried again, a wrong channel is for good; the token is in no error."""
    async with target() as there:
        run = {"slack": {"token": "env:T", "channel": "#${event.data.c}", "text": "hi", "api": there.url("/api")}}
        action = mapped(run, c="ops")
        there.standing["/api/chat.postMessage"] = Answer(body={"ok": True})
        await send(action, T="xoxb-secret")
        assert there.requests[0].headers["authorization"] == "Bearer xoxb-secret"
        assert there.requests[0].body == b'{"text": "hi", "channel": "#ops"}'
        for word, kind in (("ratelimited", TransientFailure), ("channel_not_found", PermanentFailure)):
            there.standing["/api/chat.postMessage"] = Answer(body={"ok": False, "error": word})
            with pytest.raises(kind):
                await send(action, T="xoxb-secret")


async def test_a_mail_goes_to_whom_the_mapping_names() -> None:
    """Recipient, subject and text come out of the event; a repeat has the same Message-ID."""
    said: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 there\r\n")
        data = False
        while line := (await reader.readline()).decode():
            said.append(line.rstrip("\r\n"))
            if data and line != ".\r\n":
                continue
            word = line[:4].upper()
            data = word == "DATA"
            writer.write({"DATA": b"354 go\r\n", "QUIT": b"221 bye\r\n"}.get(word, b"250 ok\r\n"))
            if word == "QUIT":
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    texts = {"to": "${event.data.mail}", "subject": "Order ${event.data.id}", "text": "Thanks, ${event.data.name}"}
    action = mapped({"email": {**MAIL, "port": port, **texts}}, mail="ann@example.com", id=7, name="Ann")
    async with server:
        await send(action)
        await send(action)
    assert said.count("Subject: Order 7") == 2
    assert "Thanks, Ann" in said
    assert any(line.startswith("RCPT TO:<ann@example.com>") for line in said)
    assert len({line for line in said if line.startswith("Message-ID:")}) == 1


@pytest.mark.parametrize("mail", ["no address", "a@b.c, d@e.f", "a@b.c\nBcc: x@y.z", ""])
def test_what_is_no_address_is_no_mail(mail: str) -> None:
    """One value is one recipient, and can write no header."""
    with pytest.raises(MappingError):
        mapped({"email": {**MAIL, "to": "${event.data.mail}", "subject": "s", "text": "t"}}, mail=mail)
