"""Each move of a case over HTTP does what the command does: the same view, the same refusal; repeats are recognised."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.apis import Api, case_path, serving
from tests.conftest import assert_eventually
from tests.servers import NatsServer, TemporalServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

UNTIL = (datetime.now(UTC) + timedelta(days=30)).isoformat()
MOVES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "acknowledge": ({"note": "mine"}, ("--note", "mine")),
    "assign": ({"to": "bob"}, ("--to", "bob")),
    "snooze": (
        {"until": UNTIL, "reason": "later"},
        ("--until", UNTIL, "--reason", "later"),
    ),
    "comment": ({"text": "look"}, ("look",)),
    "redrive": ({"reason": "mended"}, ("--reason", "mended")),
    "discard": ({"reason": "test"}, ("--reason", "test")),
}
VARYING = ("at", "expires_at", "closed_at", "ended", "started_at", "workflow_id", "run_id", "sequence", "traceparent")


@pytest.fixture
async def api(nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[Api]:
    """A worker with its API."""
    async with serving(nats_server, temporal_server, tmp_path) as found:
        yield found


async def holdfast(api: Api, *words: str) -> Any:
    """Run a command of Holdfast against the same servers; its JSON."""
    given = api.settings
    assert given.nats_password is not None
    env = {
        **os.environ,
        "NATS_URL": given.nats_url,
        "NATS_USER": str(given.nats_user),
        "NATS_PASSWORD": given.nats_password.get_secret_value(),
        "TEMPORAL_ADDRESS": str(given.temporal_address),
    }
    command = [sys.executable, "-m", "holdfast.cli.main", *words, "--json"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    return json.loads(done.stdout)


def plain(view: Any, letter: str) -> Any:
    """A view without what must differ between two dead letters: times, places, and the id itself."""
    if isinstance(view, dict):
        return {name: plain(value, letter) for name, value in view.items() if name not in VARYING}
    if isinstance(view, list):
        return [plain(each, letter) for each in view]
    if isinstance(view, str):
        return view.replace(letter, "LETTER").replace(letter.rpartition("/")[2], "EVENT")
    return view


def comparable(view: Any, letter: str) -> Any:
    """A view without times and hashes of the event itself, which carries its own times."""
    found = plain(view, letter)
    found["record"].pop("envelope", None)
    found["record"].pop("trace_id", None)
    return found


@pytest.mark.parametrize("verb", MOVES)
async def test_a_move_is_the_commands_move(api: Api, verb: str) -> None:
    """By HTTP and by the command the case is afterwards the same, but for times and ids, and so is its JSON."""
    first, second = await api.dead_letters(f"same-{verb}-{os.getpid()}", 2)
    given, words = MOVES[verb]
    by_http = await api.post(case_path(first, verb), given)
    assert by_http.status_code == 200, by_http.text
    by_command = await holdfast(api, "dead-letters", verb, second, *words, "--by", "operate-token")
    if verb == "redrive":  # which fails again, at its own pace

        async def open_again() -> bool:
            both = [(await api.get(case_path(one))).json() for one in (first, second)]
            return all(view["state"] == "open" and view["redrive_log"] for view in both)

        await assert_eventually(open_again, 30)
        views = [(await api.get(case_path(one))).json() for one in (first, second)]
    else:
        views = [by_http.json(), by_command]
    assert comparable(views[0], first) == comparable(views[1], second)
    shown = (await api.get(case_path(first, encoded=False))).json()
    assert shown == await holdfast(api, "dead-letters", "show", first)


async def test_refusals_are_conflicts_with_the_cases_own_code(api: Api) -> None:
    """A closed case refuses with 409 `case.closed`; one that never was is 404."""
    (letter,) = await api.dead_letters(f"closed-{os.getpid()}", 1)
    assert (await api.post(case_path(letter, "discard"), {"reason": "x"})).status_code == 200

    async def refused() -> bool:
        answer = await api.post(case_path(letter, "acknowledge"))
        return (answer.status_code, answer.json()["code"]) == (409, "case.closed")

    await assert_eventually(refused)
    assert (await api.post(case_path("no/such/one", "acknowledge"))).status_code == 404
    assert (await api.get(case_path("no/such/one"))).status_code == 404


async def test_an_idempotency_key_makes_a_repeat_harmless(api: Api) -> None:
    """The same request with the same key comments once; another key, or none, comments again."""
    (letter,) = await api.dead_letters(f"keyed-{os.getpid()}", 1)
    path, given = case_path(letter, "comment"), {"text": "once", "by": "ann"}
    key = "k-1"
    answers = await asyncio.gather(*(api.post(path, given, key=key) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {200}
    await api.post(path, given, key="k-2")
    await api.post(path, given)
    history = (await api.get(case_path(letter))).json()["history"]
    comments = [entry["by"] for entry in history if entry["move"] == "comment"]
    assert comments == ["ann (operate-token)"] * 3
    assert (await api.post(path, given, key="")).status_code == 400


async def test_an_event_is_found(api: Api) -> None:
    """Where an event is, with its dead letter and case: the same document as on the gateway."""
    name = f"found-{os.getpid()}"
    await api.dead_letters(name, 1)
    found = (await api.get(f"/v1/events/orders/{name}-0000")).json()
    assert found["dead_letters"][0]["case"]["state"] == "open"
    assert (await api.get("/v1/events/orders/none")).status_code == 404
    assert (await api.get("/v1/rejected")).json() == {"items": []}
    assert [one["name"] for one in (await api.get("/v1/triggers")).json()["items"]] == ["broken", "large", "note"]
