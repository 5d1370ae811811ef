"""Payloads of `ScheduleWatch`: what the watch for missed ticks knows of each schedule between two looks."""

from pydantic import AwareDatetime, BaseModel, ConfigDict

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Watched(BaseModel):
    """One schedule as it was at the last look. Every tick due up to `until` has run, or has been named."""

    model_config = _FROZEN

    created_at: AwareDatetime
    until: AwareDatetime
    token: str  # changes when somebody pauses, resumes or updates it
    spec: str  # Temporal's ScheduleSpec, serialized, base64
    missed: int = 0  # Temporal's own counts, as they were
    skipped: int = 0
    dropped: int = 0
    suspected: bool = False  # ticks were absent; they are named when the next look finds them absent too


class WatchState(BaseModel):
    """Input and result of `watch_schedules`, and what a watch hands on to the next run of itself."""

    model_config = _FROZEN

    since: AwareDatetime | None = None  # when the watch first looked; None before
    schedules: dict[str, Watched] = {}
    again_soon: bool = False  # something is suspected, or not all of it was read
