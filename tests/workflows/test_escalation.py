"""Escalation on a clock that jumps: who is told, when, and what makes it stop."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from activities.escalations import group_of
from holdfast.contracts import names
from holdfast.contracts.escalation_runs import EscalationView
from holdfast.contracts.escalations import CaseNotice, Change
from holdfast.domain.deadletters import CaseState, Stage
from holdfast.embedded.servers import binary
from holdfast.settings.file import LoadedConfig
from holdfast.temporal import escalations
from tests import buses, durable
from tests.conftest import assert_eventually
from tests.inboxes import Inbox, inbox
from tests.servers import NatsServer
from tests.workflows.conftest import registered

pytestmark = pytest.mark.integration

ONCALL = """
  oncall:
    - {after: 0s, notify: chat}
    - {after: 15m, notify: [pager], repeat: 30m, until: acknowledged}
    - {after: 24h, notify: [boss, mail]}
"""
M, H, D = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass
class Scene:
    """A worker on a clock that jumps, an inbox that all notifiers write to, and one group."""

    env: WorkflowEnvironment
    loaded: LoadedConfig
    box: Inbox
    began: datetime
    group: str = ""

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        """The group's workflow."""
        return self.env.client.get_workflow_handle(self.group)

    async def report(self, case: str, change: Change = "opened", by: str = "", **more: Any) -> None:
        """Report one change of one case, as the activity does."""
        notice = self.notice(case, change, by, **more)
        if change in {"opened", "reopened"}:
            self.group, begun = group_of(self.loaded.config, "oncall", notice, at=notice.at)
            await escalations.begin(self.env.client, self.group, begun, notice)
        else:
            await escalations.report(self.env.client, self.group, notice)

    def notice(self, case: str, change: Change, by: str, **more: Any) -> CaseNotice:
        """One notice."""
        return CaseNotice(
            case=f"dead-letter/{case}",
            dead_letter_id=case,
            change=change,
            state=CaseState.OPEN,
            at=more.get("at", self.began),
            stage=Stage.DELIVERY,
            code=more.get("code", "target.refused"),
            message="HTTP 404",
            trigger="bill",
            source="shop",
            by=by,
            until=more.get("until"),
        )

    async def pass_time(self, time: timedelta) -> None:
        """Let time pass, and what is due then happen."""
        jump = self.env.sleep  # the test server's clock jumps; nobody waits
        await jump(time)
        await self.view()

    async def view(self) -> EscalationView:
        """The group as it shows itself."""
        view: EscalationView = await self.handle.query(names.SHOW_ESCALATION, result_type=EscalationView)
        return view

    async def told(self, notifier: str) -> None:
        """Wait until a notifier has been told, and that is known."""
        await self.until(lambda view: any(f"told {notifier}" in one.text for one in view.log))

    async def until(self, check: Callable[[EscalationView], bool]) -> EscalationView:
        """Wait until the group shows it."""

        async def holds() -> bool:
            return check(await self.view())

        await assert_eventually(holds)
        return await self.view()

    def said(self) -> list[tuple[str, str, timedelta]]:
        """Who was told what, and how long after the beginning, to the minute."""
        found = []
        for post in self.box.posts:
            data = post.json["data"]
            after = datetime.fromisoformat(data["at"]) - self.began
            found.append((data["notifier"], data["about"], timedelta(minutes=round(after / M))))
        return sorted(found, key=lambda one: (one[2], one[0]))


Open = Callable[[str], contextlib.AbstractAsyncContextManager[Scene]]


@pytest.fixture
def scene(tmp_path: Path, nats_server: NatsServer) -> Open:
    """Open a scene with a policy named `oncall`."""

    @contextlib.asynccontextmanager
    async def play(policy: str) -> AsyncIterator[Scene]:
        async with inbox() as box:
            notifiers = "\n".join(
                f"  {name}: {{webhook: {{url: '{box.url}/{name}'}}}}" for name in ("chat", "pager", "boss", "mail")
            )
            loaded = durable.config(tmp_path, f"version: 1\nescalations:{policy}\nnotifiers:\n{notifiers}\n")
            async with (
                await WorkflowEnvironment.start_time_skipping(
                    test_server_existing_path=binary("temporal-test-server"), data_converter=pydantic_data_converter
                ) as env,
                registered(env.client),
                buses.connected(nats_server) as bus,
                durable.stack(env.client, bus, loaded, {}),
            ):
                yield Scene(env, loaded, box, await env.get_current_time())

    return play


