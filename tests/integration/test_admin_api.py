"""The admin API's door and lists on the real servers: who gets in, what browsers get, pages, audit log, schedules."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from holdfast.cli.main import app as cli
from holdfast.domain.access import Scope
from holdfast.settings.process import ProcessSettings
from tests.apis import TOKENS, Api, bearer, case_path, serving
from tests.conftest import assert_eventually
from tests.servers import NatsServer, TemporalServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

BOTH = {Scope.OPERATE, Scope.ADMIN}


@pytest.fixture
async def api(nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[Api]:
    """A worker with its API."""
    async with serving(nats_server, temporal_server, tmp_path) as found:
        yield found


async def operations(api: Api) -> list[tuple[str, str, Scope]]:
    """Method, path and scope of everything the API describes."""
    found = (await api.http.get("/openapi.json")).json()
    every = []
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            scope = operation["description"].rpartition("Scope: `")[2].rstrip("`.")
            filled = path.replace("{dead_letter}", "no/such/one").replace("{source}", "orders")
            filled = (
                filled.replace("{operation}", "none")
                .replace("{event_id}", "none")
                .replace("{name}", "none")
                .replace("{group}", "none")
            )
            every.append((method, filled, Scope(scope)))
    return every


async def test_every_route_asks_for_its_scope(api: Api) -> None:
    """No token: 401; a lesser scope: 403; the scope itself or more: anything else. All are problem documents."""
    every = await operations(api)
    assert len(every) >= 24
    for method, path, _ in every:
        answer = await api.http.request(method, path, json={} if method == "post" else None)
        if answer.status_code == 429:  # the bucket of failures is empty: wait for the next
            assert answer.headers["retry-after"]
            continue
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Bearer")
    for method, path, needed in every:
        for given in Scope:
            answer = await api.http.request(method, path, headers=bearer(given), json={} if method == "post" else None)
            if given.includes(needed):
                assert answer.status_code not in {401, 403, 429, 500}, (path, answer.text)
            else:
                assert answer.status_code in {403, 429}, (path, given)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["instance"].endswith(answer.headers["x-request-id"])


async def test_failures_are_bounded_and_lock_nobody_out(api: Api) -> None:
    """After thirty wrong tokens it is 429 with Retry-After, and the right one is still let in."""
    wrong = {"Authorization": "Bearer hf_wrong"}
    answers = [(await api.http.get("/v1/triggers", headers=wrong)).status_code for _ in range(40)]
    assert answers[:30] == [401] * 30
    assert 429 in answers[30:]
    assert (await api.get("/v1/triggers", Scope.READ)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example"}, "request.misdirected"),
        ({"Host": "evil.example:8083"}, "request.misdirected"),
        ({"Host": "127.0.0.1.evil.example"}, "request.misdirected"),
        ({"Origin": "http://127.0.0.1"}, "request.cross_origin"),
        ({"Origin": "null"}, "request.cross_origin"),
        ({"Sec-Fetch-Site": "cross-site"}, "request.cross_origin"),
    ],
)
async def test_web_pages_get_nothing(api: Api, headers: dict[str, str], code: str) -> None:
    """A foreign Host or any Origin is refused, with the right token too; no answer has a cookie or a CORS header."""
    answer = await api.http.get("/v1/triggers", headers={**bearer(Scope.ADMIN), **headers})
    assert answer.json()["code"] == code
    assert answer.status_code == {"request.misdirected": 421, "request.cross_origin": 403}[code]
    good = await api.get("/v1/triggers")
    for each in (answer, good):
        assert "set-cookie" not in each.headers
        assert not [name for name in each.headers if name.startswith("access-control-")]
        assert each.headers["cache-control"] == "no-store"


async def test_a_form_cannot_post(api: Api) -> None:
    """What a page can send without asking first, a form or text, is 415; a preflight is refused."""
    path = "/v1/schedules/nightly/pause"
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
        headers = {**bearer(Scope.ADMIN), "Content-Type": kind}
        answer = await api.http.post(path, content=b'{"reason": "x"}', headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "request.unsupported_media_type")
    assert (await api.http.options(path, headers={"Origin": "http://evil.example"})).status_code == 403


async def test_what_is_too_large_or_no_json(api: Api) -> None:
    """413 for more than 4 MiB, 400 for what is no JSON or has unknown fields; the value is not repeated."""
    headers = {**bearer(Scope.OPERATE), "Content-Type": "application/json"}
    path = case_path("a/b/c", "acknowledge")
    assert (await api.http.post(path, content=b" " * 4_194_305, headers=headers)).status_code == 413
    assert (await api.http.post(path, content=b"{", headers=headers)).status_code == 400
    unknown = await api.post(path, {"nonsense": "canary"})
    assert unknown.status_code == 400
    assert unknown.json()["code"] == "input.invalid"
    assert "nonsense" in unknown.json()["detail"]
    assert "canary" not in unknown.text


async def test_only_loopback_by_default(api: Api) -> None:
    """The default address is loopback, on the port after the worker's other one; no other address listens."""
    fields = ProcessSettings.model_fields
    assert fields["worker_api_host"].default == "127.0.0.1"
    assert ProcessSettings(worker_ops_port=8082).api_port == 8083
    with pytest.raises(OSError):  # noqa: PT011 - whichever error refuses
        socket.create_connection(("127.0.0.2", api.process.api_port), timeout=1)


