"""What one step of a delivery came to: Temporal's nested exceptions read once, into plain values.

Flow: attempt → **read the failure** → wait, or give up.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    FailureError,
    TerminatedError,
    TimeoutError,  # noqa: A004 - the failure that Temporal reports, not Python's
    WorkflowAlreadyStartedError,
)

from holdfast.contracts.attempts import append, failed, read_log
from holdfast.contracts.delivery import Attempt, DeliveryResult, HeldBack, StepOutcome
from holdfast.errors import ErrorCode, bounded

_CODES = frozenset(ErrorCode)


@dataclass(frozen=True, slots=True)
class GaveUp:
    """Nothing more is tried: the stable code, the reason for people, and what was tried."""

    code: str
    message: str
    attempts: tuple[Attempt, ...] = ()
    count: int = 0
    steps: tuple[StepOutcome, ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """One attempt (or a row of them) failed; `retry_in` is the wait that the activity worked out."""

    code: str
    message: str
    permanent: bool
    retry_in: timedelta | None
    attempts: tuple[Attempt, ...]

    def give_up(self, count: int, why: str = "") -> GaveUp:
        """Turn it into the end of trying; `why` says what ended it."""
        message = f"{self.message} ({why})" if why else self.message
        return GaveUp(self.code, bounded(message), self.attempts, count)


@dataclass(frozen=True, slots=True)
class HeldAttempt:
    """No attempt was made: why, when to ask again, what was tried before, and how many attempts that makes."""

    back: HeldBack
    wait: timedelta
    attempts: tuple[Attempt, ...]
    made: int


Outcome = DeliveryResult | GaveUp


def activity_failed(error: FailureError, *, number: int, at: datetime) -> AttemptFailed:
    """Read what an activity raised; `number` is the attempt it began with, `at` is now.

    A regular activity's failure comes wrapped in an ActivityError, a local one's comes as it is.
    """
    cause = error.cause if isinstance(error, ActivityError) else error
    if isinstance(cause, ApplicationError):
        code, message = _code(cause), cause.message
        log = read_log(cause.details) or (failed(number, at, code, message),)
        return AttemptFailed(code, message, cause.non_retryable, cause.next_retry_delay, log)
    if isinstance(cause, TimeoutError):
        return _timed_out(cause, number=number, at=at)
    message = bounded(str(cause or error))
    return AttemptFailed(ErrorCode.DEFECT, message, False, None, (failed(number, at, ErrorCode.DEFECT, message),))


def held_attempt(error: FailureError) -> HeldAttempt | None:
    """Read `delivery.held`; None for every other failure."""
    cause = error.cause if isinstance(error, ActivityError) else error
    if not isinstance(cause, ApplicationError) or cause.type != ErrorCode.DELIVERY_HELD:
        return None
    told: Any = cause.details[1] if len(cause.details) > 1 else {}
    back = HeldBack.model_validate(told["held"])
    return HeldAttempt(back, cause.next_retry_delay or timedelta(seconds=1), read_log(cause.details), int(told["made"]))


def _timed_out(error: TimeoutError, *, number: int, at: datetime) -> AttemptFailed:
    """Read a timeout that Temporal found: time ran out while waiting, or a worker was lost in the middle."""
    before = error.cause
    log = read_log(error.last_heartbeat_details)
    if isinstance(before, ApplicationError):
        log = log or read_log(before.details)
        return AttemptFailed(_code(before), before.message, False, None, log)
    message = "no outcome was reported: the worker was lost, or the attempt ran out of time"
    last = log[-1].number + 1 if log else number
    log = append(log, failed(last, at, ErrorCode.TARGET_TIMEOUT, message))
    return AttemptFailed(ErrorCode.TARGET_TIMEOUT, message, False, None, log)


def child_failed(error: FailureError) -> tuple[str, str]:
    """Read why the user's own workflow failed, as (code, message)."""
    cause = error.cause if isinstance(error, ChildWorkflowError) else error
    match cause:
        case ApplicationError():
            kind = f"{cause.type}: " if cause.type else ""
            text = f"{kind}{cause.message}"
        case TimeoutError():
            text = "the run took longer than its timeout"
        case TerminatedError():
            text = "the run was terminated"
        case CancelledError():
            text = "the run was cancelled"
        case WorkflowAlreadyStartedError():
            text = f"a run with the id {cause.workflow_id} exists already"
        case _:
            text = str(cause or error)
    return ErrorCode.WORKFLOW_FAILED, bounded(text)


def redrive_failed(error: FailureError) -> tuple[str, str]:
    """Read why a redriven delivery failed, as (code, message): the code that its own dead letter has."""
    cause = error.cause if isinstance(error, ChildWorkflowError) else error
    if isinstance(cause, ApplicationError):
        details: Any = cause.details[0] if cause.details else None
        code = details.get("code") if isinstance(details, dict) else None
        return str(code or cause.type or ErrorCode.DEFECT), bounded(cause.message)
    return child_failed(error)


@dataclass(frozen=True, slots=True)
class Left:
    """The record of its own that a failed redrive left behind: where it lies, what was tried."""

    dead_letter: str | None = None
    stream: str | None = None
    sequence: int | None = None
    attempts: tuple[Attempt, ...] = ()
    attempt_count: int = 0

    def fields(self) -> dict[str, Any]:
        """As the fields of a RedriveLine."""
        return {name: getattr(self, name) for name in self.__slots__}


def redrive_left(error: FailureError) -> Left:
    """Read what a redriven delivery says of its own dead letter."""
    cause = error.cause if isinstance(error, ChildWorkflowError) else error
    details: Any = cause.details[0] if isinstance(cause, ApplicationError) and cause.details else None
    if not isinstance(details, dict):
        return Left()
    stream, sequence, count = details.get("stream"), details.get("sequence"), details.get("attempt_count")
    return Left(
        dead_letter=str(details["dead_letter"]) if details.get("dead_letter") else None,
        stream=stream if isinstance(stream, str) else None,
        sequence=sequence if isinstance(sequence, int) else None,
        attempts=read_log((details.get("attempts") or (),)),
        attempt_count=count if isinstance(count, int) else 0,
    )


def unforeseen(error: BaseException) -> GaveUp:
    """Read what no step foresaw: a defect of ours, which ends as a dead letter like everything else."""
    return GaveUp(ErrorCode.DEFECT, bounded(f"{type(error).__name__}: {error}"))


def is_cancellation(error: BaseException) -> bool:
    """Whether `error` says that something was cancelled; whether that was this run, the run knows."""
    return isinstance(error, asyncio.CancelledError | CancelledError) or (
        isinstance(error, ActivityError | ChildWorkflowError) and isinstance(error.cause, CancelledError)
    )


def _code(error: ApplicationError) -> str:
    if error.type == "WorkerShutdown":  # the SDK's word for an attempt that a stopping worker cut off
        return ErrorCode.TARGET_TIMEOUT
    return error.type if error.type in _CODES else ErrorCode.DEFECT
