"""What a delivery carries out, resolved: every expression evaluated, nothing left to look up but secrets.

A delivery keeps this from its start to its end, so a changed configuration never changes what is under way.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from holdfast.domain.http_options import HttpOptions
from holdfast.domain.notifiers import EmailNotifier
from holdfast.domain.pressure import Pressure
from holdfast.domain.quantities import Duration
from holdfast.domain.retry import RetryPolicy
from holdfast.domain.runs import ActionConfig
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
    options: HttpOptions | None = None  # None where nothing of it was given
    guarded: bool = False  # an event chose the host

    @property
    def needs_whole_body(self) -> bool:
        """Whether it cannot send the event's bytes while they are read: they are signed, or may be sent twice."""
        options = self.options
        return options is not None and (
            options.sign is not None or (options.auth is not None and options.auth.oauth2 is not None)
        )

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
    detached: bool = False

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


class MessageAction(BaseModel):
    """One signal or update to a workflow of the user's own; `workflow` is started before where it does not run."""

    model_config = _FROZEN

    kind: Literal["message"] = "message"
    how: Literal["signal", "update"]
    workflow_id: str
    name: str
    args: tuple[Any, ...] = ()
    workflow: str | None = None
    task_queue: str | None = None
    start_args: tuple[Any, ...] = ()
    timeout: Duration | None = None  # of the run
    within: Duration = timedelta(seconds=10)
    when_missing: Literal["retry", "dead_letter"] = "retry"

    @property
    def target(self) -> str:
        """Name it for people: `signal paid to order-7`."""
        return f"{self.how} {self.name} to {self.workflow_id}"


class ActivityAction(BaseModel):
    """One run of an action that the user registered."""

    model_config = _FROZEN

    kind: Literal["activity"] = "activity"
    name: str
    args: dict[str, Any] = Field(default_factory=dict)
    timeout: Duration = timedelta(seconds=10)

    @property
    def target(self) -> str:
        """Name it for people: `activity charge`."""
        return f"activity {self.name}"


class SlackAction(BaseModel):
    """One message in Slack."""

    model_config = _FROZEN

    kind: Literal["slack"] = "slack"
    url: str | None = None  # a reference
    token: str | None = None  # a reference
    channel: str | None = None
    text: str
    api: str = "https://slack.com/api"

    @property
    def target(self) -> str:
        """Name it for people: `slack #ops`."""
        return f"slack {self.channel or 'webhook'}"


class EmailAction(BaseModel):
    """One mail."""

    model_config = _FROZEN

    kind: Literal["email"] = "email"
    settings: EmailNotifier
    subject: str
    text: str

    @property
    def target(self) -> str:
        """Name it for people: `mail to ops@example.com`."""
        return f"mail to {', '.join(self.settings.to)}"


class StepPlan(BaseModel):
    """One step as it was configured when the delivery began: its mappings read the results of earlier steps."""

    model_config = _FROZEN

    name: str
    run: ActionConfig
    compensate: ActionConfig | None = None


class StepsAction(BaseModel):
    """Several actions in order; each is resolved when its turn comes, by an activity."""

    model_config = _FROZEN

    kind: Literal["steps"] = "steps"
    steps: tuple[StepPlan, ...]

    @property
    def target(self) -> str:
        """Name it for people: `steps reserve, charge`."""
        return f"steps {', '.join(step.name for step in self.steps)}"


class FailedStep(BaseModel):
    """Which step failed, for its compensations: `failed` in their mappings."""

    model_config = _FROZEN

    step: str
    code: str
    message: str


class StepAction(BaseModel):
    """One step of several when its turn has come, with what its mappings may read; made by the workflow."""

    model_config = _FROZEN

    kind: Literal["step"] = "step"
    name: str
    run: ActionConfig
    results: dict[str, Any] = Field(default_factory=dict)
    failed: FailedStep | None = None  # it compensates

    @property
    def target(self) -> str:
        """Name it for people: `step charge: http`."""
        return f"{'step' if self.failed is None else 'compensation of'} {self.name}: {self.run.kind}"


SingleAction = (
    HttpAction | WorkflowAction | NatsAction | LogAction | MessageAction | ActivityAction | SlackAction | EmailAction
)
Action = Annotated[SingleAction | StepsAction | StepAction, Field(discriminator="kind")]


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
