"""Payloads of `CaseWatch`, which watches one trigger for cases that wait for its recovery, and of its activities."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class WatchEntry(BaseModel):
    """One case that wants to be told: of its target's recovery, or that a newer event of its key was delivered."""

    model_config = _FROZEN

    case: str  # workflow id
    failed_at: AwareDatetime
    recovery: bool = False
    key: str = ""
    received_at: AwareDatetime | None = None  # with `key`: of the event; a delivery begun later is of a newer one


class WatchInput(BaseModel):
    """Input of `CaseWatch`: the trigger; in a new run also what was known: entries, and the newest delivery seen."""

    model_config = _FROZEN

    version: Literal[1] = 1
    trigger: str
    since: AwareDatetime | None = None
    entries: tuple[WatchEntry, ...] = ()


class WatchTriggerInput(BaseModel):
    """Input of `watch_trigger`."""

    model_config = _FROZEN

    trigger: str
    entry: WatchEntry


class LookInput(BaseModel):
    """Input of `look_at_trigger`: deliveries that ended well after `since` are news, for these cases."""

    model_config = _FROZEN

    trigger: str
    since: AwareDatetime
    entries: tuple[WatchEntry, ...]


class LookResult(BaseModel):
    """What a look saw: the newest delivery that ended well, and the cases that were told (or are gone)."""

    model_config = _FROZEN

    newest: AwareDatetime | None = None
    settled: tuple[str, ...] = ()
