"""From a case to the people and back, on the real Temporal: grouping, acknowledging, recovery, the command line."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from activities.escalations import group_of
from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.contracts.escalation_runs import EscalationView
from holdfast.contracts.escalations import CaseNotice
from holdfast.domain.deadletters import CaseState, Stage
from holdfast.domain.triggers import DeadLetterConfig
from holdfast.settings.file import LoadedConfig
from holdfast.temporal import escalations
from tests import buses, durable
from tests.conftest import assert_eventually
from tests.durable import Stack, delivery
from tests.inboxes import Inbox, inbox
from tests.servers import NatsServer, TemporalServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CONFIG = """version: 1
escalations:
  oncall: [{{after: 0s, notify: [chat, pd]}}, {{after: 1h, notify: chat}}]
  default: [{{notify: chat}}]
notifiers:
  chat: {{webhook: {{url: "{url}/chat"}}}}
  pd: {{pagerduty: {{routing_key: "env:PD", url: "{url}/pd"}}}}
"""


@dataclass
class Scene:
    """A worker on real servers, and an inbox."""

    stack: Stack
    box: Inbox
    loaded: LoadedConfig
    directory: Path
    address: str

    def told(self, path: str) -> list[tuple[str, int]]:
        """What an endpoint was told: about what, and how many failures."""
        return [(post.json["data"]["about"], post.json["data"]["failures"]) for post in self.box.at(path)]

    async def show(self, group: str) -> EscalationView:
        """One group."""
        return await escalations.show_escalation(self.stack.client, group)

    async def until(self, group: str, check: Callable[[EscalationView], bool]) -> None:
        """Wait until a group shows it."""

        async def holds() -> bool:
            with contextlib.suppress(Exception):
                return check(await self.show(group))
            return False

        await assert_eventually(holds, 40)


@pytest.fixture
async def scene(tmp_path: Path, nats_server: NatsServer, temporal_server: TemporalServer) -> AsyncIterator[Scene]:
    """A worker whose notifiers all write to one inbox."""
    async with inbox() as box:
        loaded = durable.config(tmp_path, CONFIG.format(url=box.url))
        address = temporal_server.plan.address
        client = await durable.connect(address)
        async with (
            buses.connected(nats_server) as bus,
            durable.stack(client, bus, loaded, {"PD": "key"}) as stack,
        ):
            yield Scene(stack, box, loaded, tmp_path, address)


def record(stack: Stack, name: str, trigger: str = "", escalation: str | None = None) -> DeadLetterRecord:
    """A dead letter whose trigger names an escalation; without a trigger it is a stray."""
    given = delivery(stack.post(), trigger=trigger or "none")
    spec = given.spec.model_copy(update={"dead_letter": DeadLetterConfig(escalation=escalation)})
    return DeadLetterRecord(
        id=f"{trigger or '~stream'}/{name}",
        stage=Stage.DELIVERY if trigger else Stage.DECODE,
        code="target.refused",
        message="HTTP 404",
        at=datetime.now(UTC),
        source="shop",
        trigger=trigger,
        envelope=given.envelope if trigger else None,
        spec=spec if trigger else None,
        raw_base64=None if trigger else "e30=",
    )


async def test_a_case_tells_people_and_acknowledging_it_quiets_them(scene: Scene) -> None:
    """DeadLetter → report_case → Escalation → notify; the case's acknowledgement and end reach PagerDuty too."""
    given = record(scene.stack, "e-1", "bill-1", "oncall")
    case = await scene.stack.start(names.DEAD_LETTER, given, ids.case_id(given.id))
    group = "escalation/oncall/trigger/bill-1"
    await scene.until(group, lambda view: view.tiers[0].times == 1 and not view.sending)
    assert scene.told("/chat") == [("alarm", 1)]
    await case.execute_update(names.ACKNOWLEDGE, {"by": "ana", "note": "looking"})
    await scene.until(group, lambda view: view.acknowledged_by == "ana" and not view.sending)
    await case.execute_update(names.DISCARD, {"by": "ana", "reason": "a test"})
    await case.result()
    ended = await scene.stack.client.get_workflow_handle(group).result()
    assert EscalationView.model_validate(ended).state == "recovered"
    assert scene.told("/chat") == [("alarm", 1), ("recovered", 1)]
    events = [post.json for post in scene.box.at("/pd")]
    assert [event["event_action"] for event in events] == ["trigger", "acknowledge", "resolve"]
    assert len({event["dedup_key"] for event in events}) == 1


