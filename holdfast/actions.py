"""The public door for actions of your own: decorate a function, list its module in holdfast.yaml (docs/actions.md).

```python
class Charge(BaseModel):
    customer: str
    cents: int

@action("charge")
async def charge(given: Charge, context: ActionContext) -> dict[str, str]: ...
```
"""

from collections.abc import Callable
from typing import Any

from holdfast.domain.registered import ActionContext, RegisteredAction, register
from holdfast.errors import ErrorCode, PermanentFailure, TransientFailure


def action(name: str) -> Callable[[Callable[..., Any]], RegisteredAction]:
    """Register a function, async or not, as an action. Raises RejectedInput `config.invalid` for a wrong signature."""

    def decorate(function: Callable[..., Any]) -> RegisteredAction:
        return register(name, function)

    return decorate


class Refused(PermanentFailure):
    """Raise it where no further attempt can help: the delivery is dead-lettered at once, `target.refused`."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.TARGET_REFUSED, message)


class TryAgain(TransientFailure):
    """Raise it where another attempt may succeed; `retry_after` (a timedelta) is the least wait."""

    def __init__(self, message: str, *, retry_after: Any = None) -> None:
        super().__init__(ErrorCode.TARGET_FAILED, message, retry_after=retry_after)


__all__ = ["ActionContext", "Refused", "RegisteredAction", "TryAgain", "action"]
