"""May this attempt be made now? What is paused, and the lanes of its trigger and its target, asked together.

Flow: deliver → **enter** → send → **leave**; for a `workflow` action: admit → run → leave. An attempt whose slot is
near waits for it here, holding little; any other is held back, and its workflow waits durably, using up no attempt.
"""

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio import activity

from activities.boundary import boundary
from holdfast.bus.connect import Bus
from holdfast.bus.controls import Controls
from holdfast.bus.lanes import Lane
from holdfast.clock import Clock
from holdfast.contracts import names
from holdfast.contracts.delivery import AdmitInput, AdmitResult, HeldBack
from holdfast.domain.actions import Action, HttpAction, NatsAction, WorkflowAction
from holdfast.domain.lanes import Entry, Exit, Later
from holdfast.domain.pressure import DeliveryLimits
from holdfast.errors import ErrorCode, HoldfastError
from holdfast.settings.file import LoadedConfig
from holdfast.settings.live import LiveConfig
from holdfast.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

NEAR = timedelta(seconds=1)  # a slot this near is waited for in the activity; below the slack of an attempt's timeout
SLEEPERS = 24  # of this process's workflow tasks that may wait so; the others stay free for other triggers
KNOWN_WITHIN = timedelta(milliseconds=900)
BUS_AWAY = timedelta(seconds=3)
FIRST_LOOK = timedelta(seconds=5)  # while paused: a resume wakes every delivery, this is the net under it
LAST_LOOK = timedelta(minutes=10)
RUN_STAYS = timedelta(minutes=10)  # a run keeps its place so long after it last said that it goes on
SLACK = timedelta(seconds=5)
TROUBLE = frozenset({ErrorCode.TARGET_UNREACHABLE, ErrorCode.TARGET_TIMEOUT, ErrorCode.TARGET_FAILED})
"""What counts for a circuit breaker: the target is in trouble. A refusal is this delivery's own."""

_TEXTS = {
    "rate": "the rate limit of {} has no slot free now",
    "concurrency": "as many deliveries as {} may have at once are under way",
    "breaker": "the circuit breaker of {} is open: it failed too often",
}


@dataclass(frozen=True, slots=True)
class Held:
    """Not now: why, and when to ask again."""

    back: HeldBack
    wait: timedelta


@dataclass(frozen=True, slots=True)
class Permit:
    """An attempt may be made. Whoever has it gives it back."""

    admission: "Admission"
    who: str
    entered: tuple[tuple[str, Lane, bool], ...]  # name, lane, whether it is the probe
    began: float

    async def leave(self, *, failed: bool | None) -> None:
        """Give back every place, and say how it went; a bus that is away costs the places' time, never the attempt."""
        took = self.admission.clock.monotonic() - self.began
        for name, lane, probe in self.entered:
            breaks = lane.rule.breaker is not None and (failed or probe)
            if lane.rule.concurrency is None and not breaks:
                continue
            with contextlib.suppress(HoldfastError):
                await lane.leave(Exit(self.who, failed, took, probe))
            self.admission.show(name, lane)