async def test_what_names_no_escalation_goes_to_the_default_one(scene: Scene) -> None:
    """A message that was no event has no trigger: it is grouped by its source and stage."""
    given = record(scene.stack, "7")
    await scene.stack.start(names.DEAD_LETTER, given, ids.case_id(given.id))
    group = "escalation/default/stray/shop/decode"
    await scene.until(group, lambda view: view.tiers[0].times == 1 and not view.sending)
    (post,) = scene.box.at("/chat")
    assert post.json["data"]["title"] == "1 failure of source shop (stage decode): 1 not acknowledged"


async def test_a_long_history_begins_anew_and_forgets_nothing(scene: Scene) -> None:
    """After some reports the group goes on as a new run: the same cases, the same count, nobody told twice."""
    now, group = datetime.now(UTC), ""

    def notice(number: int) -> CaseNotice:
        return CaseNotice(
            case=f"dead-letter/many/{number}",
            dead_letter_id=f"many/{number}",
            change="opened",
            state=CaseState.OPEN,
            at=now,
            stage=Stage.DELIVERY,
            code="target.refused",
            message="HTTP 404",
            trigger="many",
        )

    async def report(number: int) -> None:
        nonlocal group
        group, begun = group_of(scene.loaded.config, "oncall", notice(number), at=now)
        begun = begun.model_copy(update={"renew_after": 100})
        await escalations.begin(scene.stack.client, group, begun, notice(number))

    for first in range(0, 400, 20):
        await _all(report(number) for number in range(first, first + 20))
    await scene.until(group, lambda view: view.waiting == 400)
    handle = scene.stack.client.get_workflow_handle(group)
    described = (await handle.describe()).raw_description.workflow_execution_info
    assert described.first_run_id != described.execution.run_id
    assert described.history_length < 400
    closing = [notice(number).model_copy(update={"change": "closed"}) for number in range(400)]
    for first in range(0, 400, 20):
        await _all(escalations.report(scene.stack.client, group, one) for one in closing[first : first + 20])
    await handle.result()
    assert [about for about, _ in scene.told("/chat")] == ["alarm", "recovered"]
    assert scene.told("/chat")[-1] == ("recovered", 400)


async def test_the_command_line_lists_shows_and_acknowledges(scene: Scene) -> None:
    """Every step names the next one; a notifier is tried with one command."""
    given = record(scene.stack, "e-2", "bill-2", "oncall")
    await scene.stack.start(names.DEAD_LETTER, given, ids.case_id(given.id))
    group = "escalation/oncall/trigger/bill-2"
    await scene.until(group, lambda view: view.tiers[0].times == 1 and not view.sending)
    shown = await holdfast(scene, "escalations", "show", "oncall/trigger/bill-2")
    assert "1; 1 open, 1 not acknowledged" in shown
    assert "told chat" in shown
    assert "acknowledged" in await holdfast(scene, "escalations", "acknowledge", group, "--by", "ana")

    async def listed() -> bool:
        line = [one for one in (await holdfast(scene, "escalations", "list")).splitlines() if group in one]
        return bool(line) and "acknowledged" in line[0]

    await assert_eventually(listed)
    assert "used by oncall, default" in await holdfast(scene, "notifiers", "list")
    before = len(scene.box.posts)
    assert await holdfast(scene, "notifiers", "test", "chat") == "chat: HTTP 200\n"
    assert scene.box.posts[before].json["type"] == "holdfast.escalation.test"


async def holdfast(scene: Scene, *words: str) -> str:
    """Run a command that must succeed; what it prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "holdfast.cli.main", *words),
        cwd=scene.directory,
        env={**os.environ, "TEMPORAL_ADDRESS": scene.address, "HOLDFAST_DATA_DIR": "none", "PD": "key"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def _all(calls: Iterable[Awaitable[object]]) -> None:
    await asyncio.gather(*calls)
