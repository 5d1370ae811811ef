"""What a trigger runs: the section `run` of holdfast.yaml, one model per kind of action (docs/actions.md)."""

from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from holdfast.domain.http_options import HttpOptions
from holdfast.domain.messages import SignalRun, SignalWithStartRun, UpdateRun, UpdateWithStartRun
from holdfast.domain.people_runs import EmailRun, SlackRun
from holdfast.domain.quantities import Duration
from holdfast.domain.secretrefs import is_reference

KINDS = (
    "workflow",
    "signal",
    "signal_with_start",
    "update",
    "update_with_start",
    "http",
    "nats",
    "activity",
    "slack",
    "email",
    "log",
)
_ONLY_WORKFLOW = frozenset({"detached", "task_queue", "args", "timeout", "start_within", "id", "search_attributes"})


def bounded_timeout(value: timedelta) -> timedelta:
    """Return the timeout of an attempt. Raises ValueError where it is out of bounds."""
    if not timedelta(0) < value <= timedelta(minutes=10):
        raise ValueError("must be longer than 0s and at most 10m")
    return value


class HttpRun(HttpOptions):
    """Call an HTTP endpoint: once per attempt, with `Idempotency-Key`, no redirects followed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(
        min_length=1,
        description="Where to send; http or https. `${…}` puts a value of the event into path or query,"
        " percent-encoded; scheme and host are written out, unless the whole URL is one `${…}`.",
    )
    method: Literal["POST", "PUT", "PATCH", "DELETE", "GET", "HEAD"] = Field(default="POST", description="HTTP method.")
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Further headers. A value env:NAME or file:PATH is read when it is sent; `${…}` puts a value of the"
        " event in, and one with a line break is a dead letter.",
    )
    body: str | None = Field(
        default=None, description="CEL; the body is its value as JSON. Default: the event's own bytes, unchanged."
    )
    timeout: Duration = Field(
        default=timedelta(seconds=10),
        description="How long one attempt may take. Past it the outcome is unknown: retried.",
    )

    @field_validator("timeout")
    @classmethod
    def _bounded(cls, value: timedelta) -> timedelta:
        return bounded_timeout(value)

    @model_validator(mode="after")
    def _one_of_each(self) -> "HttpRun":
        ours = {self.auth.header_name} if self.auth is not None else set()
        ours |= {"webhook-id", "webhook-timestamp", "webhook-signature"} if self.sign is not None else set()
        twice = sorted(name for name in self.headers if name.lower() in ours)
        if twice:
            raise ValueError(f"headers: {', '.join(twice)} is written by `auth` or `sign`")
        return self

    @property
    def options(self) -> HttpOptions | None:
        """What goes along with the delivery; None where nothing of it was given."""
        given = {
            name: getattr(self, name)
            for name, field in HttpOptions.model_fields.items()
            if getattr(self, name) != field.default
        }
        return HttpOptions(**given) if given else None


class NatsRun(BaseModel):
    """Publish to a JetStream subject, and wait until it is stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str = Field(
        min_length=1,
        description="The subject; a stream must capture it. `${…}` puts a value of the event in, as one token; the"
        " first word is written out.",
    )
    body: str | None = Field(
        default=None, description="CEL; the message is its value as JSON. Default: the event's own bytes, unchanged."
    )

    @field_validator("subject")
    @classmethod
    def _not_ours(cls, value: str) -> str:
        if value.partition(".")[0] in {"events", "dead-letters", "unmatched"}:
            raise ValueError("events.*, dead-letters.* and unmatched.* belong to Holdfast; choose another first word")
        return value


class LogRun(BaseModel):
    """Write one line to the worker's log: to try a trigger before it does anything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message: str = Field(default="event.type", description="CEL; its value is logged.")
    level: Literal["info", "warning"] = Field(default="info", description="Log level.")


class SearchAttributeConfig(BaseModel):
    """One search attribute of a run of yours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: str = Field(min_length=1, description="Text with `${…}`; nothing but one `${…}` keeps the value's type.")
    type: Literal["keyword", "text", "int", "double", "bool", "datetime", "keyword_list"] = Field(
        default="keyword", description="The attribute's type, as it is registered in the namespace."
    )


