"""The eight scenes of the demo, a to h; each raises DemoError where a promise is not kept."""

import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable

from holdfast.cli.demo.stage import Answer, DemoError, Stage, push_event
from holdfast.contracts import names
from holdfast.embedded.sink import Call, Reply
from holdfast.ids import case_id, redrive_id

DEADLINE = 2.5  # seconds; the gateway's hard deadline for an answer


def calls_for(stage: Stage, path: str, answer: Answer) -> list[Call]:
    """Return the calls that the target got for one event."""
    return [call for call in stage.sink.at(path) if call.event_id == answer.event_id]


async def first_attempt(stage: Stage) -> None:
    """Scene a: delivered at the first attempt."""
    answer = await stage.deliver("first")
    await stage.until(lambda: bool(calls_for(stage, "/first", answer)), "the target is called")
    stage.check(len(calls_for(stage, "/first", answer)) == 1, "the target was called once")
    await stage.completed(stage.delivery_id("first", answer))


async def flaky_target(stage: Stage) -> None:
    """Scene b: the target answers 503 with Retry-After twice, then takes it."""
    busy = Reply(503, (("Retry-After", "1"),))
    stage.sink.script["/flaky"] = deque([busy, busy])
    answer = await stage.deliver("flaky")
    await stage.until(lambda: len(calls_for(stage, "/flaky", answer)) == 3, "three attempts")
    calls = calls_for(stage, "/flaky", answer)
    stage.check([c.status for c in calls] == [503, 503, 200], "the target answered 503, 503, 200")
    stage.check(len({c.key for c in calls}) == 1, f"all attempts carried one Idempotency-Key: {calls[0].key}")
    await stage.completed(stage.delivery_id("flaky", answer))


async def refused_then_redriven(stage: Stage) -> None:
    """Scene c: the target refuses for good: a dead letter; the target is mended, the letter redriven."""
    stage.sink.standing["/refused"] = Reply(410)
    answer = await stage.deliver("refused")
    delivery = stage.delivery_id("refused", answer)
    case = case_id(delivery)
    query = f'WorkflowType="{names.DEAD_LETTER}" AND {names.SA_STATE}="open" AND {names.SA_TRIGGER}="refused"'
    await stage.until(lambda: any(w["execution"]["workflowId"] == case for w in stage.workflows(query)), "an open case")
    stage.say(f"[dim]$ temporal workflow list --query '{query}'[/]")
    stage.check(stage.status(delivery) == "FAILED", "the delivery is Failed in the Temporal UI, its case is open")
    stage.say(f"  [dim]{stage.link(case)}[/]")
    stage.sink.standing["/refused"] = Reply(200)
    words = [
        "--workflow-id",
        case,
        "--name",
        names.REDRIVE,
        "--input",
        '{"by": "demo", "reason": "the target is mended"}',
    ]
    stage.say(f"[dim]$ temporal workflow update execute {' '.join(words[:4])} --input '{words[5]}'[/]")
    stage.temporal("workflow", "update", "execute", *words)
    await stage.completed(redrive_id(delivery, 1))
    stage.check(calls_for(stage, "/refused", answer)[-1].status == 200, "the target took the redriven event")
    await stage.completed(case)


async def duplicates(stage: Stage) -> None:
    """Scene d: the same delivery id three times: one workflow."""
    body, delivery = push_event("first"), str(uuid.uuid4())
    answers = [await stage.post(body, delivery=delivery) for _ in range(3)]
    stage.check([a.status for a in answers] == [202, 202, 202], "answered 202 three times")
    stage.check([a.body["duplicate"] for a in answers] == [False, True, True], "the second and third say duplicate")
    await stage.completed(stage.delivery_id("first", answers[0]))
    found = stage.workflows(f'{names.SA_EVENT_ID}="{answers[0].event_id}"')
    stage.check(len(found) == 1 and len(calls_for(stage, "/first", answers[0])) == 1, "one workflow, one call")


async def wrong_signature(stage: Stage) -> None:
    """Scene e: a wrong signature: 401, nothing stored."""
    before = await stage.stored()
    answer = await stage.post(push_event("first"), secret="not-the-secret")  # noqa: S106 - a wrong one on purpose
    stage.check(answer.status == 401, f"answered 401, code {answer.body['code']}")
    stage.check(await stage.stored() == before, "nothing was stored on the bus")


async def temporal_away(stage: Stage) -> None:
    """Scene f: Temporal is stopped: webhooks are still answered 202; started again: delivered."""
    await stage.stack.stop_server("temporal")
    stage.say("Temporal is stopped")
    answers = [await stage.deliver("first") for _ in range(3)]
    await stage.stack.start_server("temporal")
    stage.say("Temporal is started again")
    for answer in answers:
        await stage.completed(stage.delivery_id("first", answer))
    stage.check(all(len(calls_for(stage, "/first", a)) == 1 for a in answers), "each was delivered once")


async def bus_away(stage: Stage) -> None:
    """Scene g: NATS is stopped: 503 with Retry-After within 2.5 s, nothing claimed; started again: accepted."""
    body, delivery = push_event("first"), str(uuid.uuid4())
    await stage.stack.stop_server("nats")
    stage.say("NATS is stopped")
    answer = await stage.post(body, delivery=delivery)
    stage.check(answer.status == 503, f"answered 503, code {answer.body['code']}")
    stage.check(int(answer.headers["retry-after"]) > 0, f"Retry-After: {answer.headers['retry-after']}")
    stage.check(answer.seconds < DEADLINE, f"within {answer.seconds * 1_000:.0f} ms")
    await stage.stack.start_server("nats")
    stage.say("NATS is started again")
    began = time.monotonic()
    while (answer := await stage.post(body, delivery=delivery)).status == 503:
        if time.monotonic() - began > 20:
            raise DemoError("the gateway did not recover within 20 s")
    stage.check(answer.status == 202, f"the same event, sent again, is accepted after {time.monotonic() - began:.1f} s")
    await stage.completed(stage.delivery_id("first", answer))


async def schedule_ticks(stage: Stage) -> None:
    """Scene h: a schedule ticks and its event is delivered."""
    stage.say("[dim]$ holdfast schedules apply[/]")
    stage.holdfast("schedules", "apply")
    stage.temporal("schedule", "toggle", "--schedule-id", "heartbeat", "--unpause", "--reason", "the demo")
    stage.say("[dim]$ temporal schedule toggle --schedule-id heartbeat --unpause[/]")
    await stage.until(lambda: bool(stage.sink.at("/tick")), "a tick arrives at the target")
    stage.temporal("schedule", "toggle", "--schedule-id", "heartbeat", "--pause", "--reason", "the demo has seen it")
    ticks = f'WorkflowType="{names.SCHEDULED_EVENT}"'

    def all_ticked() -> bool:
        done = [w for w in stage.deliveries("heartbeat") if w["status"] == "WORKFLOW_EXECUTION_STATUS_COMPLETED"]
        return len(done) == len(stage.workflows(ticks)) > 0

    await stage.until(all_ticked, "every tick delivered")
    count = len(stage.workflows(ticks))
    stage.check(len({c.event_id for c in stage.sink.at("/tick")}) == count, f"{count} tick(s), each delivered once")


SCENES: tuple[Callable[[Stage], Awaitable[None]], ...] = (
    first_attempt,
    flaky_target,
    refused_then_redriven,
    duplicates,
    wrong_signature,
    temporal_away,
    bus_away,
    schedule_ticks,
)
