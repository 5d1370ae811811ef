"""The end of everything that failed for good: recorded first, then shown, then failed.

Flow: give up → **record** → mark → tell → fail.
"""

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from holdfast.contracts import names
from holdfast.contracts.dead_letter import DeadLetterRecord
from holdfast.errors import ErrorCode
from workflows import calls, narrate
from workflows.records import RunFacts, fitting

LAST_ATTEMPTS = 5  # of a redrive that failed, as its case shows them; the record has them all


def facts() -> RunFacts:
    """Return which run this is, now."""
    info = workflow.info()
    return RunFacts(info.workflow_id, info.run_id, workflow.now())


async def dead_letter(record: DeadLetterRecord) -> ApplicationError:
    """Record a dead letter and return the failure to end with.

    Its type is `dead_lettered`; its details are `{"code", "dead_letter", "stream", "sequence", "attempts",
    "attempt_count"}`, which a case that redrives reads; of the attempts the last, for a failure is cut at 4 KiB.
    """
    calls.tell(narrate.dead_lettered(record))  # before it is stored: while the bus is away, people see what waits
    stored = await calls.record_dead_letter(fitting(record))
    calls.mark(state=names.STATE_DEAD_LETTERED, error=record.code)
    return ApplicationError(
        narrate.failure_line(record),
        {
            "code": record.code,
            "dead_letter": record.id,
            "stream": stored.stream,
            "sequence": stored.sequence,
            "attempts": [one.model_dump(mode="json") for one in record.attempts[-LAST_ATTEMPTS:]],
            "attempt_count": record.attempt_count,
        },
        type=ErrorCode.DEAD_LETTERED,
        non_retryable=True,
    )