class ActivityRun(BaseModel):
    """Run an action of your own, registered with `holdfast.actions` (docs/actions.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="Name that the action is registered with.")
    args: dict[str, Any] = Field(
        default_factory=dict,
        description="Its parameters: a text is CEL, everything else is itself; in lists and mappings too. Checked"
        " against the action's model.",
    )
    timeout: Duration = Field(default=timedelta(seconds=10), description="How long one attempt may take.")

    @field_validator("timeout")
    @classmethod
    def _bounded(cls, value: timedelta) -> timedelta:
        return bounded_timeout(value)


class ActionConfig(BaseModel):
    """One action: exactly one of the kinds in `KINDS`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workflow: str | None = Field(
        default=None, min_length=1, max_length=200, description="Type of a workflow of yours, in any language."
    )
    task_queue: str | None = Field(
        default=None, min_length=1, max_length=200, description="workflow: the task queue your worker polls."
    )
    args: tuple[str, ...] | None = Field(
        default=None,
        max_length=20,
        description="workflow: CEL, one per argument. Default: one argument, the whole event.",
    )
    timeout: Duration | None = Field(
        default=None, description="workflow: how long the run may take in all. Default: as long as it likes."
    )
    start_within: Duration = Field(
        default=timedelta(hours=1),
        description="workflow: dead-letter when no worker has begun the run after this time.",
    )
    id: str | None = Field(
        default=None,
        min_length=1,
        description="workflow: id of the run, with `${…}`, e.g. `order-${event.data.order_id}`. Default: made of the"
        " delivery's own id. While a run of that id is open or has succeeded, another event's is a dead letter.",
    )
    search_attributes: dict[str, SearchAttributeConfig] = Field(
        default_factory=dict,
        max_length=20,
        description="workflow: search attributes of the run, name to text with `${…}`, or to `{type: int, value: …}`."
        " They must be registered in the namespace.",
    )
    detached: bool = Field(
        default=False,
        description="workflow: start it and be done. Its failure is not seen, and it outlives the delivery.",
    )
    signal: SignalRun | None = Field(default=None, description="Signal a workflow that runs.")
    signal_with_start: SignalWithStartRun | None = Field(
        default=None, description="Signal a workflow, started before where it does not run."
    )
    update: UpdateRun | None = Field(default=None, description="Update a workflow that runs, and keep its answer.")
    update_with_start: UpdateWithStartRun | None = Field(
        default=None, description="Update a workflow, started before where it does not run, and keep its answer."
    )
    activity: ActivityRun | None = Field(default=None, description="Run an action of your own.")
    slack: SlackRun | None = Field(default=None, description="Post to Slack.")
    email: EmailRun | None = Field(default=None, description="Send a mail.")
    http: HttpRun | None = Field(default=None, description="Call an HTTP endpoint.")
    nats: NatsRun | None = Field(default=None, description="Publish to NATS JetStream.")
    log: LogRun | None = Field(default=None, description="Write a line to the worker's log.")

    @field_validator("search_attributes", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: {"value": one} if isinstance(one, str) else one for name, one in value.items()}

    @field_validator("search_attributes")
    @classmethod
    def _not_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        ours = sorted(name for name in value if name.startswith(("Holdfast", "Temporal")))
        if ours:
            raise ValueError(f"{', '.join(ours)}: names with Holdfast or Temporal in front are not yours to set")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        named = [name for name in self.kinds() if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(f"needs exactly one of {', '.join(self.kinds())}; has {', '.join(named) or 'none'}")
        # what crosses Temporal names every field, so it is the value that counts
        stray = sorted(
            n
            for n in _ONLY_WORKFLOW
            if getattr(self, n) != ActionConfig.model_fields[n].get_default(call_default_factory=True)
        )
        if self.workflow is None and stray:
            raise ValueError(f"{', '.join(stray)}: only for `workflow`")
        if self.workflow is not None and self.task_queue is None:
            raise ValueError("`workflow` needs `task_queue`, the queue that your worker polls")
        if self.detached and self.start_within != ActionConfig.model_fields["start_within"].default:
            raise ValueError("start_within: nobody watches a detached run")
        return self

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        """Every kind that may stand here."""
        return KINDS

    @property
    def kind(self) -> str:
        """Which it is."""
        return next(kind for kind in self.kinds() if getattr(self, kind) is not None)

    @property
    def references(self) -> tuple[str, ...]:
        """Every secret that it refers to."""
        given: list[str | None] = []
        if self.slack is not None:
            given = [self.slack.url, self.slack.token]
        if self.email is not None:
            given = [self.email.username, self.email.password, self.email.ca]
        if self.http is None:
            return tuple(one for one in given if one is not None and is_reference(one))
        return (*(value for value in self.http.headers.values() if is_reference(value)), *self.http.references)


class StepConfig(ActionConfig):
    """One of several actions, and what undoes it."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,39}$",
        description="Its name; later steps read its result as `steps.NAME.result`. Lower case, digits, _.",
    )
    compensate: ActionConfig | None = Field(
        default=None,
        description="What undoes it when a later step fails for good. Its mappings may read `steps` and `failed` (step,"
        " code, message).",
    )


class RunConfig(ActionConfig):
    """What a trigger does with an event: exactly one of the kinds of actions, or `steps`."""

    steps: tuple[StepConfig, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=20,
        description="Several actions in order. Where one fails for good, those before it are compensated, the last one"
        " first.",
    )

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        """Every kind that may stand here."""
        return (*KINDS, "steps")

    @model_validator(mode="after")
    def _own_names(self) -> Self:
        names = [step.name for step in self.steps or ()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"steps: {', '.join(twice)}: each step has a name of its own")
        return self

    @property
    def placed(self) -> tuple[tuple[tuple[int | str, ...], ActionConfig], ...]:
        """Every single action in it, with its place."""
        if self.steps is None:
            return (((), self),)
        found: list[tuple[tuple[int | str, ...], ActionConfig]] = []
        for number, step in enumerate(self.steps):
            found.append((("steps", number), step))
            if step.compensate is not None:
                found.append((("steps", number, "compensate"), step.compensate))
        return tuple(found)

    @property
    def all_actions(self) -> tuple[ActionConfig, ...]:
        """Every single action in it."""
        return tuple(action for _, action in self.placed)
