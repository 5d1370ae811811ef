"""`GET /events/{source}/{id}` and `holdfast events show` against the real servers, in every state an event can have."""

import json
import sqlite3
import uuid
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from temporalio.client import WorkflowFailureError
from typer.testing import CliRunner

from gateway.spool import spool_file
from holdfast.bus.streams import EVENTS
from holdfast.cli.main import app
from holdfast.contracts import names
from holdfast.contracts.dead_letter import CaseView
from holdfast.domain.access import hash_of
from holdfast.embedded.sink import Reply
from holdfast.ids import case_id
from tests import gateways
from tests.asking import BEARER, Asking, asking
from tests.conftest import assert_eventually
from tests.servers import NatsServer, TemporalServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture
async def path(nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[Asking]:
    """A gateway, and a worker that runs only where the test starts one."""
    async with asking(nats_server, temporal_server, tmp_path) as found:
        yield found


def new_id() -> str:
    """An id that no earlier test has left in Temporal."""
    return f"s-{uuid.uuid4()}"


async def until(path: Asking, event_id: str, verdict: str, within: float = 30) -> dict[str, Any]:
    """Wait for a verdict; return the whole answer."""

    async def said() -> bool:
        return bool((await path.status(event_id))["verdict"] == verdict)

    await assert_eventually(said, within, f"{event_id} is {verdict}")
    return await path.status(event_id)


async def test_without_a_valid_token_everything_is_401(path: Asking) -> None:
    """Known and unknown events, sources and pages are told apart by nobody: one answer, byte for byte."""
    event_id = new_id()
    assert (await path.send(event_id, to="one")).status_code == 202
    answers = set()
    for where in (f"/events/shop/{event_id}", "/events/shop/none", "/events/none/none", "/rejected", "/rejected?x=1"):
        for headers in ({}, {"Authorization": "Bearer hf_wrong"}, {"Authorization": f"Basic {BEARER}"}):
            response = await path.running.http.get(where, headers=headers)
            answers.add((response.status_code, response.text, response.headers["www-authenticate"]))
    ((status, text, challenge),) = answers
    assert (status, challenge) == (401, 'Bearer realm="holdfast"')
    assert json.loads(text)["code"] == "access.unauthenticated"


async def test_a_token_said_twice_is_none(path: Asking) -> None:
    """Two Authorization headers are ambiguous, so they are refused."""
    pair = [("Authorization", BEARER["Authorization"])] * 2
    assert (await path.running.http.get("/rejected", headers=pair)).status_code == 401


async def test_while_no_worker_answers_the_deliveries_are_unknown(path: Asking) -> None:
    """The bus alone still says when it was received and where it lies: 200, with the reason."""
    event_id = new_id()
    assert (await path.send(event_id, to="one")).status_code == 202
    found = await path.status(event_id)
    assert found["deliveries"] == "unknown"
    assert "worker" in found["trouble"]
    assert found["stored"]["stream"] == EVENTS
    assert found["stored"]["sequence"] == 1
    assert found["stored"]["settled"] is False
    assert found["received_at"]


async def test_a_delivered_event(path: Asking) -> None:
    """State, attempts, result, times, trigger, and a link into the Temporal UI."""
    path.sink.standing["/first"] = Reply(200)
    event_id = new_id()
    async with path.worker():
        assert (await path.send(event_id, to="one")).status_code == 202
        found = await until(path, event_id, "delivered")
    (delivery,) = found["deliveries"]
    assert (delivery["trigger"], delivery["state"], delivery["attempts"]) == ("first", "delivered", 1)
    assert delivery["result"] == {"status": 200}
    assert delivery["closed_at"]
    assert delivery["link"].endswith("/workflows/" + quote(f"first/shop/{event_id}", safe=""))
    assert found["triggers"] == ["first"]
    assert found["dead_letters"] == []


async def test_a_delivery_that_is_retried(path: Asking) -> None:
    """While it waits for its second attempt, how the first failed and when the next one is stands there."""
    path.sink.standing["/patient"] = Reply(503)
    event_id = new_id()
    async with path.worker():
        assert (await path.send(event_id, to="patient")).status_code == 202
        found = await until(path, event_id, "retrying")
        (delivery,) = found["deliveries"]
        assert delivery["attempts"] == 1
        assert [(each["number"], each["code"]) for each in delivery["failures"]] == [(1, "target.failed")]
        assert delivery["failures"][0]["at"]
        assert delivery["next_attempt_at"] > found["received_at"]
        await path.client.get_workflow_handle(f"patient/shop/{event_id}").terminate("by hand")
        ended = await until(path, event_id, "terminated")
        assert ended["deliveries"][0]["state"] == "terminated"


async def test_a_delivery_in_its_later_attempts(path: Asking) -> None:
    """Attempts that Temporal's own activity retries are counted and told with codes and times."""
    path.sink.standing["/climbing"] = Reply(503)
    event_id = new_id()
    async with path.worker():
        assert (await path.send(event_id, to="climbing")).status_code == 202

        async def twice() -> bool:
            found = await path.status(event_id)
            return found["verdict"] == "retrying" and len(found["deliveries"][0]["failures"]) == 2

        await assert_eventually(twice, 30, "both failed attempts are told")
        (delivery,) = (await path.status(event_id))["deliveries"]
        await path.client.get_workflow_handle(f"climbing/shop/{event_id}").terminate("by hand")
    assert [each["number"] for each in delivery["failures"]] == [1, 2]
    assert delivery["attempts"] == 2
    assert delivery["next_attempt_at"]


async def test_a_dead_letter_its_case_and_its_redrive(path: Asking) -> None:
    """Code, every attempt, the case's state; after a redrive the new delivery, linked to what it redrives."""
    path.sink.script["/first"] = deque([Reply(404)])
    path.sink.standing["/first"] = Reply(200)
    event_id = new_id()
    letter = f"first/shop/{event_id}"
    async with path.worker():
        assert (await path.send(event_id, to="one")).status_code == 202

        async def opened() -> bool:
            letters = (await path.status(event_id))["dead_letters"]
            return bool(letters and letters[0]["case"] and letters[0]["case"]["state"] == "open")

        await assert_eventually(opened, 30, "the case is open")
        found = await until(path, event_id, "dead-lettered")
        (dead,) = found["dead_letters"]
        assert (dead["id"], dead["code"], dead["attempts"]) == (letter, "target.refused", 1)
        assert [each["code"] for each in dead["failures"]] == ["target.refused"]
        assert dead["case"]["link"].endswith(quote(case_id(letter), safe=""))
        assert found["deliveries"][0]["failures"] == dead["failures"]
        handle = path.client.get_workflow_handle(case_id(letter))
        await handle.execute_update(names.REDRIVE, {"by": "ana"}, result_type=CaseView)
        found = await until(path, event_id, "delivered")
        assert [each["redrive_of"] for each in found["deliveries"]] == [None, letter]

        async def resolved() -> bool:
            case = (await path.status(event_id))["dead_letters"][0]["case"]
            return bool(case["state"] == "resolved" and case["redrives"] == [f"{letter}:r1"])

        await assert_eventually(resolved, 30, "the case is resolved")


async def test_an_event_that_nobody_wanted(path: Asking) -> None:
    """Unmatched is a state of its own."""
    event_id = new_id()
    async with path.worker():
        assert (await path.send(event_id, to="nobody")).status_code == 202
        found = await until(path, event_id, "no trigger wanted it")
    assert (found["unmatched"], found["deliveries"]) == (True, [])


async def test_an_unknown_event_is_404(path: Asking) -> None:
    """A problem document, once it is certain: with a worker."""
    async with path.worker():
        awkward = [quote(text, safe="") for text in ("a/ü ?", "\x00", "\r\n", "' OR 1=1 --", "x" * 300)]
        paths = ["/events/shop/none", "/events/none/none", "/events/%00/x", "/events/shop/%FF%FE", "/events/shop/"]
        for where in (*paths, *(f"/events/shop/{each}" for each in awkward)):
            response = await path.ask(where)
            assert (response.status_code, response.json()["code"]) == (404, "not_found")
            assert response.headers["content-type"] == "application/problem+json"
    assert (await path.ask("/events/shop/none")).status_code == 503  # Temporal may still know it


async def test_an_id_with_any_characters_is_found_by_its_location(path: Asking) -> None:
    """Location is percent-encoded and leads back to the very event."""
    for awkward in ("a/b c?d#e%41", "x;y=z&w+v", '"quoted" <b>', "~tilde", "é"):
        event_id = f"{awkward}{uuid.uuid4()}"
        response = await path.send(event_id, to="nobody")
        assert response.status_code == 202
        found = await path.ask(response.headers["location"])
        assert found.status_code == 200, found.text
        assert found.json()["id"] == response.json()["id"]


async def test_what_the_bus_forgot_and_temporal_knows(path: Asking) -> None:
    """Purged from the stream, its delivery still shows."""
    path.sink.standing["/first"] = Reply(200)
    event_id = new_id()
    async with path.worker():
        assert (await path.send(event_id, to="one")).status_code == 202
        await until(path, event_id, "delivered")
        await path.running.gateway.bus.jetstream.purge_stream(EVENTS)
        found = await path.status(event_id)
    assert (found["stored"], found["verdict"]) == (None, "delivered")


async def test_the_command_line_says_the_same(path: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """`events show --json` is the answer of the gateway, but for who asked."""
    path.sink.script["/first"] = deque([Reply(404)])
    event_id = new_id()
    async with path.worker():
        assert (await path.send(event_id, to="one")).status_code == 202

        async def opened() -> bool:
            letters = (await path.status(event_id))["dead_letters"]
            return bool(letters and letters[0]["case"] and letters[0]["case"]["state"] == "open")

        await assert_eventually(opened, 30, "the case is open")
        await until(path, event_id, "dead-lettered")
        with pytest.raises(WorkflowFailureError):
            await path.client.get_workflow_handle(f"first/shop/{event_id}").result()
        over_http = await path.status(event_id)
    environment(path, monkeypatch)
    shown = await show(event_id, "--json")
    assert json.loads(shown) == over_http
    assert "target.refused" in await show(event_id)


async def test_a_spooled_event_is_known(
    nats_server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the bus is away an event lies in the outbox: the gateway says so, and so does the command line."""
    config = f"""version: 1
sources:
  shop: {{verify: {{preset: bearer, secrets: ["file:github.secret"]}}, event: {{id: event.data.id}}}}
api: {{tokens: {{watcher: {{scope: read, hash: "{hash_of(BEARER["Authorization"].split()[1])}"}}}}}}
gateway: {{on_unavailable: spool}}
"""
    away = "nats://127.0.0.1:1"
    monkeypatch.setattr("tests.gateways.settings_for", _away(away))
    async with gateways.serving(nats_server, tmp_path, config, awaited=False) as running:

        async def taken() -> bool:
            response = await _post(running.http)
            return response.status_code == 202 and response.json().get("spooled", False)

        await assert_eventually(taken, 20, "the outbox takes the event")
        response = await running.http.get("/events/shop/spooled-1", headers=BEARER)
        assert response.status_code == 200, response.text
        assert response.json()["spooled"] is True
        assert response.json()["verdict"] == "in a gateway's outbox until the bus is back"
        assert response.json()["trouble"]
        unknown = await running.http.get("/events/shop/none", headers=BEARER)
        assert unknown.status_code == 503
        waited = await _post(running.http, {"Prefer": "wait=20"})
        assert waited.status_code == 202
        assert "preference-applied" not in waited.headers
        monkeypatch.setenv("NATS_URL", away)
        monkeypatch.setenv("HOLDFAST_DATA_DIR", str(tmp_path / "data"))
        assert "outbox" in await show("spooled-1")
    assert sqlite3.connect(spool_file(tmp_path / "data")).execute("SELECT count(*) FROM outbox").fetchone() == (1,)
    assert "outbox" in await show("spooled-1")


async def _post(http: httpx.AsyncClient, more: dict[str, str] | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {gateways.SECRET}", "Content-Type": "application/json", **(more or {})}
    return await http.post("/hooks/shop", content=b'{"id": "spooled-1"}', headers=headers)


def _away(url: str) -> Any:
    from tests.buses import settings_for

    def settings(server: NatsServer, **more: object) -> Any:
        return settings_for(server, **more).model_copy(update={"nats_url": url})

    return settings


def environment(path: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the commands at the test's servers."""
    settings = path.settings
    monkeypatch.setenv("NATS_URL", settings.nats_url)
    monkeypatch.setenv("NATS_USER", settings.nats_user)
    monkeypatch.setenv("NATS_PASSWORD", settings.nats_password.get_secret_value())
    monkeypatch.setenv("TEMPORAL_ADDRESS", settings.temporal_address)
    monkeypatch.setenv("HOLDFAST_DATA_DIR", str(path.directory / "none"))


async def show(event_id: str, *options: str) -> str:
    """Run the command in a thread of its own, as it starts a loop."""
    import asyncio

    result = await asyncio.to_thread(CliRunner().invoke, app, ["events", "show", "shop", event_id, *options])
    assert result.exit_code == 0, result.output
    return result.stdout