async def pages(api: Api, **query: Any) -> list[list[str]]:
    """Turn every page of a list."""
    found: list[list[str]] = []
    cursor: str | None = None
    while True:
        given = {**query, **({"cursor": cursor} if cursor else {})}
        answer = await api.get("/v1/dead-letters", Scope.READ, **given)
        assert answer.status_code == 200, answer.text
        found.append([item["id"] for item in answer.json()["items"]])
        cursor = answer.json()["next"]
        if cursor is None:
            return found


async def test_pages_hold_each_once(api: Api) -> None:
    """Some hundred dead letters in pages of any size: each exactly once; filters, `where` and counts agree."""
    ids = set(await api.dead_letters("page", 230))
    asked = {"source": "orders", "where": 'case.event_id.startsWith("page-")'}

    async def seen() -> bool:
        return {one for page in await pages(api, limit=1000, **asked) for one in page} == ids

    await assert_eventually(seen, 60)
    for limit in (7, 100, 230):
        found = await pages(api, limit=limit, **asked)
        assert all(len(page) <= limit for page in found)
        flat = [one for page in found for one in page]
        assert len(flat) == len(set(flat)) == 230
    one = await pages(api, event_id="page-0007")
    assert one == [["broken/orders/page-0007"]]
    counts = (await api.get("/v1/dead-letter-counts", source="orders", state="open")).json()
    assert counts["count"] >= 230
    assert counts["without_case"] == 0


@pytest.mark.parametrize("cursor", ["x", "W10=", "WzEsMl0=", "é", "A" * 5_000, "bnVsbA=="])
async def test_a_cursor_of_nowhere_is_400(api: Api, cursor: str) -> None:
    """What is no `next` of ours is the caller's fault, and never a 5xx."""
    answer = await api.get("/v1/dead-letters", cursor=cursor)
    assert (answer.status_code, answer.json()["code"]) == (400, "input.invalid")


async def test_a_cursor_belongs_to_its_list(api: Api) -> None:
    """The cursor of one filter is refused by another."""
    await api.dead_letters("belongs", 3)
    first = await api.get("/v1/dead-letters", source="orders", limit=1)
    answer = await api.get("/v1/dead-letters", source="plain", cursor=first.json()["next"])
    assert answer.json()["code"] == "input.invalid"


