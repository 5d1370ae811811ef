"""Record one history per workflow type and outcome: `python -m tests.replay.record`. Append-only.

A history that is there already is never written again: it stands for runs that are under way somewhere.
To record a new shape of an old scenario, add a scenario with a new name.
"""

import asyncio
import contextlib
import re
import tempfile
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio import workflow
from temporalio.client import (
    Client,
    WorkflowContinuedAsNewError,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.dead_letter import CaseView, DeadLetterRecord
from holdfast.contracts.escalation_runs import EscalationInput
from holdfast.contracts.escalations import CaseNotice, Change
from holdfast.contracts.operations import Progress
from holdfast.domain.actions import MessageAction, StepPlan, StepsAction, WorkflowAction
from holdfast.domain.deadletters import CaseState, Stage
from holdfast.domain.escalations import EscalationConfig, TierConfig
from holdfast.domain.retry import RetryPolicy
from holdfast.domain.runs import ActionConfig, HttpRun
from holdfast.domain.triggers import AutoRedrive, DeadLetterConfig
from holdfast.embedded.sink import Reply
from holdfast.temporal import escalations
from tests import bulks, buses, durable, joins, servers
from tests.conftest import assert_eventually
from tests.durable import RECEIVED, Stack, delivery
from tests.replay import pressure

HISTORIES = Path(__file__).parent / "histories"
QUICK = RetryPolicy(max_attempts=3, initial=timedelta(milliseconds=50), max=timedelta(milliseconds=100), jitter=0.0)
Scenario = Callable[[Stack, str], Awaitable[None]]


@workflow.defn(name="Users", sandboxed=False)
class Users:
    """Stands for a workflow of the user's own."""

    @workflow.run
    async def run(self, what: str) -> str:
        """Do as told."""
        if what == "fail":
            raise ApplicationError("no", non_retryable=True)
        if what == "break":
            raise KeyError("bug")
        return what


async def _ended(stack: Stack, kind: str, given: Any, workflow_id: str) -> None:
    handle = await stack.start(kind, given, workflow_id)
    with contextlib.suppress(WorkflowFailureError):
        await handle.result()


def _http(*statuses: int, **more: Any) -> Scenario:
    async def play(stack: Stack, workflow_id: str) -> None:
        stack.sink.script[f"/{workflow_id}"] = deque(Reply(status) for status in statuses)
        action = stack.post(f"/{workflow_id}", **more)
        await _ended(stack, names.EVENT_DELIVERY, delivery(action, retry=QUICK), workflow_id)

    return play


def _awaited(*statuses: int, what: str = "") -> Scenario:
    """A delivery whose outcome somebody waits for; `what`: by a workflow of the user's own."""

    async def play(stack: Stack, workflow_id: str) -> None:
        stack.sink.script[f"/{workflow_id}"] = deque(Reply(status) for status in statuses)
        action = WorkflowAction(workflow="Users", task_queue="record-users", args=(what,)) if what else None
        given = delivery(action or stack.post(f"/{workflow_id}"), retry=QUICK)
        given = given.model_copy(update={"awaited_until": datetime.now(UTC) + timedelta(seconds=30)})
        async with Worker(stack.client, task_queue="record-users", workflows=[Users]):
            await _ended(stack, names.EVENT_DELIVERY, given, workflow_id)

    return play


def _child(what: str, queue: str = "record-users", start_within: timedelta = timedelta(hours=1)) -> Scenario:
    async def play(stack: Stack, workflow_id: str) -> None:
        action = WorkflowAction(workflow="Users", task_queue=queue, args=(what,), start_within=start_within)
        async with Worker(stack.client, task_queue="record-users", workflows=[Users]):
            await _ended(stack, names.EVENT_DELIVERY, delivery(action, retry=QUICK), workflow_id)

    return play


async def _cancelled(stack: Stack, workflow_id: str) -> None:
    stack.sink.standing[f"/{workflow_id}"] = Reply(503, (("Retry-After", "600"),))
    handle = await stack.start(names.EVENT_DELIVERY, delivery(stack.post(f"/{workflow_id}")), workflow_id)
    await durable.until_state(handle, "timer_started")
    await handle.cancel()
    with contextlib.suppress(WorkflowFailureError):
        await handle.result()


def _input(kind: str, given: Any) -> Scenario:
    async def play(stack: Stack, workflow_id: str) -> None:
        await _ended(stack, kind, given, workflow_id)

    return play


def _case(
    *moves: tuple[str, dict[str, Any]],
    statuses: tuple[int, ...] = (),
    raw: str | None = None,
    policy: DeadLetterConfig | None = None,
) -> Scenario:
    async def play(stack: Stack, workflow_id: str) -> None:
        stack.sink.script[f"/{workflow_id}"] = deque(Reply(status) for status in statuses)
        expire = timedelta(days=90) if moves else timedelta(seconds=1)
        given = delivery(stack.post(f"/{workflow_id}"), trigger="gone", retry=QUICK, expire_after=expire)
        letter = DeadLetterRecord(
            id=f"gone/{workflow_id}",
            stage=Stage.DELIVERY if raw is None else Stage.DECODE,
            code="target.refused",
            message="HTTP 404",
            at=RECEIVED,
            source="shop",
            trigger="gone",
            envelope=given.envelope if raw is None else None,
            spec=given.spec,
            raw_base64=raw,
            policy=policy,
        )
        handle = await stack.start(names.DEAD_LETTER, letter, ids.case_id(workflow_id))
        for name, content in moves:
            if name.startswith("signal "):
                await handle.signal(name.removeprefix("signal "), content)
                continue
            try:
                view: CaseView = await handle.execute_update(name, content, result_type=CaseView)
            except WorkflowUpdateFailedError:  # refused after it was accepted: part of the history
                continue
            if name == names.REDRIVE:
                with contextlib.suppress(WorkflowFailureError):
                    if raw is None:
                        await stack.client.get_workflow_handle(view.redrives[-1]).result()
                await _settled(handle)
        await handle.result()

    return play


def _operation(*said: str, status: int = 200, **more: Any) -> Scenario:
    """Three cases of a source, moved by one operation; `said` are its Updates, the last a phase to wait for before."""

    async def play(stack: Stack, workflow_id: str) -> None:
        stack.sink.standing.update({f"/item/{number}": Reply(status) for number in range(3)})
        await bulks.open_cases(stack.client, stack.sink.url, range(3), source=workflow_id)
        given = bulks.redrive_all(workflow_id, **more)
        handle = await stack.start(names.BULK_OPERATION, given, workflow_id)
        for update in said:

            async def may(update: str = update) -> bool:
                last = await handle.query(names.PROGRESS, result_type=Progress)
                return bool(last.phase == {"confirm": "waiting", "resume": "paused"}.get(update, last.phase))

            await assert_eventually(may, within=30)
            await handle.execute_update(update, {"by": "ana"}, result_type=Progress)
        with contextlib.suppress(WorkflowFailureError):
            await handle.result()

    return play


_NONSENSE = {"kind": "bulk", "move": "redrive", "select": {"where": "1"}}
_REPLAYED = {"kind": "replay", "source": "shop", "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}


async def _watch(stack: Stack, workflow_id: str) -> None:
    handle = await stack.start(names.SCHEDULE_WATCH, {"again_soon": True}, workflow_id)

    async def looked_twice() -> bool:
        return (await durable.kinds(handle)).count("activity_task_completed") == 2

    await assert_eventually(looked_twice, within=60)
    await handle.terminate("recorded")


async def _settled(handle: WorkflowHandle[Any, Any]) -> None:
    async def left() -> bool:
        view = await handle.query(names.CASE, result_type=CaseView)
        return bool(view.state != CaseState.REDRIVING)

    await assert_eventually(left)


def _group(*changes: Change, renew_after: int = 2_000) -> Scenario:
    """One case of a group, told to the worker's log; the recording ends with the group, or where it began anew."""

    async def play(stack: Stack, workflow_id: str) -> None:
        policy = EscalationConfig(tiers=(TierConfig(notify=("log",)), TierConfig(after=timedelta(1), notify=("log",))))
        begun = EscalationInput(
            escalation="log", group=workflow_id, policy=policy, kinds={"log": "log"}, renew_after=renew_after
        )
        first = None
        for change in changes:
            notice = CaseNotice(
                case=f"dead-letter/{workflow_id}",
                dead_letter_id=workflow_id,
                change=change,
                state=CaseState.OPEN,
                at=RECEIVED,
                stage=Stage.DELIVERY,
                code="target.refused",
                message="HTTP 404",
                by="ana",
            )
            if first is None:
                await escalations.begin(stack.client, workflow_id, begun, notice)
                first = await stack.client.get_workflow_handle(workflow_id).describe()
                await durable.until_state(
                    stack.client.get_workflow_handle(workflow_id, run_id=first.run_id), "activity_task_completed"
                )
            else:
                await escalations.report(stack.client, workflow_id, notice)
        assert first is not None
        with contextlib.suppress(WorkflowContinuedAsNewError):
            await stack.client.get_workflow_handle(workflow_id, run_id=first.run_id).result(follow_runs=False)

    return play


def _steps(*statuses: int) -> Scenario:
    async def play(stack: Stack, workflow_id: str) -> None:
        stack.sink.script["/steps"] = deque(Reply(status) for status in statuses)
        call = ActionConfig(http=HttpRun(url=stack.sink.url + "/steps", result="response.status"))
        child = ActionConfig(workflow="Users", task_queue="record-users", args=("'hello'",))
        plans = (
            StepPlan(name="first", run=call, compensate=call),
            StepPlan(name="second", run=child),
            StepPlan(name="third", run=call),
        )
        async with Worker(stack.client, task_queue="record-users", workflows=[Users]):
            await _ended(stack, names.EVENT_DELIVERY, delivery(StepsAction(steps=plans), retry=QUICK), workflow_id)

    return play


SCENARIOS: dict[str, Scenario] = {
    "join-fired": joins.scenario("paid", "shipped", within="1h"),
    "join-absence": joins.scenario("paid", condition="paid && !shipped"),
    "join-ruled-out": joins.scenario("shipped", condition="paid && !shipped"),
    "join-repeated": joins.scenario("paid", "paid", "shipped", within="1h"),
    "join-dead-lettered": joins.scenario("paid"),
    "join-dropped": joins.scenario("paid", at_end="drop"),
    "join-late-recorded": joins.scenario("paid", "shipped", "paid", late="record"),
    "join-unreadable": _input(names.JOIN, 7),
    "joined-event": _input(names.JOINED_EVENT, joins.CLAIM),
    "joined-event-unreadable": _input(names.JOINED_EVENT, 7),
    "delivery-steps-delivered": _steps(200, 503, 200),
    "delivery-steps-compensated": _steps(200, 404, 503, 200),
    "delivery-signal-missing": _input(
        names.EVENT_DELIVERY,
        delivery(MessageAction(how="signal", workflow_id="nobody", name="x", when_missing="dead_letter"), retry=QUICK),
    ),
    "delivery-detached": _input(
        names.EVENT_DELIVERY,
        delivery(WorkflowAction(workflow="Users", task_queue="record-nobody", detached=True), retry=QUICK),
    ),
    "delivery-delivered-at-once": _http(200),
    "delivery-delivered-after-retries": _http(503, 503, 200),
    "delivery-dead-lettered-exhausted": _http(503, 503, 503),
    "delivery-dead-lettered-refused": _http(404),
    "delivery-slow-delivered": _http(200, timeout=timedelta(seconds=20)),
    "delivery-slow-retried": _http(503, 200, timeout=timedelta(seconds=20)),
    "delivery-cancelled": _cancelled,
    "delivery-unreadable": _input(names.EVENT_DELIVERY, {"no": "delivery"}),
    "delivery-child-delivered": _child("hello"),
    "delivery-child-failed": _child("fail"),
    "delivery-child-broken": _child("break"),
    "delivery-child-nobody": _child("hello", queue="record-nobody", start_within=timedelta(seconds=12)),
    "delivery-awaited-delivered": _awaited(200),
    "delivery-awaited-after-retries": _awaited(503, 200),
    "delivery-awaited-dead-lettered": _awaited(404),
    "delivery-awaited-child": _awaited(what="hello"),
    "case-redriven": _case((names.ACKNOWLEDGE, {"by": "ana"}), (names.REDRIVE, {"by": "ana"})),
    "case-redriven-twice": _case((names.REDRIVE, {"by": "ana"}), (names.REDRIVE, {"by": "ben"}), statuses=(404,)),
    "case-discarded": _case((names.DISCARD, {"by": "ana", "reason": "a test"})),
    "case-expired": _case(),
    "case-republished": _case((names.REDRIVE, {"by": "ana"}), raw="Z2FyYmFnZQ=="),
    "case-handled-by-people": _case(
        (names.ASSIGN, {"by": "ana", "to": "ben"}),
        (names.COMMENT, {"by": "ana", "text": "yours"}),
        (names.REDRIVE, {"by": "ben", "trigger": "nowhere"}),
        (names.SNOOZE, {"by": "ben", "for": "1s"}),
        (names.ACKNOWLEDGE, {"by": "ben"}),
        (names.REDRIVE, {"by": "ben", "body": '{"n": 2}'}),
        (f"signal {names.DISCARD}", {"by": "ben"}),
        (f"signal {names.DISCARD}", {"by": "ben", "reason": "a test"}),
        statuses=(404,),
    ),
    "case-redriven-by-itself": _case(
        statuses=(404,), policy=DeadLetterConfig(auto_redrive=AutoRedrive(after=timedelta(seconds=1), factor=1.0))
    ),
    "case-snoozed-then-expired": _case(
        (names.SNOOZE, {"by": "ben", "for": "1s"}), policy=DeadLetterConfig(expire_after=timedelta(seconds=2))
    ),
    "case-recovered": _case(
        (f"signal {names.RECOVERED}", {"at": "2099-01-01T00:00:00Z", "delivery": "gone/shop/well"}),
        policy=DeadLetterConfig(auto_redrive=AutoRedrive(when_recovered=True)),
    ),
    "bulk-redriven": _operation(rate="1000/s"),
    "bulk-confirmed-paused-resumed": _operation("pause", "confirm", "resume", confirmed=False, rate="1000/s"),
    "bulk-cancelled": _operation("cancel", confirmed=False),
    "bulk-dry-run": _operation(dry_run=True),
    "bulk-nonsense": _input(
        names.BULK_OPERATION, {"work": {"kind": "bulk", "move": "redrive", "select": {"where": "1"}}}
    ),
    "bulk-unreadable": _input(names.BULK_OPERATION, 7),
    "replay-of-nothing": _input(names.REPLAY, {"work": _REPLAYED, "confirmed": True}),
    "watch-nobody": _input(names.CASE_WATCH, {"trigger": "nobody"}),
    "case-unreadable": _input(names.DEAD_LETTER, 7),
    "tick-published": _input(names.SCHEDULED_EVENT, {"schedule": "nightly", "data_expression": "tick.date"}),
    "tick-dead-lettered": _input(names.SCHEDULED_EVENT, {"schedule": "nightly", "data_expression": "tick.nope"}),
    "tick-unreadable": _input(names.SCHEDULED_EVENT, {"schedule": "NOT A NAME"}),
    "tick-of-any-name": _input(names.SCHEDULED_EVENT, {"schedule": "Not A Name!", "timezone": "Europe/Berlin"}),
    "tick-without-input": _input(names.SCHEDULED_EVENT, None),
    "tick-unwanted": _input(names.SCHEDULED_EVENT, {"schedule": "nightly", "when": "tick.weekday == 'NEVER'"}),
    "watch-looked-twice": _watch,
    "escalation-recovered": _group("opened", "opened", "acknowledged", "reopened", "closed"),
    "escalation-renewed": _group("opened", renew_after=8),
    "escalation-unreadable": _input(names.ESCALATION, 7),
    "sweep-found-something": _input(names.SWEEP, {}),
    "sweep-unreadable": _input(names.SWEEP, 7),
    "custody-counted": _input(names.CUSTODY, {}),
    "custody-unreadable": _input(names.CUSTODY, 7),
    "unknown-type": _input("NoSuchWorkflow", {"a": 1}),
    **pressure.scenarios(Users),
}


async def _record(stack: Stack, client: Client, name: str) -> None:
    file = HISTORIES / f"{name}.json"
    if file.exists():
        return
    await SCENARIOS[name](stack, name)
    workflow_id = ids.case_id(name) if name.startswith("case-") and name != "case-unreadable" else name
    if name.startswith("join-") and name != "join-unreadable":
        workflow_id = ids.join_id(name, "o-1")
    described = await client.get_workflow_handle(workflow_id).describe()
    first = described.raw_description.workflow_execution_info.first_run_id
    history = await client.get_workflow_handle(workflow_id, run_id=first).fetch_history()
    file.write_text(_anonymous(history.to_json()) + "\n", encoding="utf-8")


def _anonymous(text: str) -> str:
    """Take out where, and by which process, it was recorded."""
    text = text.replace(str(HISTORIES.parents[2]), ".")
    return re.sub(r"\b\d+@[\w.-]+?(?=[\"-])", "recorder", text)  # process@host, also inside names of sticky queues


async def main() -> None:
    """Play what has no history yet, each on fresh servers' common worker."""
    HISTORIES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as text:
        directory = Path(text)
        with servers.nats(directory) as nats, servers.temporal(directory) as temporal:
            client = await durable.connect(temporal.plan.address)
            loaded = durable.config(directory, pressure.CONFIG)
            async with buses.connected(nats) as bus, durable.stack(client, bus, loaded, {}) as stack:
                await pressure.prepare(bus)
                for name in SCENARIOS:
                    await _record(stack, client, name)


if __name__ == "__main__":
    asyncio.run(main())
