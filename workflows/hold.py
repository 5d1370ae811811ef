"""Holding a delivery back, durably and visibly: its turn in the queue of its key, its time, and every limit.

Flow: read → **turn** → **time** → attempt ⇄ **wait out**. Waiting holds no worker and counts as no attempt; what lasts
is shown: state `waiting`, and the reason on top of the page.
"""

from dataclasses import dataclass, field
from datetime import timedelta

from temporalio import workflow

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.delivery import AdmitInput, DeliveryInput, DeliveryResult, HeldBack, Progress
from holdfast.contracts.queues import DoneInput, JoinInput, JoinQueueInput, KeyQueueInput
from holdfast.errors import ErrorCode
from workflows import calls, calls_queues, narrate, policies
from workflows.escalate import facts
from workflows.outcomes import GaveUp, HeldAttempt, Outcome


@dataclass(slots=True)
class Hold:
    """What this run knows of being held back."""

    released: int = 0  # signals that said: look again
    progress: Progress = field(default_factory=Progress)
    turn: str = ""  # what the queue decided: go, superseded, full
    shown: bool = False  # the state says `waiting`
    count: int = 0  # how often it was held back


def queue_of(given: DeliveryInput) -> KeyQueueInput | None:
    """Return the queue that a delivery stands in; a redrive stands in none, for its dead letter is the head of one."""
    pressure = given.spec.pressure
    if pressure is None or pressure.key is None or given.sequence is None:
        return None
    if given.redrive is not None or given.replay is not None:
        return None
    return KeyQueueInput(
        trigger=given.spec.trigger,
        key=pressure.key,
        on_failure=pressure.on_failure,
        debounce=pressure.debounce,
        throttle=pressure.throttle,
    )


async def wait_for_turn(given: DeliveryInput, hold: Hold) -> Outcome | None:
    """Wait until the queue lets it go: None; or return how it ended where it never will."""
    queue = queue_of(given)
    if queue is None:
        return None
    hold.shown = True  # it was started so
    calls.tell(narrate.waiting(given, f"its turn among the events with key `{queue.key}`", None))
    hold.progress = Progress(waiting=f"its turn among the events with key {queue.key}")
    while not await calls.until(lambda: bool(hold.turn), within=policies.JOIN_AGAIN):
        join = JoinInput(delivery=workflow.info().workflow_id, sequence=given.sequence or 0, stream=given.stream)
        await calls_queues.join_queue(JoinQueueInput(queue=queue, join=join))
    hold.progress = Progress()
    if hold.turn == "go":
        return None
    if hold.turn == "superseded":
        hold.shown = False
        calls.mark(state=names.STATE_SUPERSEDED)
        calls.tell("")
        return DeliveryResult(outcome="superseded", attempts=0, target=given.spec.action.target)
    text = f"{policies.MAX_WAITING} deliveries of the same key wait already"
    return GaveUp(ErrorCode.ORDER_QUEUE_FULL, text)


async def tell_queue(given: DeliveryInput, *, delivered: bool) -> None:
    """Tell the queue that this delivery has ended."""
    queue = queue_of(given)
    if queue is not None:
        done = DoneInput(delivery=workflow.info().workflow_id, delivered=delivered)
        await calls_queues.signal(ids.queue_id(queue.trigger, queue.key), names.DONE, done)


async def wait_for_time(given: DeliveryInput, hold: Hold) -> None:
    """Wait for `delay`, `not_before` and the end of every blackout."""
    pressure = given.spec.pressure
    while pressure is not None and (until := pressure.earliest(facts().at)) > facts().at:
        _show(given, hold, "its time: a delay, `not_before`, or the end of a blackout", until - facts().at)
        await calls.pause(until - facts().at)
        _told(hold)


async def wait_for_admission(given: DeliveryInput, hold: Hold) -> None:
    """Wait until the run of a `workflow` action may be started."""
    delivery = workflow.info().workflow_id
    while True:
        answer = await calls_queues.admit(AdmitInput(delivery=delivery, spec=given.spec, holds=hold.count))
        if answer.held is None:
            return
        await _wait(given, hold, answer.held, answer.wait or timedelta(seconds=1))


async def wait_out(given: DeliveryInput, hold: Hold, held: HeldAttempt) -> None:
    """Wait as long as a held attempt must, and for its time again: a blackout may have begun meanwhile."""
    await _wait(given, hold, held.back, held.wait)
    await wait_for_time(given, hold)


async def _wait(given: DeliveryInput, hold: Hold, back: HeldBack, wait: timedelta) -> None:
    hold.count += 1
    _show(given, hold, back.reason, wait)
    seen = hold.released
    await calls.until(lambda: hold.released > seen, within=wait)
    _told(hold)


def _told(hold: Hold) -> None:
    hold.progress = hold.progress.model_copy(update={"waiting": "", "next_attempt_at": None})


def _show(given: DeliveryInput, hold: Hold, reason: str, wait: timedelta) -> None:
    update = {"waiting": reason, "next_attempt_at": facts().at + wait}
    hold.progress = hold.progress.model_copy(update=update)
    if wait < policies.SHOWN_AFTER and not hold.shown:
        return
    if not hold.shown:
        hold.shown = True
        calls.mark(state=names.STATE_WAITING)
    calls.tell(narrate.waiting(given, reason, facts().at + wait))
