"""The activities behind a redrive: decide anew what the event should do, or put unreadable bytes back on the bus.

Flow: DeadLetter → **prepare_redrive** → EventDelivery; or: DeadLetter → **republish** → its stream.
"""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import activity

from activities.boundary import boundary
from activities.publish import Ticks
from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.lookup import event_streams
from holdfast.bus.objects import Loading, load_body
from holdfast.bus.publish import publish_message
from holdfast.bus.streams import EVENTS, subject_for
from holdfast.contracts import names
from holdfast.contracts.dead_letter import (
    DeadLetterRecord,
    PrepareRedriveInput,
    PrepareRedriveResult,
    RepublishInput,
)
from holdfast.contracts.delivery import DeliveryInput
from holdfast.contracts.join import JoinOffer, closes_by, join_spec
from holdfast.contracts.scheduled import ScheduledInput, nominal_time
from holdfast.domain.actions import DeliverySpec
from holdfast.domain.bodies import parse_json
from holdfast.domain.deadletters import Stage
from holdfast.domain.events import Envelope, decode_envelope, pack_body
from holdfast.domain.joined import is_joined
from holdfast.domain.json_scan import Path
from holdfast.domain.matching import (
    CompiledJoin,
    Joined,
    Matched,
    Passed,
    Seen,
    Undecidable,
    Verdict,
    see,
)
from holdfast.errors import Defect, ErrorCode, PermanentFailure, RejectedInput, bounded
from holdfast.settings.file import LoadedConfig
from holdfast.settings.live import LiveConfig
from holdfast.temporal.starts import offer_to_join

T = TypeVar("T")
TIMEOUT = timedelta(seconds=8)  # below the attempt's 10 s, so that the reason is ours


@dataclass(frozen=True, slots=True)
class Redrives:
    """Prepares redrives with the configuration as it is now."""

    bus: Bus
    loaded: LoadedConfig | LiveConfig
    ticks: Ticks

    @activity.defn(name=names.PREPARE_REDRIVE)
    async def prepare_redrive(self, given: PrepareRedriveInput) -> PrepareRedriveResult:
        """Decide anew. Fails for good where the event cannot be decided: the case opens again and says why.

        What was asked for and cannot be done is `refused`: nothing was tried, and the case stays as it was.
        """
        with boundary():
            envelope = edited(given.record, given.body)
            try:
                spec = await self._decide(given, envelope)
            except RejectedInput as error:
                return PrepareRedriveResult(reason=error.message, refused=True)
            if isinstance(spec, str):
                return PrepareRedriveResult(reason=spec)
            delivery = DeliveryInput(
                envelope=envelope,
                spec=spec,
                stream=given.record.stream or EVENTS,
                sequence=given.record.sequence,
                redrive=given.redrive,
                completed=tuple(one for one in given.record.steps if one.stands),
            )
            return PrepareRedriveResult(delivery=delivery)

    @activity.defn(name=names.REPUBLISH)
    async def republish(self, given: RepublishInput) -> None:
        """Put it back on the bus under an identity of its own, so that nothing takes it for the message it was."""
        record = given.record
        with boundary():
            if record.tick is not None and record.envelope is None:
                await self.ticks.publish(*self._tick(record, given.body))
                return
            body = _raw(record, given.body)
            await publish_message(
                self.bus,
                _subject(record, body, await _stream(self.bus, record)),
                body,
                ids.fingerprint("redrive", ids.redrive_id(record.id, given.redrive.number)),
                timeout=TIMEOUT,
            )

    async def _decide(self, given: PrepareRedriveInput, envelope: Envelope) -> DeliverySpec | str:
        """Return what to run; or, as text, why nothing is to be run. Raises RejectedInput for what cannot be done."""
        record, name = given.record, given.trigger or given.record.trigger
        trigger = self.loaded.triggers.get(name)
        if given.config == "recorded" or (trigger is None and given.trigger is None):
            return _recorded(given)
        if trigger is None:
            known = ", ".join(sorted(self.loaded.config.triggers)) or "none"
            raise RejectedInput(ErrorCode.NOT_FOUND, f"there is no trigger {name!r}; there are: {bounded(known, 300)}")
        if isinstance(trigger, CompiledJoin) and not is_joined(envelope):
            return await self._offer(given, trigger, envelope)
        # a trigger that a person names is not asked whether it wants the event: its filter is for what comes by itself
        decide = trigger.verdict if given.trigger is None else trigger.map
        match await self._verdict(decide, trigger.needs, envelope):
            case Matched(spec):
                return spec
            case Joined():
                raise Defect(ErrorCode.DEFECT, "a join was asked for what is joined already")
            case Passed(_, reason) if given.body is not None:
                # resolved because of a slip in the edit: nobody who edits a body means that
                raise RejectedInput(
                    ErrorCode.INPUT_INVALID,
                    f"trigger {name} does not want the edited event: {reason}; to deliver it all the same name the"
                    f' trigger: "trigger": "{name}"',
                )
            case Passed(_, reason):
                return f"trigger {record.trigger} no longer wants this event: {reason}"
            case Undecidable(code=code, reason=reason):
                raise PermanentFailure(code, reason)

    async def _offer(self, given: PrepareRedriveInput, join: CompiledJoin, envelope: Envelope) -> str:
        """Offer an event to its join again, under a claim of its own. Raises PermanentFailure."""
        record, offered = given.record, []
        for verdict in await self._look(envelope, join.needs, join.verdicts):
            if isinstance(verdict, Undecidable):
                raise PermanentFailure(verdict.code, verdict.reason)
            if isinstance(verdict, Joined):
                now = activity.info().current_attempt_scheduled_time
                offer = JoinOffer(
                    spec=join_spec(verdict.trigger, verdict.trigger_hash, verdict.config),
                    name=verdict.name,
                    key=verdict.key,
                    envelope=envelope,
                    sequence=record.sequence,
                    closes_by=closes_by(verdict.config, now),
                )
                if record.stage is Stage.FILTER or record.id.startswith(offer.claim):
                    again = offer.model_copy(update={"redrive": given.redrive.number})
                    offered.append(await offer_to_join(activity.client(), again))
        return f"it was offered to {', '.join(offered)}" if offered else f"trigger {join.name} no longer wants it"

    async def _verdict(self, decide: Callable[[Seen], Verdict], needs: frozenset[Path], envelope: Envelope) -> Verdict:
        """Decide; a body that lies elsewhere is read where an expression needs it. Raises PermanentFailure."""
        return await self._look(envelope, needs, decide)

    async def _look(self, envelope: Envelope, paths: frozenset[Path], decide: Callable[[Seen], T]) -> T:
        if envelope.body_ref is None or not paths:
            return decide(see(envelope, None, paths))
        async with self.bus.part(Loading).room:
            body = await load_body(self.bus, envelope)
            return await asyncio.to_thread(lambda: decide(see(envelope, body, paths)))

    def _tick(self, record: DeadLetterRecord, body: str | None) -> tuple[ScheduledInput, Any]:
        """Return the tick as its schedule is configured now, or with the edited data."""
        tick = record.tick
        if tick is None:
            raise PermanentFailure(ErrorCode.NOT_FOUND, "the dead letter holds no tick")
        if body is not None:
            update: dict[str, Any] = {"data": parse_json(body.encode()), "data_expression": None}
            tick = tick.model_copy(update=update)
        elif (schedule := self.loaded.config.schedules.get(tick.schedule)) is not None:
            event = schedule.event
            tick = tick.model_copy(
                update={
                    "type": event.type,
                    "subject": event.subject,
                    "data": None,
                    "data_expression": event.data,
                    "timezone": schedule.timezone,
                }
            )
        return tick, nominal_time(record.event_id)