async def test_schedules_are_looked_after(api: Api) -> None:
    """Plan, apply (admin alone), show, pause, resume, trigger, backfill: as the commands do, each in the audit log."""
    assert (await api.post("/v1/schedule-plan/apply")).status_code == 403
    planned = (await api.get("/v1/schedule-plan")).json()["items"]
    assert [one["name"] for one in planned] == ["nightly"]
    applied = await api.post("/v1/schedule-plan/apply", scope=Scope.ADMIN)
    assert applied.status_code == 200, applied.text
    paused = await api.post("/v1/schedules/nightly/pause", {"reason": "moving house", "by": "ann"})
    assert paused.json()["paused"] is True
    assert paused.json()["note"] == "moving house (ann (operate-token))"
    assert (await api.get("/v1/schedules/nightly", Scope.READ)).json()["paused"] is True
    assert (await api.post("/v1/schedules/nightly/resume", {"reason": "done"})).json()["paused"] is False
    range_ = {"start": "2026-11-17T00:00:00Z", "end": "2026-11-19T00:00:00Z"}
    ticks = await api.post("/v1/schedules/nightly/backfill", range_)
    assert ticks.json() == {"ticks": ["2026-11-17T02:00:00.000Z", "2026-11-18T02:00:00.000Z"]}
    assert (await api.post("/v1/schedules/nightly/trigger")).status_code == 200
    assert (await api.post("/v1/schedules/nightly/trigger", key="k")).status_code == 400
    assert (await api.post("/v1/schedules/none/pause", {"reason": "x"})).status_code == 404
    log = (await api.get("/v1/audit", action="schedule")).json()["items"]
    assert [(one["action"], one["outcome"]) for one in reversed(log)] == [
        ("schedule.apply", "refused"),
        ("schedule.apply", "done"),
        ("schedule.pause", "done"),
        ("schedule.resume", "done"),
        ("schedule.backfill", "done"),
        ("schedule.trigger", "done"),
        ("schedule.pause", "refused"),
    ]
    await api.client.get_schedule_handle("nightly").delete()


async def test_the_audit_log_names_who_and_what_and_no_secret(api: Api) -> None:
    """Each operation once, with token name, target, outcome, request id; neither token, text of people nor body."""
    (letter,) = await api.dead_letters("audited", 1)
    done = await api.post(case_path(letter, "comment"), {"text": "canary-text"})
    again = await api.post(case_path(letter, "redrive"), {"body": '{"canary": "body"}', "trigger": "none"})
    assert done.status_code == 200
    assert again.status_code == 409, again.text
    assert (await api.post(case_path(letter, "discard"), {"reason": "x"}, scope=Scope.READ)).status_code == 403
    raw = await api.get("/v1/audit", target=letter)
    log = raw.json()["items"]
    assert [(one["action"], one["by"], one["outcome"], one["status"]) for one in log] == [
        ("dead-letter.discard", "read-token", "refused", 403),
        ("dead-letter.redrive", "operate-token", "refused", 409),
        ("dead-letter.comment", "operate-token", "done", 200),
    ]
    assert log[-1]["id"] == done.headers["x-request-id"]
    assert log[1]["details"] == {"trigger": "none", "config": "current", "edited": "yes"}
    assert "canary" not in raw.text
    assert not [token for token in TOKENS.values() if token in raw.text]
    said = await asyncio.to_thread(_command, api, "audit", "list", "--by", "read-token", "--json")
    assert [one["action"] for one in json.loads(said)] == ["dead-letter.discard"]


def _command(api: Api, *words: str) -> str:
    plan = api.settings
    assert plan.nats_password is not None
    env = {
        "NATS_URL": plan.nats_url,
        "NATS_USER": plan.nats_user,
        "NATS_PASSWORD": plan.nats_password.get_secret_value(),
    }
    result = CliRunner().invoke(cli, list(words), env=env)
    assert result.exit_code == 0, result.output
    return result.stdout


async def test_what_cannot_be_written_down_is_not_done(api: Api) -> None:
    """Without its stream the operation is refused with 503 and Retry-After, and the case has not moved."""
    (letter,) = await api.dead_letters("unaudited", 1)
    await api.bus.jetstream.delete_stream("AUDIT")
    answer = await api.post(case_path(letter, "acknowledge"))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert (await api.get(case_path(letter))).json()["state"] == "open"
