"""`KeyQueue`: the deliveries of one key of one trigger, one after another in the order of the stream.

Flow: join → **settled before?** → turn → done → the next. Dispatchers join in any order; an event has its turn only
when every event stored before it is settled, so none with a smaller sequence can still come. A head that ends as a dead
letter stops its own key alone, until somebody closes its case or skips it. The run ends when nobody waits.
"""

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RawValue

from holdfast import ids
from holdfast.contracts import names
from holdfast.contracts.queues import (
    DoneInput,
    JoinInput,
    KeyQueueInput,
    KeyQueueResult,
    SkipInput,
    Turn,
    TurnInput,
)
from holdfast.domain.pressure import ThrottleConfig
from workflows import calls, calls_queues, narrate, policies, records
from workflows.escalate import dead_letter, facts
from workflows.inputs import NOTHING, Unreadable, read

FIRST_JOINS_WITHIN = timedelta(seconds=10)


@workflow.defn(name=names.KEY_QUEUE, failure_exception_types=policies.FAILURE_TYPES)
class KeyQueue:
    """One queue. Its workflow id is `queue/{trigger}/{key}`, so there is one, whoever starts it."""

    def __init__(self) -> None:
        self._waiting: dict[str, JoinInput] = {}
        self._head: JoinInput | None = None
        self._done: dict[str, bool] = {}
        self._joined = 0
        self._skips = 0
        self._skipped = 0
        self._refused: list[str] = []
        self._passed: list[datetime] = []
        self._blocked = False
        self._sent = 0
        self._marked = ""

    @workflow.signal(name=names.QUEUE_JOIN)
    def join(self, raw: RawValue = NOTHING) -> None:
        """Take one more delivery; one that is known counts once."""
        given = read(JoinInput, raw)
        if isinstance(given, Unreadable) or given.delivery in self._waiting:
            return
        if self._head is not None and self._head.delivery == given.delivery:
            return
        if len(self._waiting) >= policies.MAX_WAITING:
            self._refused.append(given.delivery)
            return
        self._waiting[given.delivery] = given
        self._joined += 1

    @workflow.signal(name=names.DONE)
    def done(self, raw: RawValue = NOTHING) -> None:
        """Hear that a delivery has ended."""
        given = read(DoneInput, raw)
        if isinstance(given, DoneInput):
            self._done[given.delivery] = given.delivered

    @workflow.signal(name=names.SKIP)
    def skip(self, raw: RawValue = NOTHING) -> None:
        """Let the next one go, whatever the head is: somebody has looked at it."""
        if not isinstance(read(SkipInput, raw), Unreadable):
            self._skips += 1

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> KeyQueueResult:
        """Serve everybody who joins, until nobody waits."""
        given = read(KeyQueueInput, raw)
        if isinstance(given, Unreadable):
            raise await dead_letter(records.of_unreadable(given, facts()))
        for join in given.waiting:
            self._waiting.setdefault(join.delivery, join)
        self._head, self._blocked, self._passed = given.head, given.blocked, list(given.passed)
        self._skipped = self._skips if not given.blocked else 0
        await calls.until(lambda: bool(self._waiting) or self._head is not None, within=FIRST_JOINS_WITHIN)
        while await self._somebody(given):
            if given.debounce is not None:
                await self._debounce(given.debounce)
            else:
                await self._one(given)
            if calls_queues.history_is_long():
                calls.go_on(self._carried(given))
        return KeyQueueResult(sent=self._sent)

    async def _somebody(self, given: KeyQueueInput) -> bool:
        """Whether anybody waits; a throttle stays while it must remember."""
        while self._refused:
            await self._turn(self._refused.pop(0), "full")
        if self._waiting or self._head is not None:
            return True
        if given.throttle is None or not self._forget(given.throttle):
            return False
        await calls.until(lambda: bool(self._waiting), within=self._next_free(given.throttle))
        return bool(self._waiting) or bool(self._forget(given.throttle))

    async def _one(self, given: KeyQueueInput) -> None:
        """Let the first one go and wait for its end, or go on with where an earlier run was."""
        if self._head is None:
            if not self._waiting:
                return
            first = self._first()
            if not await calls_queues.settled_before(first.sequence, first.stream):
                self._tell(given, "an earlier event is still being dispatched")
                return
            # a smaller one of its stream may have joined meanwhile, and nothing smaller can come
            first = self._first(first.stream)
            if given.throttle is not None:
                await self._throttle(given.throttle, first)
                return
            del self._waiting[first.delivery]
            self._head, self._skipped = first, self._skips
            if not await self._turn(first.delivery, "go"):
                self._done.setdefault(first.delivery, True)  # it has ended before: a repeat
        if not self._blocked:
            self._tell(given, "the first is under way")
            await self._ended(given, self._head)
        if self._blocked and not await self._freed(given, self._head):
            return
        self._blocked, self._head = False, None

    async def _ended(self, given: KeyQueueInput, head: JoinInput) -> None:
        """Wait for the end of the head, and learn whether it blocks its key."""
        while head.delivery not in self._done and self._skips == self._skipped:
            if await calls.until(
                lambda: head.delivery in self._done or self._skips > self._skipped, within=policies.LOOK_AT_HEAD
            ):
                break
            state = await calls_queues.state_of(head.delivery)
            if state != "open":
                self._done.setdefault(head.delivery, state == "completed")
            elif calls_queues.history_is_long():
                calls.go_on(self._carried(given))
        delivered = self._done.pop(head.delivery, True)
        self._sent += 1
        self._blocked = not delivered and given.on_failure == "stop" and self._skips == self._skipped

    async def _freed(self, given: KeyQueueInput, head: JoinInput) -> bool:
        """Wait until the dead letter of the head is closed or skipped."""
        self._show(names.STATE_BLOCKED)
        self._tell(given, f"`{head.delivery}` ended as a dead letter; what follows waits until its case is closed")
        case, since, seen = ids.case_id(head.delivery), facts().at, False
        while not await calls.until(lambda: self._skips > self._skipped, within=policies.LOOK_AT_CASE):
            state = await calls_queues.state_of(case)
            seen = seen or state == "open"
            if state in {"completed", "failed"} or (state == "missing" and seen):
                break
            if state == "missing" and facts().at - since > policies.CASE_APPEARS_WITHIN:
                break
            if calls_queues.history_is_long():
                calls.go_on(self._carried(given))
        self._show(names.STATE_WAITING)
        return True

    async def _debounce(self, quiet: timedelta) -> None:
        """Wait until nothing has come for `quiet`; let the last one go, and tell the others."""
        seen = self._joined
        more = await calls.until(lambda: self._joined > seen, within=quiet)
        last = max(self._waiting, key=lambda one: self._waiting[one].sequence, default=None)
        for delivery in [one for one in self._waiting if one != last]:
            del self._waiting[delivery]
            await self._turn(delivery, "superseded")
        if not more and self._joined == seen and last is not None:
            del self._waiting[last]
            await self._turn(last, "go")
            self._sent += 1

    async def _throttle(self, rule: ThrottleConfig, first: JoinInput) -> None:
        """Let the first one go where the time has room, else make it wait or skip it."""
        if len(self._forget(rule)) >= rule.max:
            if rule.excess == "skip":
                del self._waiting[first.delivery]
                await self._turn(first.delivery, "superseded")
            else:
                await calls.pause(self._next_free(rule))
            return
        del self._waiting[first.delivery]
        if await self._turn(first.delivery, "go"):
            self._passed.append(facts().at)
            self._sent += 1

    def _forget(self, rule: ThrottleConfig) -> list[datetime]:
        now = facts().at
        self._passed = [at for at in self._passed if at + rule.per > now]
        return self._passed

    def _next_free(self, rule: ThrottleConfig) -> timedelta:
        return max(self._passed[0] + rule.per - facts().at, timedelta(milliseconds=1))

    def _first(self, stream: str = "") -> JoinInput:
        """Return the first of a stream, or of all: streams are told apart, for their sequences are not comparable."""
        waiting = [one for one in self._waiting.values() if one.stream == stream or not stream]
        return min(waiting, key=lambda one: (one.sequence, one.delivery))

    async def _turn(self, delivery: str, verdict: Turn) -> bool:
        return await calls_queues.signal(delivery, names.TURN, TurnInput(verdict=verdict))

    def _show(self, state: str) -> None:
        if state != self._marked:
            self._marked = state
            calls.mark(state=state)

    def _tell(self, given: KeyQueueInput, what: str) -> None:
        line = sorted(self._waiting, key=lambda one: self._waiting[one].sequence)
        calls.tell(narrate.queue(given.trigger, given.key, what, line))

    def _carried(self, given: KeyQueueInput) -> KeyQueueInput:
        waiting = tuple(self._waiting.values())
        return given.model_copy(
            update={
                "waiting": waiting,
                "head": self._head,
                "blocked": self._blocked,
                "passed": tuple(self._passed),
            }
        )
