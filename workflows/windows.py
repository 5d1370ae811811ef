"""What a run of `Join` holds, and how it is handed on; the rule itself is `holdfast/domain/joins.py`.

Flow: offer → **held** → settled | carried into the next run.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from holdfast.contracts.join import (
    End,
    HeldWindow,
    JoinedEventInput,
    JoinInput,
    JoinOffer,
    JoinSpec,
    JoinView,
    SettledEvent,
    SettleJoinInput,
    WindowEnd,
)
from holdfast.domain.joined import joined_id
from holdfast.domain.joins import (
    Arrival,
    Fire,
    Incomplete,
    Outcome,
    RuledOut,
    Rules,
    Standing,
    TooLarge,
    Window,
    missing,
)
from workflows import calls, calls_join, policies, records
from workflows.escalate import facts
from workflows.inputs import Unreadable
from workflows.records import RunFacts

REMEMBERED = 20  # windows of a run that its result and the query name
Order = tuple[JoinSpec, Outcome]


@dataclass(slots=True)
class Windows:
    """The state of a run: one window at most is open."""

    trigger: str = ""
    key: str = ""
    spec: JoinSpec | None = None  # of the open window, or of the last one
    window: Window | None = None
    held: dict[str, JoinOffer] = field(default_factory=dict)  # by claim
    inbox: "deque[JoinOffer | Unreadable]" = field(default_factory=deque)
    held_back: list[JoinOffer] = field(default_factory=list)  # claimed; for a window of another configuration
    todo: "deque[Order]" = field(default_factory=deque)
    ended: "deque[WindowEnd]" = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    taken: int = 0  # offers looked at by this run: numbers the dead letters of those that are none

    @classmethod
    def of(cls, given: JoinInput) -> "Windows":
        """Take up what an earlier run held."""
        state = cls(given.trigger, given.key, ended=deque(given.ended, maxlen=REMEMBERED))
        state.inbox.extend(given.inbox)
        state.held_back.extend(given.held_back)
        held = given.window
        if held is not None and held.kept:
            state.spec = held.spec
            state.held = {offer.claim: offer for offer in held.kept}
            state.window = Window(
                opener=held.opener,
                opened_at=held.opened_at,
                ends_at=held.ends_at,
                limit=held.limit,
                kept=tuple(arrival(offer, held.opened_at) for offer in held.kept),
                taken=held.taken,
                standing=Standing(held.standing),
            )
        return state

    @property
    def pinned(self) -> JoinSpec:
        """The configuration of the window."""
        if self.spec is None:
            raise LookupError("no window was opened")
        return self.spec

    @property
    def rules(self) -> Rules:
        """The rules of the window."""
        return self.pinned.rules()

    def foreign(self, offer: JoinOffer) -> bool:
        """Whether the open window knows no such name: the configuration changed, and the event waits for its end."""
        return self.window is not None and offer.name not in self.pinned.names

    def release(self) -> None:
        """Forget the events that neither the open window nor anything that is still to be done holds."""
        needed = [one.event for one in self.window.kept] if self.window is not None else []
        needed += [one.event for _, outcome in self.todo for one in arrivals(outcome)]
        self.held = {name: offer for name, offer in self.held.items() if name in needed}

    def carried(self) -> JoinInput | None:
        """Return the input of the next run; None where it would not fit yet."""
        window = self.window
        held = None
        if window is not None:
            held = HeldWindow(
                spec=self.pinned,
                opener=window.opener,
                opened_at=window.opened_at,
                ends_at=window.ends_at,
                limit=window.limit,
                taken=window.taken,
                standing=window.standing,
                kept=tuple(self.held[one.event] for one in window.kept),
            )
        inbox = tuple(offer for offer in self.inbox if not isinstance(offer, Unreadable))
        given = JoinInput(
            trigger=self.trigger,
            key=self.key,
            window=held,
            inbox=inbox,
            held_back=tuple(self.held_back),
            ended=tuple(self.ended),
        )
        if len(inbox) != len(self.inbox) or len(given.model_dump_json(exclude_none=True)) > policies.JOIN_CARRIED:
            return None
        return given

    def view(self) -> JoinView:
        """Show it."""
        base = JoinView(trigger=self.trigger, key=self.key, ended=tuple(self.ended))
        window = self.window
        if window is None:
            return base
        came = {one.name: self.held[one.event].envelope for one in window.kept}
        return base.model_copy(
            update={
                "condition": self.pinned.condition,
                "standing": str(window.standing),
                "opened_at": window.opened_at,
                "ends_at": window.ends_at,
                "came": {name: f"{event.source}/{event.id}" for name, event in came.items()},
                "awaited": missing(self.rules, window.present) if window.standing is Standing.WAITING else (),
                "watched": tuple(sorted(self.rules.condition.negated - window.present)),
                "taken": window.taken,
            }
        )


async def claim(workflow_id: str, offer: JoinOffer | Unreadable, number: int) -> bool:
    """Take one event for this join; False where it was taken before. What is no offer is recorded as a dead letter."""
    if isinstance(offer, Unreadable):
        run = facts()
        stray = RunFacts(f"{run.workflow_id}/{run.run_id}/{number}", run.run_id, run.at)
        await calls.record_dead_letter(records.fitting(records.of_unreadable(offer, stray)))
        return False
    event = offer.envelope
    given = JoinedEventInput(
        trigger=offer.spec.trigger,
        name=offer.name,
        key=offer.key,
        source=event.source,
        event_id=event.id,
        event_type=event.type,
        join=workflow_id,
    )
    return await calls_join.claim_event(given, workflow_id=offer.claim)


def arrival(offer: JoinOffer, now: datetime) -> Arrival:
    """Return an offer as the rule sees it."""
    return Arrival(
        name=offer.name,
        event=offer.claim,
        size=len(offer.envelope.encode()),
        at=now,
        received_at=offer.envelope.received_at,
        closes_by=offer.closes_by,
    )


def arrivals(outcome: Outcome) -> tuple[Arrival, ...]:
    """Return the events that an outcome is about."""
    return outcome.window.kept if isinstance(outcome, Fire | RuledOut | Incomplete) else (outcome.arrival,)


def settlement(state: Windows, order: Order, *, gave_up: str = "") -> SettleJoinInput:
    """Return what `settle_join` is asked for."""
    spec, outcome = order
    run = facts()
    kept = arrivals(outcome)
    window = outcome.window if isinstance(outcome, Fire | RuledOut | Incomplete) else None
    return SettleJoinInput(
        spec=spec,
        key=state.key,
        end="cancelled" if gave_up and window is not None else _end(outcome),
        reason=gave_up,
        id=joined_id(window.opener if window is not None else kept[0].event),
        events=tuple(_settled(state.held[one.event]) for one in kept),
        opened_at=window.opened_at if window is not None else run.at,
        closed_at=run.at,
        workflow_id=run.workflow_id,
        run_id=run.run_id,
    )


def _settled(offer: JoinOffer) -> SettledEvent:
    return SettledEvent(
        name=offer.name, claim=offer.claim, envelope=offer.envelope, stream=offer.stream, sequence=offer.sequence
    )


def _end(outcome: Outcome) -> End:
    match outcome:
        case Fire():
            return "fire"
        case RuledOut():
            return "ruled-out"
        case Incomplete():
            return "incomplete"
        case TooLarge():
            return "too-large"
        case _:
            return "late"
