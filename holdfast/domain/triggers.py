"""A trigger: which events it takes, what it runs for each, and how failure is handled."""

from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from holdfast.domain.join_config import JoinPart, ResetAt, check_condition, check_names
from holdfast.domain.patterns import compile_pattern
from holdfast.domain.pressure import PressureConfig
from holdfast.domain.quantities import Duration
from holdfast.domain.retry import RetryPolicy
from holdfast.domain.runs import RunConfig
from holdfast.domain.windows import WindowConfig
from holdfast.errors import RejectedInput

_ONLY_JOIN = frozenset(
    {"condition", "within", "reset", "at_most", "reset_at", "late", "at_end", "otherwise"},
)


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
        default=(),
        description="A source or a schedule, a pattern with `*` and `?` such as `team-*`, or a list of them. Required,"
        " except with `join`, whose names each have their own.",
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
    join: dict[str, JoinPart] | None = Field(
        default=None,
        description="Several events that belong together, by name, each with its own source, filter and key. The other"
        " fields from here to `otherwise` are only for a join. Mappings of `run` say `events.NAME.data…` and `key`.",
    )
    condition: str | None = Field(
        default=None,
        description="Names of the join with `&&`, `||`, `!` and parentheses: `paid && !shipped`. Default: all of them."
        " Without `!` it fires as soon as it is true; with it, once nothing can change it, or at the window's end.",
    )
    within: Duration = Field(
        default=timedelta(hours=1),
        description="How long a window is open, from its first event. At most 366d.",
    )
    reset: Literal["first", "each"] = Field(
        default="first",
        description="What `within` is counted from: the first event of the window, or each one anew.",
    )
    at_most: Duration | None = Field(
        default=None,
        description="With `reset: each`: the longest a window may be open in all. Default: ten times `within`.",
    )
    reset_at: tuple[ResetAt, ...] = Field(
        default=(),
        description="Moments at which every open window ends, whatever is left of it: `{cron, timezone}` or a list.",
    )
    late: Literal["new_window", "record"] = Field(
        default="new_window",
        description="What becomes of an event after its window has fired: it opens another one at once; or, until the"
        " window's time is over, it is only recorded, in the stream UNMATCHED.",
    )
    at_end: Literal["dead_letter", "drop", "run"] = Field(
        default="dead_letter",
        description="When the window ends without what the condition needs: a dead letter with what came; a record per"
        " event in UNMATCHED; or run `otherwise`.",
    )
    otherwise: RunConfig | None = Field(default=None, description="With `at_end: run`: what to do then.")
    run: RunConfig = Field(description="What to do with the event.")
    retry: RetryPolicy = Field(default=RetryPolicy(), description="How often and how long to try.")
    dead_letter: DeadLetterConfig = Field(default=DeadLetterConfig(), description="What happens when trying has ended.")

    @model_validator(mode="before")
    @classmethod
    def _on_of_join(cls, value: Any) -> Any:
        """A join listens to what its names listen to."""
        parts = value.get("join") if isinstance(value, dict) else None
        if not isinstance(parts, dict) or "on" in value:
            return value
        named = (part.on if isinstance(part, JoinPart) else dict(part).get("on", ()) for part in parts.values() if part)
        sources = (one for on in named for one in ((on,) if isinstance(on, str) else on or ()))
        return {**value, "on": tuple(dict.fromkeys(map(str, sources)))}

    @field_validator("on", "during", "reset_at", mode="before")
    @classmethod
    def _one_or_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | dict) else value

    @field_validator("on")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(set(name) & set("[]") for name in value):
            raise ValueError("a pattern has only * and ?")
        return value

    @field_validator("join")
    @classmethod
    def _names(cls, value: dict[str, JoinPart] | None) -> dict[str, JoinPart] | None:
        return value if value is None else check_names(value)

    @model_validator(mode="after")
    def _one_kind(self) -> "TriggerConfig":
        if self.join is None:
            stray = sorted(_ONLY_JOIN & self.model_fields_set)
            if stray:
                raise ValueError(f"{', '.join(stray)}: only for a trigger with `join`")
            if not self.on:
                raise ValueError("`on` is required: the source whose events it takes; or `join`, for several together")
            return self
        stray = sorted({"match", "during", "when"} & self.model_fields_set)
        if stray:
            raise ValueError(f"{', '.join(stray)}: with `join` each name has its own")
        if set(self.on) != {one for part in self.join.values() for one in part.on}:
            raise ValueError("`on`: with `join` each name has its own")
        check_condition(self.condition, frozenset(self.join))
        if not timedelta(seconds=1) <= self.within <= timedelta(days=366):
            raise ValueError("within: must be at least 1s and at most 366d")
        if self.at_most is not None and (self.reset != "each" or self.at_most < self.within):
            raise ValueError("at_most: only with `reset: each`, and not shorter than within")
        if (self.at_end == "run") != (self.otherwise is not None):
            raise ValueError("`at_end: run` and `otherwise` need each other")
        return self

    @field_validator("match")
    @classmethod
    def _compiles(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            try:
                compile_pattern(value)
            except RejectedInput as error:
                raise ValueError(error.message) from error
        return value
