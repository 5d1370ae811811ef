"""Holds a request for its event's outcome (`Prefer: wait=N`), after the event is stored and without asking Temporal.

Flow: identify → **expect** (before publishing) → publish → **outcome** → 200 with the results; else 202 as always.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.limits import ASK_AGAIN, MAX_WAITING
from gateway.receive import Receive
from holdfast.bus.news import Newsroom, Watch
from holdfast.clock import Clock
from holdfast.contracts import names
from holdfast.contracts.news import Ended, told
from holdfast.contracts.status import DeadLetterStatus, DeliveryStatus, EventStatus
from holdfast.domain.events import Envelope
from holdfast.domain.prefer import wanted_wait
from holdfast.errors import HoldfastError

PREFER = b"prefer"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Every delivery of an event has ended; none at all: no trigger wanted it."""

    deliveries: tuple[Ended, ...]

    @property
    def status(self) -> str:
        """All in one word: delivered, dead_lettered, unmatched, or partly_delivered."""
        said = {each.status for each in self.deliveries}
        if not said:
            return "unmatched"
        return said.pop() if len(said) == 1 else "partly_delivered"


@dataclass(slots=True)
class Ticket:
    """One request's place among those that wait. `until` is what the bus is told; `wait` was asked for."""

    watch: Watch
    wait: timedelta
    until: datetime
    deadline: float  # of the monotonic clock, s
    close: Callable[[], None]

    @property
    def applied(self) -> bytes:
        """Value of Preference-Applied."""
        return b"wait=%d" % int(self.wait.total_seconds())


class Waiting:
    """All that wait. `look` says what is known of an event by source and id."""

    def __init__(
        self,
        newsroom: Newsroom,
        look: Callable[[str, str], Awaitable[EventStatus]],
        clock: Clock,
        most: int = MAX_WAITING,
    ) -> None:
        self._newsroom = newsroom
        self._look = look
        self._clock = clock
        self._most = most
        self._draining = asyncio.Event()
        self.count = 0

    def drain(self) -> None:
        """Answer everybody now, and let nobody wait any more."""
        self._draining.set()

    async def expect(
        self, headers: Sequence[tuple[bytes, bytes]], longest: timedelta, envelope: Envelope
    ) -> Ticket | None:
        """Begin to listen where the sender wishes to wait and may; None: it is answered at once."""
        if not longest:
            return None
        wait = wanted_wait([value for name, value in headers if name == PREFER], longest)
        if not wait or self.count >= self._most or self._draining.is_set():
            return None
        try:
            await self._newsroom.listen()
        except HoldfastError:
            return None  # the bus is away; publishing says so better
        stack = contextlib.ExitStack()
        watch = stack.enter_context(self._newsroom.watch(envelope.source, envelope.id))
        self.count += 1
        stack.callback(self._leave)
        return Ticket(
            watch, wait, self._clock.now() + wait, self._clock.monotonic() + wait.total_seconds(), stack.close
        )

    async def outcome(self, ticket: Ticket, receive: Receive, *, duplicate: bool) -> Outcome | None:
        """Wait; None where time ran out, the process stops, or the sender has gone. `duplicate`: known before."""
        async with contextlib.AsyncExitStack() as ending:
            interrupts = [asyncio.create_task(_gone(receive)), asyncio.create_task(self._draining.wait())]
            waiting = asyncio.create_task(self._outcome(ticket, duplicate))
            ending.push_async_callback(_cancel, [waiting, *interrupts])
            left = max(0.0, ticket.deadline - self._clock.monotonic())
            await asyncio.wait({waiting, *interrupts}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else None

    async def _outcome(self, ticket: Ticket, duplicate: bool) -> Outcome:
        """Wait without an end for what was published now; of an event known before, ask again and again too."""
        watch = ticket.watch
        while not watch.complete:
            ask = duplicate or watch.repeated
            if ask and (outcome := await self._known(watch.source, watch.event_id)) is not None:
                return outcome
            watch.changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_AGAIN.total_seconds() if ask else None):
                    await watch.changed.wait()
        return Outcome(tuple(watch.ended[delivery] for delivery in watch.deliveries or ()))

    async def _known(self, source: str, event_id: str) -> Outcome | None:
        """Return how an event ended of which no news will come; None where it has not, or nobody can say."""
        try:
            return _outcome_of(await self._look(source, event_id))
        except HoldfastError:
            return None

    def _leave(self) -> None:
        self.count -= 1


def _outcome_of(status: EventStatus) -> Outcome | None:
    """Read an outcome out of what is known; None while the dispatcher or a delivery is still at it."""
    if status.deliveries == "unknown" or (status.stored is not None and not status.stored.settled):
        return None
    started = {delivery.id for delivery in status.deliveries}
    ended = [_ended(status, delivery) for delivery in status.latest]
    ended += [_given_up(status, letter) for letter in status.dead_letters if letter.id not in started]
    if any(each is None for each in ended) or not (ended or status.unmatched):
        return None
    return Outcome(tuple(each for each in ended if each is not None))


def _ended(status: EventStatus, delivery: DeliveryStatus) -> Ended | None:
    if delivery.state not in {names.STATE_DELIVERED, names.STATE_DEAD_LETTERED} or delivery.closed_at is None:
        return None
    result, omitted = told(delivery.result)
    lost = delivery.state == names.STATE_DEAD_LETTERED
    return Ended(
        source=status.source,
        event_id=status.id,
        delivery=delivery.id,
        trigger=delivery.trigger,
        status="dead_lettered" if lost else "delivered",
        attempts=delivery.attempts or 0,
        result=result,
        result_omitted=omitted,
        code=delivery.error,
        dead_letter=delivery.id if lost else "",
    )


def _given_up(status: EventStatus, letter: DeadLetterStatus) -> Ended:
    return Ended(
        source=status.source,
        event_id=status.id,
        delivery=letter.id,
        trigger=letter.trigger,
        status="dead_lettered",
        attempts=letter.attempts,
        code=letter.code,
        dead_letter=letter.id,
    )


async def _gone(receive: Receive) -> None:
    """Return when the sender has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(tasks: list[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
