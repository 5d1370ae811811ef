"""Operations over many by HTTP: counted, confirmed, steered, refused in words, repeated without harm."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.domain.access import Scope
from tests.apis import Api, case_path, serving
from tests.conftest import assert_eventually
from tests.servers import NatsServer, TemporalServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

RUN = f"{os.getpid()}"


@pytest.fixture
async def api(nats_server: NatsServer, temporal_server: TemporalServer, tmp_path: Path) -> AsyncIterator[Api]:
    """A worker with its API."""
    async with serving(nats_server, temporal_server, tmp_path) as found:
        yield found


async def phase(api: Api, path: str, *wanted: str) -> dict[str, Any]:
    """Wait until an operation is there, and return its progress."""
    seen: list[dict[str, Any]] = []

    async def there() -> bool:
        answer = await api.get(path, Scope.READ)
        assert answer.status_code == 200, answer.text
        seen.append(answer.json())
        return seen[-1]["phase"] in wanted

    await assert_eventually(there, 60, f"{path} is {wanted}")
    return seen[-1]


async def test_a_bulk_discard_is_counted_then_confirmed_then_done(api: Api) -> None:
    """Nothing moves before `confirm`; then each is discarded with who and why; list and audit log have it."""
    letters = await api.dead_letters(f"bulk-{RUN}", 4)
    where = f'case.event_id.startsWith("bulk-{RUN}")'
    given = {"move": "discard", "select": {"where": where}, "reason": "canary-reason", "id": f"d-{RUN}", "by": "ann"}
    path = f"/v1/bulk/d-{RUN}"
    started = await api.post("/v1/bulk", given)
    assert started.status_code == 200, started.text
    waiting = await phase(api, path, "waiting")
    assert (waiting["survey"]["count"], waiting["tally"]["done"]) == (4, 0)
    assert (await api.get(case_path(letters[0]))).json()["state"] == "open"
    assert (await api.post(f"{path}/confirm", {"by": "bob"})).status_code == 200
    done = await phase(api, path, "done")
    assert (done["tally"]["done"], done["said"][0]["by"]) == (4, "bob (operate-token)")
    case = (await api.get(case_path(letters[0]))).json()
    assert (case["state"], case["history"][-1]["by"]) == ("discarded", "ann (operate-token)")

    async def listed() -> bool:
        items = (await api.get("/v1/bulk", Scope.READ)).json()["items"]
        return (f"d-{RUN}", "done") in [(one["id"], one["state"]) for one in items]

    await assert_eventually(listed)
    raw = await api.get("/v1/audit", target=f"d-{RUN}")
    log = raw.json()["items"]
    assert [(one["action"], one["outcome"]) for one in log] == [("bulk.confirm", "done"), ("bulk.start", "done")]
    assert log[1]["details"]["of_where"] == where
    assert "canary-reason" not in raw.text
    again = (await api.post("/v1/bulk", given)).json()  # under a name nothing is done twice
    assert (again["phase"], again["began"]) == ("done", done["began"])


async def test_it_is_paused_resumed_and_cancelled(api: Api) -> None:
    """Each word is heard, with a key once; after the end it is 409 `operation.illegal_move`."""
    await api.dead_letters(f"steer-{RUN}", 4)
    select = {"where": f'case.event_id.startsWith("steer-{RUN}")'}
    given = {"move": "acknowledge", "select": select, "rate": "6/m", "confirmed": True}
    answer = await api.post("/v1/bulk", given, key="k")
    same = await api.post("/v1/bulk", given, key="k")
    assert answer.json()["id"] == same.json()["id"]
    path = "/v1/bulk/" + answer.json()["id"].removeprefix("operation/")
    await phase(api, path, "running")
    for _ in range(2):
        paused = await api.post(f"{path}/pause", {"reason": "too fast"}, key="p")
        assert paused.status_code == 200, paused.text
    await api.post(f"{path}/resume")
    assert (await api.post(f"{path}/cancel")).status_code == 200
    ended = await phase(api, path, "cancelled")
    assert [one["what"] for one in ended["said"]] == ["pause", "resume", "cancel"]
    assert ended["tally"]["done"] < 4

    async def refused() -> bool:
        late = await api.post(f"{path}/pause")
        return (late.status_code, late.json()["code"]) == (409, "operation.illegal_move")

    await assert_eventually(refused)


async def test_a_replay_by_http_says_what_would_match(api: Api) -> None:
    """A dry run counts; it is under /v1/replays and not under /v1/bulk."""
    await api.dead_letters(f"again-{RUN}", 2)
    given = {"source": "orders", "since": "2026-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z", "dry_run": True}
    given["where"] = f'event.id.startsWith("again-{RUN}")'
    started = await api.post("/v1/replays", given)
    assert started.status_code == 200, started.text
    name = started.json()["id"].removeprefix("operation/")
    ended = await phase(api, f"/v1/replays/{name}", "dry-run")
    assert ended["work"]["source"] == "orders"
    assert (await api.get(f"/v1/bulk/{name}")).status_code == 404
    assert (await api.post(f"/v1/bulk/{name}/cancel")).status_code == 404


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("/v1/bulk", {"move": "redrive"}),
        ("/v1/bulk", {"move": "redrive", "select": {"where": "case."}}),
        ("/v1/bulk", {"move": "redrive", "select": {"where": "1 + 1"}}),
        ("/v1/bulk", {"move": "redrive", "select": {"state": "resolved"}}),
        ("/v1/bulk", {"move": "discard", "select": {"where": "true"}}),
        ("/v1/bulk", {"move": "acknowledge", "select": {"where": "true"}, "rate": "2000/s"}),
        ("/v1/bulk", {"move": "acknowledge", "select": {"where": "true"}, "id": "a/b"}),
        ("/v1/replays", {"source": "s", "since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}),
        ("/v1/replays", {"source": "s", "since": "2026-01-02T00:00:00", "until": "2026-01-03T00:00:00Z"}),
        (
            "/v1/replays",
            {"source": "s", "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "where": "("},
        ),
    ],
)
async def test_what_makes_no_sense_is_refused_before_it_is_started(api: Api, path: str, given: dict[str, Any]) -> None:
    """400 in words, and no operation; an unknown one is 404."""
    answer = await api.post(path, given)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] in {"input.invalid", "config.invalid"}
    assert (await api.get(f"{path}/none")).status_code == 404