@dataclass(eq=False)
class Admission:
    """Knows the lanes of the configuration; one per process."""

    bus: Bus
    loaded: LoadedConfig | LiveConfig
    metrics: Metrics
    clock: Clock
    controls: Controls | None = None
    _lanes: dict[str, Lane] = field(default_factory=dict)
    _open: dict[str, bool] = field(default_factory=dict)
    _sleeping: int = 0

    def gates(self, trigger: str, action: Action) -> bool:
        """Whether anything may hold deliveries of this trigger to this action back."""
        paused = self.controls.pauses if self.controls is not None else {}
        return any(name in paused or rule.limited for name, rule in self._rules(trigger, action))

    async def line_up(self, trigger: str, action: Action) -> timedelta | None:
        """Say how long a delivery that is about to be started would wait for a rate; None: it may come and ask.

        It has its place in the line then, and does not begin before: one start instead of a start and two attempts.
        """
        for name, rule in self._rules(trigger, action):
            if rule.rate_limit is not None:
                entry = Entry(name, 0, NEAR.total_seconds(), ahead=True)
                with contextlib.suppress(HoldfastError):  # it will ask itself
                    if isinstance(answer := await self._lane(name, rule).enter(entry), Later):
                        return timedelta(seconds=answer.wait)
        return None

    async def enter(self, trigger: str, action: Action, who: str, holds: int = 0) -> Permit | Held | None:
        """Wait for the slot of one attempt; None where nothing bounds it."""
        rules = self._rules(trigger, action)
        if self.controls is not None:
            if not await self.controls.known(KNOWN_WITHIN):
                return _held("bus", "", "what is paused is not known yet: the bus is away", BUS_AWAY)
            for name, _ in rules:
                if (pause := self.controls.pauses.get(name)) is not None:
                    reason = f"{_spoken(name)} was paused by {pause.by}: {pause.reason}"
                    wait = min(FIRST_LOOK * (1 << min(holds, 12)), LAST_LOOK)
                    return _held("paused", name, reason, wait * random.uniform(0.8, 1.0))  # noqa: S311
        if not any(rule.limited for _, rule in rules):
            return None
        permit = Permit(self, who, (), self.clock.monotonic())
        stays = (action.timeout if isinstance(action, HttpAction) else SLACK) + NEAR + SLACK
        stays = RUN_STAYS if action.kind == "workflow" else stays
        return await self._through(rules, permit, stays, returning=holds > 0)

    async def _through(
        self, rules: list[tuple[str, DeliveryLimits]], permit: Permit, stays: timedelta, *, returning: bool
    ) -> Permit | Held:
        """Enter every lane, the target's first; where one holds it back, leave those before."""
        near = NEAR.total_seconds()
        deadline = self.clock.monotonic() + near
        for name, rule in rules:
            if not rule.limited:
                continue
            left = max(deadline - self.clock.monotonic(), 0) if self._sleeping < SLEEPERS else 0.02
            entry = Entry(permit.who, stays.total_seconds(), left, returning)
            lane, answer = self._lane(name, rule), None
            self._sleeping += 1
            try:
                answer = await lane.enter(entry)
                self.show(name, lane)
                if not isinstance(answer, Later):
                    permit = Permit(self, permit.who, (*permit.entered, (name, lane, answer.probe)), permit.began)
                    await asyncio.sleep(max(answer.at - self.clock.now().timestamp(), 0))
            except HoldfastError as error:
                await permit.leave(failed=None)
                return _held("bus", name, f"the limits of {_spoken(name)} cannot be asked: {error.message}", BUS_AWAY)
            finally:
                self._sleeping -= 1
            if isinstance(answer, Later):
                await permit.leave(failed=None)
                reason = _TEXTS[answer.why].format(_spoken(name))
                return _held(answer.why, name, reason, timedelta(seconds=answer.wait))
        return Permit(self, permit.who, permit.entered, self.clock.monotonic())

    @activity.defn(name=names.ADMIT)
    async def admit(self, given: AdmitInput) -> AdmitResult:
        """Admit the run of a `workflow` action, or renew its place."""
        with boundary():
            trigger, action = given.spec.trigger, given.spec.action
            places = [(n, r) for n, r in self._rules(trigger, action) if r.concurrency is not None]
            every = RUN_STAYS / 3 if places else None
            if given.renewal:
                for name, rule in places:
                    entry = Entry(given.delivery, RUN_STAYS.total_seconds(), 0, renewal=True)
                    await self._lane(name, rule).enter(entry)
                return AdmitResult(renew_every=every)
            answer = await self.enter(trigger, action, given.delivery, given.holds)
            if isinstance(answer, Held):
                self.metrics.held(trigger, answer.back.why)
                return AdmitResult(held=answer.back, wait=answer.wait)
            return AdmitResult(renew_every=every)

    @activity.defn(name=names.LEAVE)
    async def leave(self, given: AdmitInput) -> None:
        """Give back what a run was admitted with, and say how it went."""
        with boundary():
            for name, rule in self._rules(given.spec.trigger, given.spec.action):
                if rule.limited:
                    lane = self._lane(name, rule)
                    probe = rule.breaker is not None and bool(lane.state.opened)
                    await lane.leave(Exit(given.delivery, given.failed, lane.state.mean, probe))
                    self.show(name, lane)

    def show(self, name: str, lane: Lane) -> None:
        """Show the state of a lane's circuit breaker where it has one."""
        if lane.rule.breaker is None:
            return
        is_open = bool(lane.state.opened)
        self.metrics.breaker(name, is_open)
        if is_open != self._open.get(name, False):
            self._open[name] = is_open
            log.warning("breaker.turned", extra={"lane": name, "state": "open" if is_open else "closed"})

    def _lane(self, name: str, rule: DeliveryLimits) -> Lane:
        lane = self._lanes.get(name)
        if lane is None or lane.rule is not rule:
            lane = self._lanes[name] = Lane(self.bus, name.replace("/", "."), rule, self.clock)
        return lane

    def _rules(self, trigger: str, action: Action) -> list[tuple[str, DeliveryLimits]]:
        """Return what may bound an attempt: the targets it goes to, then its trigger, as configured now."""
        config = self.loaded.config
        place = _place(action)
        found: list[tuple[str, DeliveryLimits]] = [
            (f"target/{name}", target) for name, target in config.targets.items() if target.takes(action.kind, place)
        ]
        known = config.triggers.get(trigger)
        return [*found, (f"trigger/{trigger}", known if known is not None else DeliveryLimits())]


def _place(action: Action) -> str:
    """Where an action sends to, as targets name it."""
    match action:
        case HttpAction():
            return action.url
        case WorkflowAction():
            return action.task_queue
        case NatsAction():
            return action.subject
        case _:
            return ""


def _spoken(name: str) -> str:
    kind, _, what = name.partition("/")
    return f"{kind} {what}"


def _held(why: str, lane: str, reason: str, wait: timedelta) -> Held:
    return Held(HeldBack(why=why, lane=lane, reason=reason), max(wait, timedelta(milliseconds=10)))
