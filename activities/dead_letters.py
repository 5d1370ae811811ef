"""The activity `record_dead_letter`: whoever gives up is free once this has returned.

Flow: give up → **record** → stream DEAD_LETTERS → escalate.
"""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from activities.boundary import boundary
from holdfast.bus.connect import Bus
from holdfast.bus.publish import publish_dead_letter
from holdfast.contracts import names
from holdfast.contracts.dead_letter import DeadLetterRecord, StoredDeadLetter
from holdfast.telemetry.metrics import Metrics
from holdfast.telemetry.names import SPAN_DEAD_LETTER
from holdfast.telemetry.tracing import span

TIMEOUT = timedelta(seconds=8)  # below the attempt's 10 s, so that the reason is ours


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Writes dead letters to the bus."""

    bus: Bus
    metrics: Metrics

    @activity.defn(name=names.RECORD_DEAD_LETTER)
    async def record_dead_letter(self, record: DeadLetterRecord) -> StoredDeadLetter:
        """Store one dead letter. Its message id makes repeating safe; no error here ends the trying."""
        with (
            boundary(never_give_up=True),
            span(SPAN_DEAD_LETTER.name, traceparent=record.traceparent, kind="producer", code=record.code),
        ):
            stored = await publish_dead_letter(self.bus, record, timeout=TIMEOUT)
        if not stored.duplicate:
            self.metrics.dead_lettered(record.trigger, record.stage, record.code)
        return StoredDeadLetter(stream=stored.stream, sequence=stored.sequence, duplicate=stored.duplicate)
