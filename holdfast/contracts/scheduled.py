"""Payloads of `ScheduledEvent`: one tick of a schedule becomes one event on the bus."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

_FROZEN = ConfigDict(frozen=True, extra="forbid")
_BASIC = "%Y%m%dT%H%M%SZ"


class ScheduledInput(BaseModel):
    """Input of `ScheduledEvent`, as `holdfast schedules apply` writes it and as a person may write it by hand.

    Everything may be left out: `schedule` is then the id of the Temporal Schedule.
    """

    model_config = _FROZEN

    version: Literal[1] = 1
    schedule: str = Field(default="", max_length=256)  # becomes event.source
    type: str = Field(default="schedule.ticked", min_length=1, max_length=256)
    subject: str | None = None
    data: Any = None  # literal JSON
    data_expression: str | None = None  # CEL over `tick`; wins over `data`
    timezone: str = "UTC"  # of tick.local_time, tick.date and tick.weekday
    when: str | None = None  # CEL over `tick`; false publishes nothing
    stop_when: str | None = None  # CEL over `ticks`; true pauses the schedule


class PublishTickInput(BaseModel):
    """Input of `publish_tick`. The event id derives from schedule and nominal time, so no tick counts twice."""

    model_config = _FROZEN

    tick: ScheduledInput
    nominal: AwareDatetime
    workflow_id: str
    schedule_id: str = ""  # of the Temporal Schedule; none for a run that somebody started by itself


class ScheduledResult(BaseModel):
    """Where the tick's event lies; or, with `published` false, why none was published."""

    model_config = _FROZEN

    source: str
    event_id: str
    sequence: int = 0
    duplicate: bool = False
    published: bool = True
    reason: str = ""


def tick_event_id(nominal: datetime) -> str:
    """Return the event id of a tick: its nominal time in UTC, `20261120T030000Z`."""
    return nominal.astimezone(UTC).strftime(_BASIC)


def nominal_time(event_id: str) -> datetime:
    """Read a nominal time back from a tick's event id. Raises ValueError for anything else."""
    return datetime.strptime(event_id, _BASIC).replace(tzinfo=UTC)