async def test_the_timeline_over_three_days(scene: Open) -> None:
    """Each tier is told at its time and its repeats; after somebody acknowledges, nobody is told anything."""
    async with scene(ONCALL) as here:
        await here.report("c-1")
        await here.pass_time(26 * H + 5 * M)
        expected = [("chat", "alarm", 0 * M)]
        expected += [("pager", "alarm", 15 * M + n * 30 * M) for n in range(52)]
        expected += [("boss", "alarm", 24 * H), ("mail", "alarm", 24 * H)]
        assert here.said() == sorted(expected, key=lambda one: (one[2], one[0]))
        view: EscalationView = await here.handle.execute_update(
            names.ACKNOWLEDGE, {"by": "ana", "note": "looking"}, result_type=EscalationView
        )
        assert (view.state, view.acknowledged_by) == ("acknowledged", "ana")
        await here.pass_time(3 * D - 26 * H)
        assert len(here.box.posts) == len(expected)
        assert (await here.view()).open == 1


async def test_an_acknowledged_case_quiets_its_group(scene: Open) -> None:
    """Whoever acknowledges one case of a group is not paged for the others that were open then."""
    async with scene(ONCALL) as here:
        for number in range(3):
            await here.report(f"c-{number}")
        await here.pass_time(20 * M)
        await here.report("c-1", "acknowledged", by="ana")
        await here.pass_time(3 * D)
        assert here.said() == [("chat", "alarm", 0 * M), ("pager", "alarm", 15 * M)]


async def test_a_thousand_failures_page_once_with_their_count(scene: Open) -> None:
    """The first opens the group and is told; the next tier tells all thousand at once, with codes and a few cases."""
    async with scene(ONCALL) as here:
        await here.report("c-0")
        await here.told("chat")
        for number in range(1, 1_000):
            await here.report(f"c-{number}", code="target.timeout" if number % 4 else "target.refused")
        await here.until(lambda view: view.waiting == 1_000)
        await here.pass_time(16 * M)
        assert [one[:2] for one in here.said()] == [("chat", "alarm"), ("pager", "alarm")]
        (page,) = here.box.at("/pager")
        data = page.json["data"]
        assert (data["failures"], data["waiting"], data["open"]) == (1_000, 1_000, 1_000)
        assert data["codes"] == {"target.refused": 250, "target.timeout": 750}
        assert len(data["samples"]) == 5
        assert data["title"].startswith("1000 failures of trigger bill")


async def test_the_last_case_that_closes_tells_everybody_who_was_told(scene: Open) -> None:
    """Recovered is said once, to those who had the alarm; the group ends, and the next failure is a new alarm."""
    async with scene(ONCALL) as here:
        await here.report("c-1")
        await here.report("c-2")
        await here.pass_time(20 * M)
        await here.report("c-1", "closed")
        await here.report("c-1", "closed")
        await here.until(lambda view: view.open == 1)
        await here.report("c-2", "closed")
        assert EscalationView.model_validate(await here.handle.result()).state == "recovered"
        assert sorted(one[:2] for one in here.said()) == [
            ("chat", "alarm"),
            ("chat", "recovered"),
            ("pager", "alarm"),
            ("pager", "recovered"),
        ]
        await here.report("c-3", at=await here.env.get_current_time())
        await here.until(lambda view: view.tiers[0].times == 1 and not view.sending)
        assert [post.json["data"]["failures"] for post in here.box.at("/chat")] == [1, 2, 1]


async def test_what_fails_long_after_the_acknowledgement_pages_again(scene: Open) -> None:
    """An acknowledgement covers `reopen_after`; what is still open of later failures then begins at the first tier."""
    async with scene(ONCALL) as here:
        await here.report("c-1")
        await here.pass_time(5 * M)
        await here.report("c-1", "acknowledged", by="ana")
        await here.until(lambda view: view.state == "acknowledged")
        await here.report("c-2", at=here.began + 10 * M)
        await here.pass_time(50 * M)
        assert here.said() == [("chat", "alarm", 0 * M)]
        await here.pass_time(12 * M)
        assert here.said() == [("chat", "alarm", 0 * M), ("chat", "alarm", 65 * M)]
        assert here.box.at("/chat")[1].json["data"]["waiting"] == 1


