"""Several actions in order, and what undoes them: each step a delivery of its own, under the trigger's retry policy.

Flow: step → step → … → delivered; or: step fails for good → **compensate** what was done, the last first → dead letter.
A redrive goes on where it failed: what was done and not undone keeps its result and is not run again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from temporalio.exceptions import FailureError

from holdfast.contracts.delivery import CountRunInput, DeliverInput, DeliveryInput, DeliveryResult, StepOutcome
from holdfast.domain.actions import FailedStep, StepAction, StepPlan, StepsAction
from holdfast.domain.runs import ActionConfig
from holdfast.errors import ErrorCode, bounded
from workflows import calls
from workflows.escalate import facts
from workflows.outcomes import GaveUp, Outcome, activity_failed, is_cancellation
from workflows.supervise import supervise

Attempt = Callable[[DeliveryInput, str], Awaitable[Outcome]]
UNSURE = frozenset({ErrorCode.TARGET_TIMEOUT, ErrorCode.TARGET_UNREACHABLE, ErrorCode.DELIVERY_CANCELLED})
"""After these a step may have been carried out all the same, so it is compensated too."""


@dataclass(slots=True)
class Steps:
    """One delivery's steps, and how far they are."""

    given: DeliveryInput
    action: StepsAction
    delivery: str
    attempt: Attempt
    outcomes: list[StepOutcome] = field(default_factory=list)

    async def run(self) -> Outcome:
        """Carry them out. Raises what a cancellation raises, after what was done is compensated."""
        kept = {one.name: one for one in self.given.completed}
        for step in self.action.steps:
            if step.name in kept:
                self.outcomes.append(kept[step.name])
                continue
            calls.tell(self._story(f"running **{step.name}**"))
            try:
                outcome = await self._carry_out(step.name, step.run, f"{self.delivery}/{step.name}")
            except (asyncio.CancelledError, FailureError) as error:
                if not (is_cancellation(error) and calls.cancel_requested()):
                    raise
                await self._give_up(step, GaveUp(ErrorCode.DELIVERY_CANCELLED, "it was cancelled"))
                raise
            if isinstance(outcome, GaveUp):
                return await self._give_up(step, outcome)
            self.outcomes.append(StepOutcome(name=step.name, state="done", result=outcome.result))
        calls.tell("")
        event = self.given.envelope
        await calls.count_run(CountRunInput(trigger=self.given.spec.trigger, received_at=event.received_at))
        return DeliveryResult(attempts=1, target=self.action.target, result=self._results())

    async def _carry_out(
        self, name: str, run: ActionConfig, delivery: str, failed: FailedStep | None = None
    ) -> Outcome:
        """Carry out one action under an identity of its own."""
        step = StepAction(name=name, run=run, results=self._results(), failed=failed)
        spec = self.given.spec.model_copy(update={"action": step})
        given = self.given.model_copy(update={"spec": spec, "completed": ()})
        if run.workflow is None or run.detached:
            return await self.attempt(given, delivery)
        try:
            order = DeliverInput(delivery=delivery, envelope=given.envelope, spec=spec)
            prepared = (await calls.prepare_step(order)).action
        except FailureError as error:
            if is_cancellation(error):
                raise
            return activity_failed(error, number=1, at=facts().at).give_up(1)
        return await supervise(given, prepared, delivery=delivery, counted=False)

    async def _give_up(self, step: StepPlan, outcome: GaveUp) -> GaveUp:
        """Compensate, the last step first, and say what came of it; a compensation that fails stops no other."""
        self.outcomes.append(
            StepOutcome(name=step.name, state="failed", code=outcome.code, message=bounded(outcome.message, 300))
        )
        failed = FailedStep(step=step.name, code=outcome.code, message=bounded(outcome.message, 300))
        unsure = outcome.code in UNSURE or any(one.code in UNSURE for one in outcome.attempts)
        plans = {plan.name: plan for plan in self.action.steps}
        for number in reversed(range(len(self.outcomes))):
            one = self.outcomes[number]
            undo = plans[one.name].compensate
            if undo is None or (one.state == "failed" and not unsure):
                continue
            calls.tell(self._story(f"compensating **{one.name}**"))
            undone = await self._carry_out(one.name, undo, f"{self.delivery}/{one.name}/compensate", failed)
            update = (
                {"compensation": "failed", "compensation_error": bounded(f"{undone.code}: {undone.message}", 300)}
                if isinstance(undone, GaveUp)
                else {"compensation": "done"}
            )
            self.outcomes[number] = one.model_copy(update=update)
        message = bounded(f"step {step.name}: {outcome.message}; {summary(self.outcomes)}")
        return GaveUp(outcome.code, message, outcome.attempts, outcome.count, tuple(self.outcomes))

    def _results(self) -> dict[str, object]:
        return {one.name: one.result for one in self.outcomes if one.state == "done"}

    def _story(self, now: str) -> str:
        done = ", ".join(one.name for one in self.outcomes if one.state == "done") or "none"
        return f"Steps: {now}. Done: {done}."


def summary(outcomes: list[StepOutcome]) -> str:
    """Say in one line what was done, what was undone, and what was not."""
    done = [one.name for one in outcomes if one.state == "done" and not one.compensation]
    undone = [one.name for one in outcomes if one.compensation == "done"]
    stuck = [f"{one.name} ({one.compensation_error})" for one in outcomes if one.compensation == "failed"]
    parts = [("done", done), ("compensated", undone), ("NOT compensated", stuck)]
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names) or "nothing was done before it"
