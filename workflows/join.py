"""`Join`: the windows of one trigger and one key, from the first event to the decision.

Flow: offer → claim → **window** → fire | end | record → closed; the next event begins another run. What a window does
is `holdfast/domain/joins.py`; here it is carried out. Nothing is open while no window is.
"""

import asyncio

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, FailureError

from holdfast.contracts import names
from holdfast.contracts.join import (
    CatchUpInput,
    JoinInput,
    JoinOffer,
    JoinResult,
    JoinView,
    WindowEnd,
)
from holdfast.domain.joins import (
    Arrival,
    Fire,
    Incomplete,
    Passed,
    RuledOut,
    Standing,
    Superseded,
    TooLarge,
    step,
)
from holdfast.errors import ErrorCode
from workflows import calls, calls_join, narrate, policies, records
from workflows.escalate import dead_letter, facts
from workflows.inputs import NOTHING, Unreadable, read
from workflows.outcomes import is_cancellation
from workflows.windows import Order, Windows, arrival, claim, settlement


@workflow.defn(name=names.JOIN, failure_exception_types=policies.FAILURE_TYPES)
class Join:
    """One key of one join. Its workflow id is `join/{trigger}/{key}`; each run has at least one window."""

    @workflow.init
    def __init__(self, raw: RawValue = NOTHING) -> None:
        given = read(JoinInput, raw)
        self._unreadable = given if isinstance(given, Unreadable) else None
        self._state = Windows() if isinstance(given, Unreadable) else Windows.of(given)

    @workflow.run
    async def run(self, raw: RawValue = NOTHING) -> JoinResult:  # noqa: ARG002 - read by __init__, before any signal
        """Take what is offered until no window is open. Fails with `dead_lettered` where the last one was."""
        if self._unreadable is not None:
            raise await dead_letter(records.of_unreadable(self._unreadable, facts()))
        try:
            await self._live()
        except (asyncio.CancelledError, FailureError) as error:
            if not (is_cancellation(error) and calls.cancel_requested()):
                await self._give_up(f"{type(error).__name__} in Holdfast")
            else:
                await self._give_up("somebody cancelled the join")
            raise
        except tuple(policies.FAILURE_TYPES) as error:
            await self._give_up(f"{type(error).__name__} in Holdfast")
            raise
        state = self._state
        last = state.ended[-1] if state.ended else None
        if last is not None and last.dead_letter:
            raise ApplicationError(
                f"{last.code}: {last.message}",
                {"code": last.code, "dead_letter": last.dead_letter},
                type=ErrorCode.DEAD_LETTERED,
                non_retryable=True,
            )
        return JoinResult(windows=tuple(state.ended))

    @workflow.signal(name=names.OFFER)
    def offer(self, raw: RawValue = NOTHING) -> None:
        """One event. It is looked at in the order of arrival."""
        self._state.inbox.append(read(JoinOffer, raw))

    @workflow.query(name=names.WINDOW)
    def window(self) -> JoinView:
        """Show what has come, what is awaited, and until when."""
        return self._state.view()

    async def _live(self) -> None:
        """Return once nothing is open and nothing was offered: no await may stand between that and the end."""
        state = self._state
        while True:
            while state.inbox or state.todo:
                await self._take()
                await self._carry_out()
                self._go_on_where_long()
            if state.window is None:
                if not state.held_back:
                    return
                waiting, state.held_back = state.held_back, []
                for offer in waiting:
                    self._place(offer)
                continue
            left = state.window.ends_at - facts().at
            if left.total_seconds() > 0:
                calls.tell(narrate.join(state.view()))
                await calls.until(lambda: bool(state.inbox), within=left)
                continue
            if state.window.standing is Standing.WAITING:
                await calls_join.catch_up(CatchUpInput(until=state.window.ends_at))
            if not state.inbox:
                self._apply(Passed(facts().at))

    async def _take(self) -> None:
        """Claim what was offered, a batch at a time, and put into the window what was not taken before."""
        state = self._state
        batch = list(state.inbox)[: policies.JOIN_BATCH]
        first, state.taken = state.taken, state.taken + len(batch)
        own = facts().workflow_id
        fresh = await asyncio.gather(*(claim(own, offer, first + at) for at, offer in enumerate(batch)))
        for offer, is_fresh in zip(batch, fresh, strict=True):
            state.inbox.popleft()
            if is_fresh and not isinstance(offer, Unreadable):
                self._place(offer)

    def _place(self, offer: JoinOffer) -> None:
        """Put a claimed event into the window, or hold it back where the window is of another configuration."""
        if self._state.foreign(offer):
            self._state.held_back.append(offer)
        else:
            self._put(offer)

    def _put(self, offer: JoinOffer) -> None:
        state, now = self._state, facts().at
        if state.window is not None and state.window.ends_at <= min(now, offer.envelope.received_at):
            self._apply(Passed(now))
        if state.window is None:
            state.spec = offer.spec
        state.held[offer.claim] = offer
        self._apply(arrival(offer, now))

    def _apply(self, happening: Arrival | Passed) -> None:
        state = self._state
        state.window, outcomes = step(state.rules, state.window, happening)
        state.todo.extend((state.pinned, outcome) for outcome in outcomes)

    async def _carry_out(self, gave_up: str = "") -> None:
        """Settle what the rule decided, in order; an order leaves the list once it is carried out."""
        state = self._state
        while state.todo:
            order = state.todo[0]
            if not isinstance(order[1], Superseded):
                await self._settle(order, gave_up)
            state.todo.popleft()
            state.release()

    async def _settle(self, order: Order, gave_up: str = "") -> None:
        given = settlement(self._state, order, gave_up=gave_up)
        done = await calls_join.settle_join(given)
        outcome = order[1]
        if not isinstance(outcome, Fire | RuledOut | Incomplete):
            return
        self._state.ended.append(
            WindowEnd(
                outcome=done.outcome,
                opened_at=given.opened_at,
                closed_at=given.closed_at,
                came=tuple(event.name for event in given.events),
                taken=outcome.window.taken,
                delivery=done.delivery,
                dead_letter=done.dead_letter,
                code=done.code,
                message=done.message,
            )
        )
        calls.mark(state=done.outcome, error=done.code or None)
        calls.tell(narrate.join(self._state.view()))

    def _go_on_where_long(self) -> None:
        """Begin a new run before the history grows too long; what is held and what waits goes along."""
        state = self._state
        info = workflow.info()
        if info.get_current_history_length() < policies.JOIN_HISTORY and not info.is_continue_as_new_suggested():
            return
        carried = state.carried()
        if carried is not None and (carried.window is not None or carried.inbox):
            calls.go_on(carried)

    async def _give_up(self, why: str) -> None:
        """Record what is held: the window as one dead letter, what was offered and not yet taken each as its own."""
        state = self._state
        await self._carry_out()
        if state.window is not None:
            state.todo.append((state.pinned, Incomplete(state.window)))
            state.window = None
        for offer in (*state.held_back, *state.inbox):
            if not isinstance(offer, Unreadable):
                state.held[offer.claim] = offer
                state.todo.append((offer.spec, TooLarge(arrival(offer, facts().at))))
        state.held_back.clear()
        state.inbox.clear()
        await self._carry_out(why)
