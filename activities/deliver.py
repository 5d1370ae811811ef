"""The activity `deliver`: one attempt at an action, whatever its kind; the wait before the next is worked out here.

Flow: EventDelivery → **deliver** → http | nats | log. Attempts are numbered through; the log of those that failed goes
along in heartbeat details between attempts, and in the failure at the end.
"""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities import log as log_target
from activities import messages
from activities.admission import TROUBLE, Admission, Held, Permit
from activities.boundary import classify, is_permanent, translate
from activities.http import HttpTarget
from activities.nats import NatsTarget
from activities.own import OwnTarget
from activities.people import PeopleTarget
from activities.steps import StepResolver
from activities.target import Receipt, Shipment
from holdfast.bus.connect import Bus
from holdfast.bus.objects import Loading, chunks_of, load_body
from holdfast.clock import Clock
from holdfast.contracts import names
from holdfast.contracts.attempts import append, failed, lost, read_log
from holdfast.contracts.delivery import Attempt, DeliverInput, DeliverResult
from holdfast.domain.actions import (
    Action,
    ActivityAction,
    EmailAction,
    HttpAction,
    LogAction,
    MessageAction,
    NatsAction,
    SlackAction,
    StepAction,
    WorkflowAction,
)
from holdfast.domain.retry import backoff
from holdfast.errors import Defect, ErrorCode, HoldfastError
from holdfast.telemetry.metrics import Metrics
from holdfast.telemetry.names import SPAN_DELIVER
from holdfast.telemetry.tracing import span


@dataclass(frozen=True, slots=True)
class Deliver:
    """Carries out attempts."""

    http: HttpTarget
    nats: NatsTarget
    metrics: Metrics
    clock: Clock
    own: OwnTarget = field(default_factory=lambda: OwnTarget(dict))
    people: PeopleTarget | None = None
    bus: Bus | None = None  # where bodies lie that are too large for an envelope
    admission: Admission | None = None

    @activity.defn(name=names.DELIVER)
    async def deliver(self, given: DeliverInput) -> DeliverResult:
        """Make one attempt.

        Fails with ApplicationError: type is an error code, details the log of failed attempts, `next_retry_delay` the
        wait that the trigger's policy and the target's Retry-After ask for. Where a limit or a pause holds the
        attempt back the type is `delivery.held`, and no attempt was made.
        """
        number = given.prior_attempts + activity.info().attempt
        trigger = given.spec.trigger
        permit = await self._enter(given, number)
        try:
            receipt = await self._send(given, number)
        except Exception as error:  # noqa: BLE001 - every error is classified, counted and translated
            known = classify(error)
            if permit is not None:
                await permit.leave(failed=known.code in TROUBLE)
            raise self._failed(given, number, known) from None
        except asyncio.CancelledError:
            if permit is not None:
                await permit.leave(failed=None)
            raise
        if permit is not None:
            await permit.leave(failed=False)
        self.metrics.attempted(trigger, "delivered")
        if not isinstance(given.spec.action, StepAction):  # a step is a part of a delivery
            self.metrics.delivered(trigger, (self.clock.now() - given.envelope.received_at).total_seconds())
        return DeliverResult(attempt=number, summary=receipt.summary, result=receipt.result)

    async def _enter(self, given: DeliverInput, number: int) -> Permit | None:
        """Wait for a slot where one is near. Fails with `delivery.held` where none is."""
        if self.admission is None:
            return None
        answer = await self.admission.enter(given.spec.trigger, given.spec.action, given.delivery, given.holds)
        if not isinstance(answer, Held):
            return answer
        self.metrics.held(given.spec.trigger, answer.back.why)
        log = [one.model_dump(mode="json") for one in self._log(given, number)]
        raise ApplicationError(
            answer.back.reason,
            log,
            {"held": answer.back.model_dump(mode="json"), "made": number - 1},
            type=ErrorCode.DELIVERY_HELD,
            non_retryable=True,  # the workflow waits, so that Temporal counts no attempt
            next_retry_delay=answer.wait,
            category=ApplicationErrorCategory.BENIGN,
        )

    async def _send(self, given: DeliverInput, number: int) -> Receipt:
        event = given.envelope
        with span(
            SPAN_DELIVER.name,
            traceparent=event.traceparent,
            tracestate=event.tracestate,
            kind="client",
            trigger=given.spec.trigger,
            delivery=given.delivery,
            attempt=number,
        ) as current:
            chunks = chunks_of(self.bus, event) if event.body_ref is not None and self.bus is not None else None
            trace = current.traceparent, current.tracestate
            shipment = Shipment(given.delivery, event, *trace, chunks, given.answer_wanted)
            action = given.spec.action
            if isinstance(action, StepAction):
                action = await StepResolver(self.bus).resolve(action, event)
            return await self._carry_out(action, shipment, given.spec.trigger, number)

    async def _carry_out(self, action: Action, shipment: Shipment, trigger: str, number: int) -> Receipt:
        match action:
            case HttpAction() if action.needs_whole_body and shipment.event.body_ref is not None:
                return await self._send_whole(action, shipment)
            case HttpAction():
                return await self.http.send(action, shipment)
            case NatsAction():
                return await self.nats.send(action, shipment)
            case ActivityAction():
                return await self.own.send(action, shipment, trigger=trigger, attempt=number)
            case MessageAction():
                return await messages.send(action, shipment, trigger, number)
            case WorkflowAction():
                return await messages.start(action, shipment, trigger)
            case SlackAction() if self.people is not None:
                return await self.people.slack(action, shipment)
            case EmailAction() if self.people is not None:
                return await self.people.email(action, shipment)
            case LogAction():
                return log_target.write(action, shipment)
            case _:
                raise Defect(ErrorCode.DEFECT, f"no activity carries out the action {action.kind}")

    async def _send_whole(self, action: HttpAction, shipment: Shipment) -> Receipt:
        """Send a body that lies elsewhere, read as a whole first; few at a time, for they are large."""
        if self.bus is None:
            raise Defect(ErrorCode.DEFECT, "the body lies elsewhere, and there is no bus to read it from")
        async with self.bus.part(Loading).room:
            body = await load_body(self.bus, shipment.event)
            return await self.http.send(action, replace(shipment, body=body, chunks=None))

    def _failed(self, given: DeliverInput, number: int, error: HoldfastError) -> Exception:
        """Count a failed attempt, keep it for the next one, and say how long to wait."""
        policy, permanent = given.spec.retry, is_permanent(error)
        self.metrics.attempted(given.spec.trigger, "permanent" if permanent else "transient")
        if not permanent and number < policy.max_attempts:
            self.metrics.retried(given.spec.trigger, error.code)
        log = self._log(given, number)
        log = append(log, failed(number, self.clock.now(), error.code, error.message))
        wait: timedelta | None = None
        if not permanent:
            wait = backoff(policy, number, seed=given.delivery, retry_after=error.retry_after)
        if not activity.info().is_local:
            activity.heartbeat([one.model_dump(mode="json") for one in log])
        return translate(error, ([one.model_dump(mode="json") for one in log],), next_retry_delay=wait)

    def _log(self, given: DeliverInput, number: int) -> tuple[Attempt, ...]:
        """Return what earlier attempts of this activity left; one that left nothing is entered as lost."""
        log = read_log(activity.info().heartbeat_details)
        return lost(log, before=number, since=given.prior_attempts + 1, at=self.clock.now())
