"""An operator handles cases by the `temporal` command alone: list, query, every Update, refusals, signals."""

import asyncio
import json
import subprocess
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.domain.triggers import AutoRedrive, DeadLetterConfig
from holdfast.embedded.servers import binary
from holdfast.embedded.sink import Reply
from holdfast.temporal.starts import start_case, start_delivery
from tests import buses, durable
from tests.conftest import assert_eventually
from tests.durable import Stack, delivery
from tests.servers import NatsServer, TemporalServer, nats

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CONFIG = """
version: 1
sources: {shop: {dangerous_unverified: true}}
triggers:
  bill: {on: shop, run: {log: {message: event.type}}}
"""


@dataclass
class Said:
    """What the command answered."""

    code: int
    out: str
    err: str

    @property
    def view(self) -> Any:
        """The result of an Update or of a query: the case."""
        said = json.loads(self.out)
        found = said.get("result", said.get("queryResult"))
        return found[0] if isinstance(found, list) else found


@dataclass
class Operator:
    """A person with the `temporal` command and nothing else."""

    address: str
    stack: Stack

    async def temporal(self, *words: str) -> Said:
        """Run the command."""
        command = [binary("temporal"), *words, "--address", self.address, "--output", "json"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
        return Said(done.returncode, done.stdout, done.stderr)

    async def update(self, case: str, name: str, given: Any = None) -> Said:
        """Send an Update."""
        put = () if given is None else ("--input", json.dumps(given))
        return await self.temporal("workflow", "update", "execute", "-w", case, "--name", name, *put)

    async def query(self, case: str) -> Any:
        """Ask for the case."""
        said = await self.temporal("workflow", "query", "-w", case, "--type", names.CASE)
        assert said.code == 0, said.err
        return said.view

    async def until(self, case: str, state: str) -> Any:
        """Wait until the case is in a state."""

        async def there() -> bool:
            return bool((await self.query(case))["state"] == state)

        await assert_eventually(there, 30, f"{case} {state}")
        return await self.query(case)


@pytest.fixture
async def operator(tmp_path: Path, nats_server: NatsServer, temporal_server: TemporalServer) -> AsyncIterator[Operator]:
    """A worker on the real servers, and a person at a shell."""
    client = await durable.connect(temporal_server.plan.address)
    async with (
        buses.connected(nats_server) as bus,
        durable.stack(client, bus, durable.config(tmp_path, CONFIG), {}) as running,
    ):
        yield Operator(temporal_server.plan.address, running)


def letter(stack: Stack, name: str, **policy: Any) -> DeadLetterRecord:
    """A dead letter whose trigger is gone from the configuration: its recorded action is redriven."""
    given = delivery(stack.post(f"/{name}"), trigger="gone", event_id=name)
    return DeadLetterRecord(
        id=f"gone/shop/{name}",
        stage="delivery",
        code="target.refused",
        message="HTTP 410",
        at=datetime.now(UTC),
        source="shop",
        event_id=name,
        event_type="order.created",
        trigger="gone",
        envelope=given.envelope,
        spec=given.spec,
        policy=DeadLetterConfig(**policy) if policy else None,
    )


async def test_a_case_from_the_list_to_its_end(operator: Operator) -> None:
    """Found, assigned, acknowledged, commented, snoozed, redriven with an edited body that fails, redriven again."""
    stack, case = operator.stack, "dead-letter/gone/shop/op-1"
    stack.sink.script["/op-1"] = deque([Reply(410)])
    await start_case(stack.client, letter(stack, "op-1"))
    query = f"WorkflowType = 'DeadLetter' AND {names.SA_STATE} = 'open' AND {names.SA_EVENT_ID} = 'op-1'"

    async def listed() -> bool:
        return case in (await operator.temporal("workflow", "list", "--query", query)).out

    await assert_eventually(listed, 30)
    assert (await operator.query(case))["record"]["code"] == "target.refused"
    assert (await operator.update(case, "assign", {"by": "ann", "to": "ben"})).view["assignee"] == "ben"
    assert (await operator.update(case, "acknowledge")).view["state"] == "acknowledged"
    assert (await operator.update(case, "comment", {"by": "ben", "text": "asked them"})).code == 0
    snoozed = await operator.update(case, "snooze", {"by": "ben", "for": "2h", "reason": "their lunch"})
    assert snoozed.view["snoozed_until"] is not None
    described = await operator.temporal("workflow", "describe", "-w", case)
    assert '"HoldfastAssignee"' in described.out
    edited = await operator.update(case, "redrive", {"by": "ben", "reason": "typo", "body": '{"n": 2}'})
    assert edited.view["redrives"] == ["gone/shop/op-1:r1"]
    again = await operator.until(case, "open")
    assert again["redrive_log"][0]["body"] == '{"n": 2}'
    assert again["record"]["envelope"]["body"] == '{"n": 1}'
    assert again["redrive_log"][0]["dead_letter"] == "gone/shop/op-1:r1"
    assert (await operator.update(case, "redrive", {"by": "ben"})).code == 0
    done = await operator.until(case, "resolved")
    moves = [(one["move"], one["by"]) for one in done["history"]]
    assert moves == [
        ("assign", "ann"),
        ("acknowledge", "unknown"),
        ("comment", "ben"),
        ("snooze", "ben"),
        ("redrive", "ben"),
        ("fail_again", "holdfast"),
        ("redrive", "ben"),
        ("succeed", "holdfast"),
    ]
    assert [call.body_sha256 for call in stack.sink.at("/op-1")] == [
        ids.sha256_hex(b'{"n": 2}'),
        ids.sha256_hex(b'{"n": 1}'),
    ]


async def test_what_is_wrong_is_refused_in_words_and_changes_nothing(operator: Operator) -> None:
    """Each refusal exits with an error that says what is possible, or which field is wrong."""
    stack, case = operator.stack, "dead-letter/gone/shop/op-2"
    await start_case(stack.client, letter(stack, "op-2"))
    assert (await operator.update(case, "acknowledge", {"by": "ann"})).code == 0
    for name, given, why in (
        ("acknowledge", {"by": "ben"}, "possible now: redrive, discard, assign, snooze, comment"),
        ("discard", None, "reason: Field required"),
        ("snooze", {"for": "soon"}, "not a duration"),
        ("redrive", {"trigger": "nowhere"}, "there is no trigger 'nowhere'; there are: bill"),
        ("redrive", {"boddy": "x"}, "boddy: Extra inputs are not permitted"),
        ("assign", {}, "to: Field required"),
        ("resolve", {}, "resolve"),
    ):
        said = await operator.update(case, name, given)
        assert said.code != 0, name
        assert why in said.err + said.out, (name, said.err, said.out)
    assert (await operator.query(case))["state"] == "acknowledged"
    discarded = await operator.update(case, "discard", {"by": "ann", "reason": "test data"})
    assert discarded.view["state"] == "discarded"
    assert (await operator.update(case, "redrive")).code != 0
    assert (await operator.query(case))["state"] == "discarded"  # a closed case still tells its story


async def test_signals_move_a_case_and_are_noted_where_they_cannot(operator: Operator) -> None:
    """`temporal workflow signal` answers nothing, so the history says what became of it."""
    stack, case = operator.stack, "dead-letter/gone/shop/op-3"
    await start_case(stack.client, letter(stack, "op-3"))
    for name, given in (("acknowledge", {"by": "ann"}), ("acknowledge", {"by": "ben"}), ("redrive", {"by": "ben"})):
        said = await operator.temporal(
            *("workflow", "signal", "-w", case, "--name", name, "--input", json.dumps(given))
        )
        assert said.code == 0, said.err
    done = await operator.until(case, "resolved")
    assert [one["move"] for one in done["history"]] == ["acknowledge", "refuse", "redrive", "succeed"]
    assert "cannot acknowledge" in done["history"][1]["note"]


async def test_a_recovered_target_redrives_every_case_that_waits_for_it(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One delivery that ends well releases them all by the watch of the trigger, which then ends itself."""
    from workflows import policies

    monkeypatch.setattr(policies, "LOOK_FIRST", timedelta(seconds=1))
    stack = operator.stack
    auto = AutoRedrive(after=timedelta(hours=5), when_recovered=True)
    for number in range(12):
        await start_case(stack.client, letter(stack, f"rec-{number}", auto_redrive=auto))

    async def watched() -> bool:
        handle = stack.client.get_workflow_handle(ids.watch_id("gone"))
        return len(await handle.query("waiting")) == 12

    await assert_eventually(watched, 30)
    assert stack.sink.calls == []
    await start_delivery(stack.client, delivery(stack.post("/well"), trigger="gone", event_id="well"))
    for number in range(12):
        done = await operator.until(f"dead-letter/gone/shop/rec-{number}", "resolved")
        assert done["redrive_log"][0]["automatic"] is True
    told = await stack.client.get_workflow_handle(ids.watch_id("gone")).result()
    assert told == 12


async def test_a_newer_event_of_the_same_key_resolves_the_case(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one of another key does not."""
    from workflows import policies

    monkeypatch.setattr(policies, "LOOK_FIRST", timedelta(seconds=1))
    stack = operator.stack
    for key in ("one", "two"):
        record = letter(stack, f"key-{key}", resolve_on_newer=True).model_copy(update={"key": key, "trigger": "keyed"})
        await start_case(stack.client, record)
    given = delivery(stack.post("/newer"), trigger="keyed", event_id="newer")
    await start_delivery(stack.client, given.model_copy(update={"spec": given.spec.model_copy(update={"key": "one"})}))
    done = await operator.until("dead-letter/gone/shop/key-one", "resolved")
    assert done["history"][-1]["move"] == "supersede"
    assert "keyed/shop/newer" in done["history"][-1]["note"]
    assert (await operator.query("dead-letter/gone/shop/key-two"))["state"] == "open"
    await operator.update("dead-letter/gone/shop/key-two", "discard", {"reason": "done"})


async def test_giving_up_while_the_bus_is_away_waits_for_it_and_loses_nothing(
    tmp_path: Path, temporal_server: TemporalServer
) -> None:
    """The delivery does not end before its record is stored, once, with every attempt; however long that takes."""
    client = await durable.connect(temporal_server.plan.address)
    with nats(tmp_path) as server:
        async with (
            buses.connected(server) as bus,
            durable.stack(client, bus, durable.config(tmp_path, CONFIG), {}) as stack,
        ):
            stack.sink.standing["/away"] = Reply(410)
            server.kill()
            handle = await stack.start(
                names.EVENT_DELIVERY, delivery(stack.post("/away"), event_id="away"), "bill/shop/away"
            )

            async def tried() -> bool:
                pending = (await handle.describe()).raw_description.pending_activities
                return any(one.attempt >= 3 for one in pending)

            await assert_eventually(tried, 40, "the record is tried again and again")
            assert (await handle.describe()).close_time is None
            server.start()
            error = await durable.failure(handle)
            assert error.type == "dead_lettered"
            (record,) = await stack.dead_letters()
            assert (record.id, record.attempt_count, record.attempts_omitted) == ("bill/shop/away", 1, 0)
            assert (record.workflow_id, record.trigger_hash) == ("bill/shop/away", "0" * 16)
