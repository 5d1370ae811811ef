"""Payloads of `Custody`, the report that every event is accounted for."""

import json
import shlex
from datetime import timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from holdfast.clock import rfc3339

_FROZEN = ConfigDict(frozen=True, extra="forbid")

MOST_NAMED = 500  # events that a report names
MOST_CARRIED = 2_000  # events in flight that the next report looks at again, one by one


class CustodyInput(BaseModel):
    """Input of `Custody`. Without `since` a report goes on where the last one of the schedule ended."""

    model_config = _FROZEN

    version: Literal[1] = 1
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class EventRef(BaseModel):
    """One event by name, with what is known of it."""

    model_config = _FROZEN

    source: str
    event_id: str
    sequence: int  # in `stream`
    stream: str = "EVENTS"
    stored_at: AwareDatetime | None = None  # None: it lay there no more
    detail: str = ""

    @property
    def remedy(self) -> str:
        """Return the command that delivers the event now; empty where there is none: no event, or gone."""
        if self.stored_at is None or self.event_id.startswith("~"):
            return ""
        until = self.stored_at + timedelta(seconds=1)
        where = shlex.quote(f"event.id == {json.dumps(self.event_id)}")
        return (
            f"holdfast replay --source {shlex.quote(self.source)} --since {rfc3339(self.stored_at)}"
            f" --until {rfc3339(until)} --where {where}"
        )


class EvictedRange(BaseModel):
    """Events that left their stream before anybody had them: `count` of those from `first` to `last`."""

    model_config = _FROZEN

    first: int
    last: int
    count: int


class StreamCount(BaseModel):
    """One stream of events: which of its sequences a report is about, and which of them lie there no more."""

    model_config = _FROZEN

    stream: str
    first_sequence: int
    last_sequence: int  # 0 where there was nothing yet
    resume_at: int  # the sequence that the next report begins with
    purged: int = 0  # settled, and purged by the janitor before anybody counted them
    removed: int = 0  # settled, and deleted by the stream's policy; counted by what they left, `unnamed` not included
    unnamed: int = 0  # settled and deleted, and nothing says which events they were: repeats, as a rule
    evicted: int = 0  # left before anybody had them
    evictions: tuple[EvictedRange, ...] = ()  # at most MOST_NAMED


class SourceCount(BaseModel):
    """One source: received = delivered + dead-lettered + unmatched + in flight + unaccounted + evicted + unnamed.

    What nobody can name any more stands under `~` and the stream's name.
    """

    model_config = _FROZEN

    source: str
    received: int = 0  # different events; `carried` of them came before this period and were in flight
    carried: int = 0
    repeated: int = 0  # stored once more past the bus's own deduplication; delivered once
    delivered: int = 0
    dead_lettered: int = 0
    unmatched: int = 0
    in_flight: int = 0
    unaccounted: int = 0
    evicted: int = 0  # by the policy of their stream, before anybody had them
    unnamed: int = 0  # settled and deleted by the policy of their stream; nothing says which events they were


class CustodyReport(BaseModel):
    """Result of `Custody`."""

    model_config = _FROZEN

    version: Literal[1] = 1
    since: AwareDatetime | None  # None: from the beginning of the stream
    until: AwareDatetime
    first_sequence: int  # in EVENTS, as all four numbers; `streams` has them of each stream
    last_sequence: int  # 0 where there was nothing yet
    purged: int = 0  # settled, and purged before anybody counted them
    streams: tuple[StreamCount, ...] = ()
    sources: tuple[SourceCount, ...] = ()
    unaccounted: tuple[EventRef, ...] = ()  # at most MOST_NAMED; `sources` counts them all
    in_flight: tuple[EventRef, ...] = ()  # carried to the next report
    resume_at: int  # the sequence that the next report begins with

    @property
    def adds_up(self) -> bool:
        """Whether every event is accounted for."""
        return not any(count.unaccounted for count in self.sources)

    @property
    def total(self) -> SourceCount:
        """All sources together."""
        fields = [name for name in SourceCount.model_fields if name != "source"]
        return SourceCount(source="", **{name: sum(getattr(one, name) for one in self.sources) for name in fields})