async def test_a_snoozed_case_comes_back(scene: Open) -> None:
    """Nobody is told while the only case is snoozed; when the snooze ends it begins at the first tier."""
    async with scene(ONCALL) as here:
        await here.report("c-1")
        await here.pass_time(5 * M)
        await here.report("c-1", "snoozed", by="ana", until=here.began + 6 * H)
        await here.pass_time(5 * H)
        assert here.said() == [("chat", "alarm", 0 * M)]
        await here.pass_time(H + 5 * M)
        assert here.said() == [("chat", "alarm", 0 * M), ("chat", "alarm", 6 * H)]


def quiet_policy(now: datetime) -> str:
    """A policy whose quiet hours began an hour ago and end in eight hours; the second tier does not care."""
    start, end = (now - H).replace(minute=0), (now + 8 * H).replace(minute=0)
    return f"""
  oncall:
    tiers:
      - {{after: 0s, notify: chat}}
      - {{after: 15m, notify: pager, even_in_quiet_hours: true}}
    quiet: {{from: "{start:%H:%M}", to: "{end:%H:%M}", timezone: UTC}}
"""


async def test_quiet_hours_are_kept(scene: Open) -> None:
    """What falls into quiet hours is told at their end; a tier may say that it does not wait."""
    async with scene(quiet_policy(datetime.now(UTC))) as here:
        end = (here.began + 8 * H).replace(minute=0, second=0, microsecond=0)
        await here.report("c-1")
        await here.pass_time(12 * H)
        assert [one[:2] for one in here.said()] == [("pager", "alarm"), ("chat", "alarm")]
        told = datetime.fromisoformat(here.box.at("/chat")[0].json["data"]["at"])
        assert timedelta(0) <= told - end < M


async def test_when_nobody_of_a_tier_can_be_told_the_next_one_does_not_wait(scene: Open) -> None:
    """A notifier that refuses for good is shown, and the next tier is told at once."""
    async with scene(ONCALL) as here:
        here.box.script["/chat"].append(404)
        await here.report("c-1")
        view = await here.until(lambda view: view.tiers[1].times == 1 and not view.sending)
        assert [one[:2] for one in here.said()] == [("chat", "alarm"), ("pager", "alarm")]
        assert any("COULD NOT TELL chat" in one.text and "HTTP 404" in one.text for one in view.log)


async def test_a_notifier_that_is_down_is_tried_again(scene: Open) -> None:
    """Attempts carry the same id, and one that succeeds counts."""
    async with scene(ONCALL) as here:
        here.box.script["/chat"].extend([503, 500])
        await here.report("c-1")
        await here.pass_time(5 * M)
        posts = here.box.at("/chat")
        assert len(posts) == 3
        assert len({post.headers["idempotency-key"] for post in posts}) == 1


async def test_what_a_group_cannot_read_changes_nothing(scene: Open) -> None:
    """A wrong report is noted; a wrong acknowledgement is refused; an input that is none fails, and is not stuck."""
    async with scene(ONCALL) as here:
        await here.report("c-1")
        await here.told("chat")
        await here.handle.signal(names.REPORT, {"no": "notice"})
        view = await here.until(lambda view: any("could not be read" in one.text for one in view.log))
        assert view.open == 1
        with pytest.raises(WorkflowUpdateFailedError):
            await here.handle.execute_update(names.ACKNOWLEDGE, {"by": 7})
        handle = await here.env.client.start_workflow(
            names.ESCALATION, 7, id="escalation/odd", task_queue=names.TASK_QUEUE
        )
        assert (await durable.failure(handle)).type == "input.invalid"


async def test_whoever_can_only_signal_acknowledges_too(scene: Open) -> None:
    """`temporal workflow signal --name acknowledge` quiets the group."""
    async with scene(ONCALL) as here:
        await here.report("c-1")
        await here.told("chat")
        await here.handle.signal(names.ACKNOWLEDGE, {"by": "bot"})
        view = await here.until(lambda view: view.state == "acknowledged")
        assert view.acknowledged_by == "bot"
        await here.pass_time(D)
        assert len(here.box.at("/pager")) == 0
