"""What a delivery carries out, resolved: every expression evaluated, nothing left to look up but secrets.

A delivery keeps this from its start to its end, so a changed configuration never changes what is under way.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from holdfast.domain.pressure import Pressure
from holdfast.domain.quantities import Duration
from holdfast.domain.retry import RetryPolicy
from holdfast.domain.triggers import DeadLetterConfig

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class HttpAction(BaseModel):
    """One HTTP call. `headers` may hold secret references; `mapped_headers` came from the event and never do.

    `body` None sends the event's own bytes.
    """

    model_config = _FROZEN

    kind: Literal["http"] = "http"
    url: str
    method: str = "POST"
    headers: dict[str, str] = Field(default_factory=dict)
    mapped_headers: dict[str, str] = Field(default_factory=dict)
    body: str | None = None  # JSON text
    timeout: Duration = timedelta(seconds=10)

    @property
    def target(self) -> str:
        """Name it for people: `POST https://…`."""
        return f"{self.method} {self.url}"


class SearchAttribute(BaseModel):
    """One search attribute of the user's run; a `datetime` is an RFC 3339 text."""

    model_config = _FROZEN

    name: str
    type: Literal["keyword", "text", "int", "double", "bool", "datetime", "keyword_list"]
    value: bool | int | float | str | tuple[str, ...]

    @model_validator(mode="after")
    def _is_a_time(self) -> Self:
        # a delivery that somebody starts by hand is refused here, not in the middle of its workflow
        if self.type == "datetime" and (
            not isinstance(self.value, str) or datetime.fromisoformat(self.value).tzinfo is None
        ):
            raise ValueError("a datetime is an RFC 3339 text with its zone")
        return self


class WorkflowAction(BaseModel):
    """One run of the user's own workflow, supervised as a child; `id` None derives it from the delivery."""

    model_config = _FROZEN

    kind: Literal["workflow"] = "workflow"
    workflow: str
    task_queue: str
    args: tuple[Any, ...] = ()
    timeout: Duration | None = None
    start_within: Duration = timedelta(hours=1)
    id: str | None = None
    search_attributes: tuple[SearchAttribute, ...] = ()

    @property
    def target(self) -> str:
        """Name it for people: `workflow DeployService on deploys`."""
        return f"workflow {self.workflow} on {self.task_queue}"


class NatsAction(BaseModel):
    """One message to a JetStream subject. `body` None sends the event's own bytes."""

    model_config = _FROZEN

    kind: Literal["nats"] = "nats"
    subject: str
    body: str | None = None  # JSON text

    @property
    def target(self) -> str:
        """Name it for people: `nats orders.created`."""
        return f"nats {self.subject}"


class LogAction(BaseModel):
    """One line in the worker's log."""

    model_config = _FROZEN

    kind: Literal["log"] = "log"
    message: str
    level: Literal["info", "warning"] = "info"

    @property
    def target(self) -> str:
        """Name it for people."""
        return "log"


Action = Annotated[HttpAction | WorkflowAction | NatsAction | LogAction, Field(discriminator="kind")]


class DeliverySpec(BaseModel):
    """A trigger's decision for one event: what to run, how often to try, what happens when trying has ended."""

    model_config = _FROZEN

    trigger: str
    trigger_hash: str  # of the trigger's configuration, 16 hex digits
    action: Action
    retry: RetryPolicy = RetryPolicy()
    dead_letter: DeadLetterConfig = DeadLetterConfig()
    pressure: Pressure | None = None  # None: nothing holds it back
    key: str | None = None  # of what the event is, where newer ones supersede it; search attribute HoldfastKey
