"""A trigger: which events it takes, what it runs for each, and how failure is handled."""

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from holdfast.domain.patterns import compile_pattern
from holdfast.domain.quantities import Duration
from holdfast.domain.retry import RetryPolicy
from holdfast.domain.runs import RunConfig
from holdfast.domain.windows import WindowConfig
from holdfast.errors import RejectedInput


class DeadLetterConfig(BaseModel):
    """What happens to a delivery of this trigger that failed for good."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    expire_after: Duration = Field(
        default=timedelta(days=90),
        description="Close a case that nobody handled after this time; its record stays in the stream.",
    )


class TriggerConfig(BaseModel):
    """One rule: events of these sources that pass the filter are given to the action."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    def _one_or_many(cls, value: Any) -> Any:
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
