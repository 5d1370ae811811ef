"""One run of an action that the user registered, within its time.

Flow: deliver → **own** → the user's function. Any error but `Refused` is tried again by the trigger's policy.
"""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from temporalio.exceptions import ApplicationError

from activities.target import Receipt, Shipment, kept
from holdfast.domain.actions import ActivityAction
from holdfast.domain.quantities import format_duration
from holdfast.domain.registered import ActionContext, RegisteredAction
from holdfast.errors import ErrorCode, HoldfastError, PermanentFailure, TransientFailure


class OwnTarget:
    """Runs actions of the user's own. A function that is not async runs in a thread."""

    def __init__(self, actions: Callable[[], Mapping[str, RegisteredAction]]) -> None:
        """`actions` gives those in force: a reloaded configuration may have others."""
        self._actions = actions

    async def send(self, action: ActivityAction, shipment: Shipment, *, trigger: str, attempt: int) -> Receipt:
        """Run it once. Raises TransientFailure or PermanentFailure."""
        found = self._actions().get(action.name)
        if found is None:
            # transient: a worker that is being deployed anew may have it
            raise TransientFailure(ErrorCode.TARGET_MISCONFIGURED, f"this worker has no action {action.name!r}")
        try:
            given = found.parameters.model_validate(action.args)
        except ValidationError as error:
            raise PermanentFailure(ErrorCode.INPUT_INVALID, _said(action.name, error)) from None
        context = ActionContext(shipment.delivery, shipment.event, trigger, attempt)
        try:
            async with asyncio.timeout(action.timeout.total_seconds()) as limit:
                result = await _run(found, (given, context)[: found.takes])
        except TimeoutError:
            if not limit.expired():
                raise TransientFailure(ErrorCode.TARGET_TIMEOUT, f"{action.name}: TimeoutError") from None
            text = f"{action.name} took longer than {format_duration(action.timeout)}; whether it was done is unknown"
            raise TransientFailure(ErrorCode.TARGET_TIMEOUT, text) from None
        except HoldfastError:
            raise
        except ApplicationError as error:
            if error.non_retryable:
                raise PermanentFailure(ErrorCode.TARGET_REFUSED, f"{action.name}: {error.message}") from None
            wait = error.next_retry_delay
            raise TransientFailure(
                ErrorCode.TARGET_FAILED, f"{action.name}: {error.message}", retry_after=wait
            ) from None
        except Exception as error:  # noqa: BLE001 - the user's own code may raise anything
            text = f"{action.name}: {type(error).__name__}: {error}"
            raise TransientFailure(ErrorCode.TARGET_FAILED, text) from None
        return Receipt(f"{action.name} is done", kept(_plain(result)))


async def _run(found: RegisteredAction, arguments: tuple[Any, ...]) -> Any:
    if inspect.iscoroutinefunction(found.run):
        return await found.run(*arguments)
    result = await asyncio.to_thread(found.run, *arguments)
    return await result if inspect.isawaitable(result) else result


def _plain(result: Any) -> Any:
    return result.model_dump(mode="json") if isinstance(result, BaseModel) else result


def _said(name: str, error: ValidationError) -> str:
    """Name what is wrong, without the values: they came from the event."""
    found = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False))
    return f"{name}: " + "; ".join(found)
