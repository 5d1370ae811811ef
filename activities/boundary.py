"""THE translator from our errors to Temporal's: `ApplicationError(type=code)`, retryable where trying again can help.

Nothing else crosses: no cause, so no text of a library that might quote a URL, a header or a body.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, FailureError

from holdfast.errors import (
    Defect,
    ErrorCode,
    HoldfastError,
    PermanentFailure,
    RejectedInput,
    bounded,
)

log = logging.getLogger(__name__)


def classify(error: Exception) -> HoldfastError:
    """Return `error` as one of ours; what nobody foresaw is a Defect, named by its type alone."""
    if isinstance(error, HoldfastError):
        return error
    log.error("defect", extra={"error": type(error).__name__}, exc_info=error)
    return Defect(ErrorCode.DEFECT, f"{type(error).__name__} in Holdfast; the worker's log has the traceback")


def is_permanent(error: HoldfastError) -> bool:
    """Whether no further attempt can help."""
    return isinstance(error, PermanentFailure | RejectedInput | Defect)


def translate(
    error: HoldfastError,
    details: Sequence[Any] = (),
    *,
    non_retryable: bool | None = None,
    next_retry_delay: timedelta | None = None,
) -> ApplicationError:
    """Return what Temporal is told."""
    return ApplicationError(
        bounded(error.message),
        *details,
        type=error.code,
        non_retryable=is_permanent(error) if non_retryable is None else non_retryable,
        next_retry_delay=next_retry_delay,
        # expected failures are told by the attempt, the UI and the metrics; a traceback per attempt would drown defects
        category=ApplicationErrorCategory.UNSPECIFIED if isinstance(error, Defect) else ApplicationErrorCategory.BENIGN,
    )


@contextlib.contextmanager
def boundary(*, never_give_up: bool = False) -> Iterator[None]:
    """Translate whatever the block raises; `never_give_up` where even a defect must be tried again."""
    try:
        yield
    except FailureError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is classified here
        non_retryable = False if never_give_up else None
        raise translate(classify(error), non_retryable=non_retryable) from None
