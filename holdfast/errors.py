"""The one family of errors, each with a stable dotted code; branch on the code, never on the text.

Their translators: `gateway/problems.py` and `workers/api/problems.py` (RFC 9457) and `activities/boundary.py`
(`ApplicationError(type=code)`).
"""

from datetime import timedelta
from enum import StrEnum

MAX_TEXT = 1_000  # characters; Temporal truncates a failure at 4 KiB, and a person reads less


class ErrorCode(StrEnum):
    """Every code that leaves a process: in problem documents, dead letters, failures and metrics."""

    # the caller's fault
    REQUEST_MALFORMED = "request.malformed"
    REQUEST_TOO_LARGE = "request.too_large"
    REQUEST_TOO_SLOW = "request.too_slow"
    REQUEST_UNSUPPORTED_MEDIA_TYPE = "request.unsupported_media_type"
    REQUEST_METHOD_NOT_ALLOWED = "request.method_not_allowed"
    SOURCE_RATE_LIMITED = "source.rate_limited"
    SOURCE_TOO_CONCURRENT = "source.too_concurrent"
    REQUEST_MISDIRECTED = "request.misdirected"
    REQUEST_CROSS_ORIGIN = "request.cross_origin"
    SOURCE_UNKNOWN = "source.unknown"
    SIGNATURE_MISSING = "signature.missing"
    SIGNATURE_INVALID = "signature.invalid"
    SIGNATURE_STALE = "signature.stale"
    CLIENT_NOT_ALLOWED = "client.not_allowed"
    IDENTITY_FAILED = "identity.failed"
    ENVELOPE_INVALID = "envelope.invalid"
    CONFIG_INVALID = "config.invalid"
    INPUT_INVALID = "input.invalid"
    CASE_ILLEGAL_MOVE = "case.illegal_move"
    CASE_CLOSED = "case.closed"
    CASE_REDRIVING = "case.redriving"
    CASE_REFUSED = "case.refused"
    CASE_REDRIVEN = "case.redriven"
    OPERATION_ILLEGAL_MOVE = "operation.illegal_move"
    NOT_FOUND = "not_found"
    ACCESS_UNAUTHENTICATED = "access.unauthenticated"
    ACCESS_FORBIDDEN = "access.forbidden"
    ACCESS_THROTTLED = "access.throttled"
    # a dependency is away, or the outcome is unknown
    BUS_UNAVAILABLE = "bus.unavailable"
    BUS_TIMEOUT = "bus.timeout"
    BUS_FULL = "bus.full"
    BUS_MISCONFIGURED = "bus.misconfigured"
    SPOOL_FULL = "spool.full"
    SPOOL_FAILED = "spool.failed"
    TEMPORAL_UNAVAILABLE = "temporal.unavailable"
    TEMPORAL_MISCONFIGURED = "temporal.misconfigured"
    SIGNATURE_KEY_UNAVAILABLE = "signature.key_unavailable"
    NOT_READY = "not_ready"
    GATEWAY_BUSY = "gateway.busy"
    # deciding
    FILTER_FAILED = "filter.failed"
    MAPPING_FAILED = "mapping.failed"
    JOIN_INCOMPLETE = "join.incomplete"
    JOIN_TOO_LARGE = "join.too_large"
    JOIN_CANCELLED = "join.cancelled"
    # ticking
    SCHEDULE_MISSED = "schedule.missed"
    SCHEDULE_SKIPPED = "schedule.skipped"
    SCHEDULE_LOST = "schedule.lost"
    SCHEDULE_STOPPED = "schedule.stopped"
    # delivering
    TARGET_UNREACHABLE = "target.unreachable"
    TARGET_TIMEOUT = "target.timeout"
    TARGET_RETRY_LATER = "target.retry_later"
    TARGET_REFUSED = "target.refused"
    TARGET_FAILED = "target.failed"
    TARGET_MISCONFIGURED = "target.misconfigured"
    TARGET_FORBIDDEN = "target.forbidden"
    BODY_MISSING = "body.missing"
    BODY_DAMAGED = "body.damaged"
    WORKFLOW_FAILED = "workflow.failed"
    WORKFLOW_NOT_RUNNABLE = "workflow.not_runnable"
    WORKFLOW_NOT_FOUND = "workflow.not_found"
    WORKFLOW_UNKNOWN_TYPE = "workflow.unknown_type"
    DELIVERY_HELD = "delivery.held"
    DELIVERY_CANCELLED = "delivery.cancelled"
    ORDER_QUEUE_FULL = "order.queue_full"
    DELIVERY_OVERDUE = "delivery.overdue"
    RUN_TERMINATED = "run.terminated"
    RUN_TIMED_OUT = "run.timed_out"
    RUN_CANCELLED = "run.cancelled"
    RUN_FAILED = "run.failed"
    START_REJECTED = "start.rejected"
    DEAD_LETTERED = "dead_lettered"
    # a bug
    DEFECT = "defect"


def bounded(text: str, limit: int = MAX_TEXT) -> str:
    """`text` cut to `limit` characters, with a mark where it was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


class HoldfastError(Exception):
    """The root: `code` is stable, `message` is for people and bounded to MAX_TEXT characters."""

    def __init__(self, code: ErrorCode, message: str, *, retry_after: timedelta | None = None) -> None:
        self.code = code
        self.message = bounded(message)
        self.retry_after = retry_after
        super().__init__(f"{code}: {self.message}")


class RejectedInput(HoldfastError):  # noqa: N818 - the family is named for verdicts
    """The caller's fault: sending the same again cannot help."""


class Unavailable(HoldfastError):  # noqa: N818
    """A dependency is down, full or silent, or the outcome is unknown: try the same again, with the same identity."""


class TransientFailure(HoldfastError):  # noqa: N818
    """An attempt failed and another may succeed; `retry_after` is what the other side asked for."""


class PermanentFailure(HoldfastError):  # noqa: N818
    """An attempt failed and no further one can help: dead-letter now."""


class Conflict(HoldfastError):  # noqa: N818
    """It is already done: success for an idempotent step."""


class Defect(HoldfastError):  # noqa: N818
    """A bug in Holdfast; kept apart so that nobody retries or hides it as something else."""
