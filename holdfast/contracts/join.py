"""Payloads of `Join` and `JoinedEvent`, and of the activity `settle_join`."""

from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from holdfast import ids
from holdfast.domain.conditions import parse
from holdfast.domain.cron import parse_cron
from holdfast.domain.events import Envelope
from holdfast.domain.joins import Rules
from holdfast.domain.quantities import Duration
from holdfast.domain.retry import RetryPolicy
from holdfast.domain.runs import RunConfig
from holdfast.domain.triggers import DeadLetterConfig, TriggerConfig

_FROZEN = ConfigDict(frozen=True, extra="forbid")
End = Literal["fire", "ruled-out", "incomplete", "cancelled", "late", "too-large"]
SLIDES_AT_MOST = 10  # times `within`


class JoinSpec(BaseModel):
    """A join as it was configured when the window opened: it is decided by this to its end."""

    model_config = _FROZEN

    version: Literal[1] = 1
    trigger: str
    trigger_hash: str
    names: tuple[str, ...]
    keep_first: tuple[str, ...] = ()
    condition: str
    within: Duration
    sliding: bool = False
    at_most: Duration
    record_late: bool = False
    at_end: Literal["dead_letter", "drop", "run"] = "dead_letter"
    run: dict[str, Any]  # as it stands in the configuration
    otherwise: dict[str, Any] | None = None
    retry: RetryPolicy = RetryPolicy()
    dead_letter: DeadLetterConfig = DeadLetterConfig()

    def rules(self) -> Rules:
        """Return what the pure rule needs."""
        return Rules(
            condition=parse(self.condition),
            names=frozenset(self.names),
            within=self.within,
            sliding=self.sliding,
            at_most=self.at_most,
            keep_first=frozenset(self.keep_first),
            record_late=self.record_late,
        )


class JoinOffer(BaseModel):
    """Signal `offer`: one event under one name. It may come twice; it is taken once."""

    model_config = _FROZEN

    spec: JoinSpec
    name: str
    key: str
    envelope: Envelope
    stream: str = "EVENTS"
    sequence: int | None = None  # in `stream`
    closes_by: AwareDatetime | None = None  # when the clock ends a window that this event opens
    redrive: int = 0  # the n-th time that a person offers it again

    @property
    def claim(self) -> str:
        """Workflow id of the JoinedEvent that takes it."""
        event = self.envelope
        taken = ids.joined_event_id(self.spec.trigger, event.source, event.id, self.name)
        return ids.redrive_id(taken, self.redrive) if self.redrive else taken


class HeldWindow(BaseModel):
    """An open window, as it is carried from one run to the next."""

    model_config = _FROZEN

    spec: JoinSpec
    opener: str  # the claim of the event that opened it
    opened_at: AwareDatetime
    ends_at: AwareDatetime
    limit: AwareDatetime | None
    taken: int
    standing: str
    kept: tuple[JoinOffer, ...]


class JoinInput(BaseModel):
    """Input of `Join`: which join and key; and, of a run that goes on, what it holds."""

    model_config = _FROZEN

    version: Literal[1] = 1
    trigger: str
    key: str
    window: HeldWindow | None = None
    inbox: tuple[JoinOffer, ...] = ()
    held_back: tuple[JoinOffer, ...] = ()  # claimed, for a window of another configuration
    ended: "tuple[WindowEnd, ...]" = ()


class WindowEnd(BaseModel):
    """How one window ended."""

    model_config = _FROZEN

    outcome: str  # fired, ruled-out, incomplete, otherwise, dropped, dead-lettered, cancelled
    opened_at: AwareDatetime
    closed_at: AwareDatetime
    came: tuple[str, ...]
    taken: int
    delivery: str = ""  # workflow id of what it started
    dead_letter: str = ""
    code: str = ""
    message: str = ""


class JoinResult(BaseModel):
    """Result of `Join`: the windows of this run, the last ones where there were many."""

    model_config = _FROZEN

    windows: tuple[WindowEnd, ...] = ()


class JoinView(BaseModel):
    """Answer of the query `window`."""

    model_config = _FROZEN

    trigger: str
    key: str
    condition: str = ""
    standing: str = ""  # waiting, fired, ruled-out; empty: no window is open
    opened_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None
    came: dict[str, str] = Field(default_factory=dict)  # name to `source/event id`
    awaited: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()  # names whose coming would rule it out
    taken: int = 0
    ended: tuple[WindowEnd, ...] = ()


class JoinedEventInput(BaseModel):
    """Input of `JoinedEvent`: the claim of one event by one join."""

    model_config = _FROZEN

    version: Literal[1] = 1
    trigger: str
    name: str
    key: str
    source: str
    event_id: str
    event_type: str
    join: str  # workflow id


class JoinedEventResult(BaseModel):
    """Result of `JoinedEvent`: which join holds the event, and under which name."""

    model_config = _FROZEN

    outcome: Literal["joined"] = "joined"
    join: str
    run_id: str
    name: str
    key: str


class SettledEvent(BaseModel):
    """One event of a window that is settled."""

    model_config = _FROZEN

    name: str
    claim: str
    envelope: Envelope
    stream: str = "EVENTS"
    sequence: int | None = None


class SettleJoinInput(BaseModel):
    """Input of `settle_join`: what the window came to, and what it held. Repeating it changes nothing."""

    model_config = _FROZEN

    spec: JoinSpec
    key: str
    end: End
    reason: str = ""  # why it was given up
    id: str  # joined_id
    events: tuple[SettledEvent, ...]
    opened_at: AwareDatetime
    closed_at: AwareDatetime
    workflow_id: str
    run_id: str


class SettleJoinResult(BaseModel):
    """What was done with it."""

    model_config = _FROZEN

    outcome: str
    delivery: str = ""
    dead_letter: str = ""
    code: str = ""
    message: str = ""


class CatchUpInput(BaseModel):
    """Input of `catch_up`: the moment by which everything on the bus must have been looked at."""

    model_config = _FROZEN

    until: AwareDatetime


def join_spec(name: str, trigger_hash: str, config: TriggerConfig) -> JoinSpec:
    """Return what a window is decided by, out of a trigger that has a `join`."""
    parts = config.join or {}
    within = config.within
    return JoinSpec(
        trigger=name,
        trigger_hash=trigger_hash,
        names=tuple(parts),
        keep_first=tuple(part for part, each in parts.items() if each.keep == "first"),
        condition=config.condition or " && ".join(parts),
        within=within,
        sliding=config.reset == "each",
        at_most=config.at_most or within * SLIDES_AT_MOST,
        record_late=config.late == "record",
        at_end=config.at_end,
        run=_written(config.run),
        otherwise=None if config.otherwise is None else _written(config.otherwise),
        retry=config.retry,
        dead_letter=config.dead_letter,
    )


def closes_by(config: TriggerConfig, at: datetime) -> datetime | None:
    """Return the next moment at which the clock ends the windows of a join."""
    moments = (parse_cron(each.cron).after(at, each.timezone) for each in config.reset_at)
    return min((moment for moment in moments if moment is not None), default=None)


def _written(run: RunConfig) -> dict[str, Any]:
    return run.model_dump(mode="json", exclude_unset=True, by_alias=True)


JoinInput.model_rebuild()
