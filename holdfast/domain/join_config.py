"""What a join is configured with: its named events, and when its windows are ended by the clock.

Flow: holdfast.yaml → **JoinPart** → `join_matching.py`.
"""

import re
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from holdfast.domain.conditions import Condition, parse
from holdfast.domain.cron import parse_cron
from holdfast.domain.patterns import compile_pattern
from holdfast.domain.windows import WindowConfig
from holdfast.errors import RejectedInput

MAX_NAMES = 32
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_RESERVED = frozenset(
    {
        *("as", "break", "const", "continue", "else", "for", "function", "if", "import", "in", "let", "loop"),
        *("package", "namespace", "return", "var", "void", "while", "true", "false", "null"),
    }
)
"""Words that CEL keeps for itself: `events.in` cannot be written."""


class JoinPart(BaseModel):
    """One named event of a join: where it comes from, which of them count, and what they are joined by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: tuple[str, ...] = Field(
        min_length=1,
        description="A source or a schedule, a pattern with `*` and `?` such as `team-*`, or a list of them.",
    )
    match: dict[str, Any] | None = Field(
        default=None, description="A pattern over the event's fields, as in a trigger of its own."
    )
    during: tuple[WindowConfig, ...] = Field(
        default=(), description="Daily windows, one or a list; events outside are not joined."
    )
    when: str | None = Field(
        default=None,
        description="CEL over `event`. An absent field makes it false; any other error is a dead letter.",
    )
    key: str = Field(
        min_length=1,
        description="CEL over `event`: what the events of one join have in common, such as an order's number. Text, a"
        ' number or a truth value; 17 and "17" are the same. An absent field: the event is not joined; null, empty,'
        " a list or an object: a dead letter. `'\"all\"'` joins every event of the trigger.",
    )
    keep: Literal["last", "first"] = Field(
        default="last",
        description="Which event counts where several of this name come into one window: the last or the first.",
    )

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


class ResetAt(BaseModel):
    """A moment at which every open window ends, by the clock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: str = Field(description="Minute, hour, day of month, month, day of week; or @daily and its like.")
    timezone: str = Field(default="UTC", description="IANA time zone, e.g. Europe/Berlin. Summer time is followed.")

    @model_validator(mode="after")
    def _checked(self) -> "ResetAt":
        parse_cron(self.cron)
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"timezone: {self.timezone!r} is not an IANA time zone, like Europe/Berlin") from error
        return self


def check_names(join: dict[str, JoinPart]) -> dict[str, JoinPart]:
    """Names that expressions can say. Raises ValueError."""
    for name in join:
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise ValueError(f"{name!r} is no name: a-z, 0-9 and _, a letter first, and no word of CEL's own")
    if not 1 <= len(join) <= MAX_NAMES:
        raise ValueError(f"a join has 1 to {MAX_NAMES} names")
    return join


def check_condition(source: str | None, names: frozenset[str]) -> Condition:
    """Read a condition over `names`; without one all must come. Raises ValueError."""
    try:
        condition = parse(" && ".join(sorted(names)) if source is None else source)
    except RejectedInput as error:
        raise ValueError(error.message) from error
    unknown = sorted(condition.names - names)
    if unknown:
        raise ValueError(f"condition: there is no {', '.join(unknown)} in the join; it has {', '.join(sorted(names))}")
    if condition.certain(frozenset()) is False:
        raise ValueError("condition: can never be true")
    if condition.holds(frozenset()):
        raise ValueError("condition: is true before anything has come; name an event that must come, like `paid && …`")
    return condition
