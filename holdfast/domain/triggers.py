"""A trigger: which events it takes, what it runs for each, and how failure is handled."""

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from holdfast.domain.patterns import compile_pattern
from holdfast.domain.pressure import PressureConfig
from holdfast.domain.quantities import Duration
from holdfast.domain.retry import RetryPolicy
from holdfast.domain.runs import RunConfig
from holdfast.domain.windows import WindowConfig
from holdfast.errors import RejectedInput


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
