"""Resolving one step when its turn comes: its mappings read the event, and the results of the steps before it.

Flow: workflows/steps → **resolve** → the action, which `deliver` carries out; or, for a run of the user's own, back to
the workflow, which supervises it.
"""

import asyncio
from dataclasses import dataclass

from temporalio import activity

from activities.boundary import boundary
from holdfast.bus.connect import Bus
from holdfast.bus.objects import Loading, load_body
from holdfast.contracts import names
from holdfast.contracts.delivery import DeliverInput, PreparedStep
from holdfast.domain.actions import Action, StepAction, WorkflowAction
from holdfast.domain.events import Envelope
from holdfast.domain.expressions import COMPENSATION, STEP
from holdfast.domain.large_bodies import data_of
from holdfast.domain.mapping import CompiledRun, MappingError
from holdfast.errors import Defect, ErrorCode, PermanentFailure, RejectedInput


@dataclass(frozen=True, slots=True)
class StepResolver:
    """Resolves steps; of a large body it reads what the mappings need."""

    bus: Bus | None

    async def resolve(self, action: StepAction, event: Envelope) -> Action:
        """Return the action. Raises PermanentFailure `mapping.failed`, or what loading a body raises."""
        language = COMPENSATION if action.failed is not None else STEP
        try:
            compiled = CompiledRun(action.run, language)
        except RejectedInput as error:
            raise PermanentFailure(ErrorCode.MAPPING_FAILED, f"step {action.name}: {error.message}") from None
        if event.body_ref is None or not compiled.needs or self.bus is None:
            return _resolved(compiled, action, event, None)
        async with self.bus.part(Loading).room:
            body = await load_body(self.bus, event)
            return await asyncio.to_thread(_resolved, compiled, action, event, body)

    @activity.defn(name=names.PREPARE_STEP)
    async def prepare_step(self, given: DeliverInput) -> PreparedStep:
        """Resolve a step that runs a workflow of the user's own."""
        with boundary():
            step = given.spec.action
            if not isinstance(step, StepAction):
                raise Defect(ErrorCode.DEFECT, "no step")
            action = await self.resolve(step, given.envelope)
            if not isinstance(action, WorkflowAction):
                raise Defect(ErrorCode.DEFECT, f"step {step.name} runs no workflow")
            return PreparedStep(action=action)


def _resolved(compiled: CompiledRun, action: StepAction, event: Envelope, body: bytes | None) -> Action:
    plain, view = None, event.view()
    if event.body_ref is not None:
        plain = view
        if body is not None:
            view = event.view(data_of(body, event.datacontenttype, compiled.needs))
    values = {"event": view, "steps": {name: {"result": result} for name, result in action.results.items()}}
    if action.failed is None:
        bound = STEP.bind(**values)
    else:
        bound = COMPENSATION.bind(**values, failed=action.failed.model_dump())
    try:
        return compiled.action(bound, plain)
    except MappingError as error:
        raise PermanentFailure(ErrorCode.MAPPING_FAILED, f"step {action.name}: {error}") from None
