"""Payloads of `Custody`, the report that every event is accounted for."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

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
    sequence: int  # in EVENTS
    detail: str = ""


class SourceCount(BaseModel):
    """One source: received = delivered + dead-lettered + unmatched + in flight + unaccounted."""

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


class CustodyReport(BaseModel):
    """Result of `Custody`."""

    model_config = _FROZEN

    version: Literal[1] = 1
    since: AwareDatetime | None  # None: from the beginning of the stream
    until: AwareDatetime
    first_sequence: int
    last_sequence: int  # 0 where there was nothing yet
    purged: int = 0  # settled, and purged before anybody counted them
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
