"""A trigger: which events it takes, what it runs for each, and how failure is handled."""

from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from holdfast.domain.patterns import compile_pattern
from holdfast.domain.pressure import PressureConfig
from holdfast.domain.quantities import Duration
from holdfast.domain.retry import RetryPolicy
from holdfast.domain.windows import WindowConfig
from holdfast.errors import RejectedInput

_ONLY_WORKFLOW = frozenset({"task_queue", "args", "timeout", "start_within", "id", "search_attributes"})


class HttpRun(BaseModel):
    """Call an HTTP endpoint: once per attempt, with `Idempotency-Key`, no redirects followed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(
        min_length=1,
        description="Where to send; http or https. `${…}` puts a value of the event into path or query,"
        " percent-encoded; scheme and host are written out, unless the whole URL is one `${…}`.",
    )
    method: Literal["POST", "PUT", "PATCH", "DELETE", "GET"] = Field(default="POST", description="HTTP method.")
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
        if not timedelta(0) < value <= timedelta(minutes=10):
            raise ValueError("must be longer than 0s and at most 10m")
        return value


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


class RunConfig(BaseModel):
    """What a trigger does with an event: exactly one of `workflow`, `http`, `nats`, `log`."""

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
    def _exactly_one(self) -> "RunConfig":
        named = [name for name in ("workflow", "http", "nats", "log") if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(f"needs exactly one of workflow, http, nats, log; has {', '.join(named) or 'none'}")
        stray = sorted(_ONLY_WORKFLOW & self.model_fields_set)
        if self.workflow is None and stray:
            raise ValueError(f"{', '.join(stray)}: only for `workflow`")
        if self.workflow is not None and self.task_queue is None:
            raise ValueError("`workflow` needs `task_queue`, the queue that your worker polls")
        return self


class AutoRedrive(BaseModel):
    """Redrive a case without a person, while it is open: at growing distances, and when its target recovers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after: Duration = Field(
        default=timedelta(minutes=10), description="Wait before the first automatic redrive; at least 1s."
    )
    factor: float = Field(default=2.0, ge=1.0, le=10.0, description="Each wait is this many times the one before.")
    max_wait: Duration = Field(default=timedelta(hours=24), description="The longest wait between two of them.")
    max: int = Field(
        default=3, ge=1, le=100, description="Automatic redrives of one case in all; then it waits for a person."
    )
    when_recovered: bool = Field(
        default=False,
        description="Redrive as soon as another delivery of this trigger has succeeded since; counts towards `max`."
        " Open cases are looked at once a minute, and released at a bounded rate.",
    )
    codes: tuple[str, ...] = Field(
        default=(),
        description="Only failures with these codes, like target.unreachable. Default: every code.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> "AutoRedrive":
        if self.after < timedelta(seconds=1):
            raise ValueError("after must be at least 1s, or a broken target is hammered")
        if self.max_wait < self.after:
            raise ValueError("max_wait must not be shorter than after")
        return self

    def wait(self, made: int) -> timedelta:
        """How long to wait after a failure when `made` automatic redrives were made already."""
        grown = self.after.total_seconds() * self.factor ** min(made, 100)
        return timedelta(seconds=min(grown, self.max_wait.total_seconds()))

    def wants(self, code: str, made: int) -> bool:
        """Whether a failure with this code is redriven once more."""
        return made < self.max and (not self.codes or code in self.codes)


class DeadLetterConfig(BaseModel):
    """What happens to a delivery of this trigger that failed for good."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    escalation: str | None = Field(
        default=None,
        description="The escalation that is told of each case, by its name under `escalations`. Default: the one named"
        " `default`, where there is one.",
    )
    auto_redrive: AutoRedrive | None = Field(
        default=None, description="Redrive automatically while the case is open. Default: only people redrive."
    )
    resolve_on_newer: bool = Field(
        default=False,
        description="Resolve a case when a later event with the same subject was delivered by this trigger: for"
        " events that each carry the whole state, so that an older one would only undo a newer one.",
    )
    expire_after: Duration = Field(
        default=timedelta(days=90),
        description="Close a case that nobody handled after this time; its record stays in the stream.",
    )


class TriggerConfig(PressureConfig):
    """One rule: events of these sources that pass the filter are given to the action."""

    on: tuple[str, ...] = Field(
        min_length=1,
        description="A source or a schedule, a pattern with `*` and `?` such as `team-*`, or a list of them.",
    )
    match: dict[str, Any] | None = Field(
        default=None,
        description="A pattern over the event's fields, all of which must hold: values, lists of them, or"
        " `{prefix: …}`, `suffix`, `wildcard`, `equals-ignore-case`, `anything-but`, `numeric`, `exists`, `cidr`,"
        " and `$or`. Compiled to CEL. Where `when` is given too, both must hold.",
    )
    during: tuple[WindowConfig, ...] = Field(
        default=(),
        description="Daily windows, one or a list; the event's time must lie in one of them. Events outside are not"
        " wanted by this trigger: they are not kept for later.",
    )
    when: str | None = Field(
        default=None,
        description="CEL over `event`. An absent field makes it false; any other error is a dead letter.",
    )
    run: RunConfig = Field(description="What to do with the event.")
    retry: RetryPolicy = Field(default=RetryPolicy(), description="How often and how long to try.")
    dead_letter: DeadLetterConfig = Field(default=DeadLetterConfig(), description="What happens when trying has ended.")

    @field_validator("on", "during", mode="before")
    @classmethod
    def _one_or_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | dict) else value

    @field_validator("on")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(set(name) & set("[]") for name in value):
            raise ValueError("a pattern has only * and ?")
        return value

    @field_validator("match")
    @classmethod
    def _compiles(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            try:
                compile_pattern(value)
            except RejectedInput as error:
                raise ValueError(error.message) from error
        return value
