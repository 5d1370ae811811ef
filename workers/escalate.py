"""Every dead letter gets its case: one durable consumer of DEAD_LETTERS starts one DeadLetter per record.

A redrive that failed again names its case; where that still runs it awaits the redrive itself, so nothing is started.
Flow: publish_dead_letter → **escalate** → DeadLetter.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError
from temporalio.client import Client, WorkflowExecutionStatus

from holdfast.bus.consume import Message
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput
from holdfast.telemetry.metrics import Metrics
from holdfast.temporal.connect import workflow_call
from holdfast.temporal.namespace import verify_search_attributes
from holdfast.temporal.starts import start_case
from workers.decide import Arrived, stray
from workers.gate import Gate, GateState
from workers.settle import BEHIND_GATE, TEMPORAL, WHILE_SHUT, redelivery_wait

log = logging.getLogger(__name__)

MAX_INPUT = 1_900_000  # bytes; Temporal refuses an input past 2 MiB


@dataclass(frozen=True, slots=True)
class Escalator:
    """Everything that escalating needs; `handle` is what the consumer calls."""

    client: Client
    gate: Gate
    metrics: Metrics

    async def handle(self, message: Message) -> None:
        """Start the case of one record, then acknowledge it; never raises for what a server or a message can do."""
        if self.gate.state == GateState.SHUT:  # it came with a pull from before
            await message.redeliver(WHILE_SHUT)
            return
        record = self._read(message)
        try:
            await self._escalate(record)
            self.gate.succeeded()
            await message.ack()
        except HoldfastError as error:
            wait = redelivery_wait(message.deliveries)
            if error.code in TEMPORAL:
                self.gate.failed(error)
                wait = min(wait, BEHIND_GATE)
            self.metrics.redelivered(error.code)
            log.warning(
                "escalate.redelivered",
                extra={"dead_letter": record.id, "code": error.code, "reason": error.message},
            )
            await message.redeliver(wait)

    def _read(self, message: Message) -> DeadLetterRecord:
        """Read the record; what is none is itself a dead letter, with its bytes."""
        try:
            return DeadLetterRecord.model_validate_json(message.data)
        except (ValidationError, RecursionError, ValueError):
            log.warning("escalate.stray", extra={"sequence": message.sequence})
            arrived = Arrived(message.data, message.stream, message.sequence, datetime.now(UTC))
            return stray(arrived, ErrorCode.ENVELOPE_INVALID, "a message in DEAD_LETTERS that is no dead letter")

    async def _escalate(self, record: DeadLetterRecord) -> None:
        if record.redrive is not None and await self._runs(record.redrive.case):
            return
        try:
            await start_case(self.client, fitting(record))
        except RejectedInput:
            await verify_search_attributes(self.client)
            # a case without the record's bulk is visible; a case that cannot be started is nothing
            await start_case(self.client, bare(record))

    async def _runs(self, workflow_id: str) -> bool:
        try:
            described = await workflow_call(self.client.get_workflow_handle(workflow_id).describe(), workflow_id)
        except HoldfastError as error:
            if error.code == ErrorCode.NOT_FOUND:
                return False
            raise
        return described.status == WorkflowExecutionStatus.RUNNING


def fitting(record: DeadLetterRecord) -> DeadLetterRecord:
    """Return the record small enough for Temporal: the recorded action goes first, then the raw bytes."""
    for smaller in ({}, {"spec": None}, {"spec": None, "raw_base64": None}):
        candidate = record.model_copy(update=smaller)
        if len(candidate.model_dump_json(exclude_none=True).encode("utf-8", "surrogatepass")) <= MAX_INPUT:
            return candidate
    return bare(record)


def bare(record: DeadLetterRecord) -> DeadLetterRecord:
    """Return the record without event, action and bytes: they stay in the streams, where `sequence` points."""
    return record.without_bulk().model_copy(update={"attempts": (), "attempts_omitted": record.attempt_count})