def _recorded(given: PrepareRedriveInput) -> DeliverySpec:
    """Return the action exactly as it failed."""
    record, spec = given.record, given.record.spec
    if spec is None:
        if given.config == "recorded":
            raise RejectedInput(ErrorCode.NOT_FOUND, "the dead letter holds no action; redrive it with the trigger")
        raise PermanentFailure(
            ErrorCode.NOT_FOUND, f"there is no trigger {record.trigger!r} any more, and nothing was recorded"
        )
    own_bytes = spec.action.kind in {"http", "nats"} and getattr(spec.action, "body", None) is None
    if given.body is not None and not own_bytes:
        raise RejectedInput(
            ErrorCode.INPUT_INVALID,
            "the recorded action was computed from the original body, so an edited body would change nothing;"
            ' redrive with a trigger of the configuration: "trigger": "NAME"',
        )
    return spec


def edited(record: DeadLetterRecord, body: str | None) -> Envelope:
    """Return the event to deliver: the recorded one, or one with the new body and its hash."""
    if record.envelope is None:
        raise PermanentFailure(ErrorCode.NOT_FOUND, "the dead letter holds no event")
    if body is None:
        return record.envelope
    raw = body.encode("utf-8", "surrogatepass")
    encoding, text = pack_body(raw)
    changed: dict[str, Any] = {
        "body_ref": None,
        "body_encoding": encoding,
        "body": text,
        "body_sha256": ids.sha256_hex(raw),
    }
    return record.envelope.model_copy(update=changed)


def _raw(record: DeadLetterRecord, body: str | None) -> bytes:
    if body is not None:
        return body.encode("utf-8", "surrogatepass")
    if record.raw_base64 is None:
        raise PermanentFailure(ErrorCode.NOT_FOUND, "the dead letter holds no bytes; give a body")
    try:
        return base64.b64decode(record.raw_base64, validate=True)
    except ValueError as error:
        raise PermanentFailure(ErrorCode.ENVELOPE_INVALID, "the dead letter's bytes are no base64") from error


async def _stream(bus: Bus, record: DeadLetterRecord) -> str:
    """Return the stream of events that the message came from; EVENTS where it came from none, or that was removed."""
    came_from = record.stream or EVENTS
    return came_from if came_from != EVENTS and came_from in await event_streams(bus) else EVENTS


def _subject(record: DeadLetterRecord, body: bytes, stream: str) -> str:
    """Return the event's own subject in `stream` where the bytes are an event now, else one for strays."""
    try:
        event = decode_envelope(body)
    except RejectedInput:
        return subject_for(record.subject_source, record.id, stream)
    return subject_for(event.source, event.id, stream)
