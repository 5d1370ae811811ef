"""What bounds deliveries: how fast, how many at once, in which order, and when; of a trigger and of a target.

The configuration, and what is resolved from it for one event (`Pressure`). Rates and counts hold across all worker
processes (`lanes.py` is their arithmetic); the order is kept per key by the workflow `KeyQueue`.
"""

from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from holdfast.domain.quantities import Duration, Rate
from holdfast.domain.windows import WindowConfig, end_of

_FROZEN = ConfigDict(frozen=True, extra="forbid")
LONGEST_DELAY = timedelta(days=366)


class BreakerConfig(BaseModel):
    """When a target is left alone because it fails."""

    model_config = _FROZEN

    failures: int = Field(
        default=10,
        ge=1,
        le=1_000,
        description="So many failed attempts (unreachable, timed out, or a 5xx) within `within` open the breaker. The"
        " lower, the sooner a target in trouble is left alone, and the sooner a few accidents stop everything.",
    )
    within: Duration = Field(default=timedelta(minutes=1), description="The time in which failures are counted.")
    open_for: Duration = Field(
        default=timedelta(seconds=30),
        description="How long nothing is sent once it is open. Then one delivery is tried: success closes the breaker,"
        " failure opens it again. Deliveries wait meanwhile; waiting is no attempt.",
    )

    @field_validator("within", "open_for")
    @classmethod
    def _positive(cls, value: timedelta) -> timedelta:
        if not timedelta(0) < value <= timedelta(days=1):
            raise ValueError("must be longer than 0s and at most 1d")
        return value


class DeliveryLimits(BaseModel):
    """Rate and concurrency, across all worker processes."""

    model_config = _FROZEN

    rate_limit: Rate | None = Field(
        default=None,
        description="Attempts over time, like `50/s`, across all worker processes, evenly spaced. What is above it"
        " waits, without using up attempts. Default: no limit.",
    )
    burst: int = Field(
        default=1,
        ge=1,
        le=100_000,
        description="How many attempts may be made at once after a pause before `rate_limit` spaces them. Default: 1,"
        " never two at once.",
    )
    concurrency: int | None = Field(
        default=None,
        ge=1,
        le=1_000,
        description="Attempts (of a `workflow` action: runs) that may be under way at once, across all worker"
        " processes. A worker that dies gives its places back when the action's timeout has passed. Default: no limit.",
    )
    breaker: BreakerConfig | None = Field(
        default=None, description="Leave the target alone while it fails. Default: each delivery tries by its policy."
    )

    @model_validator(mode="after")
    def _burst_of_a_rate(self) -> "DeliveryLimits":
        if self.burst > 1 and self.rate_limit is None:
            raise ValueError("`burst` has no meaning without `rate_limit`; give a rate, or remove it")
        return self

    @property
    def limited(self) -> bool:
        """Whether anything must be asked before an attempt."""
        return self.rate_limit is not None or self.concurrency is not None or self.breaker is not None


class TargetConfig(DeliveryLimits):
    """One target, recognised by where actions send to; its limits hold for all triggers together."""

    url_prefix: tuple[str, ...] = Field(
        default=(), description="http actions whose URL begins so: one, or a list. With scheme and host."
    )
    host: tuple[str, ...] = Field(
        default=(), description="http actions to this host: one, or a list; `*` matches, as in `*.example.com`."
    )
    task_queue: tuple[str, ...] = Field(default=(), description="workflow actions on this task queue: one, or a list.")
    subject: tuple[str, ...] = Field(
        default=(), description="nats actions to this subject: one, or a list; `*` matches any text."
    )

    @field_validator("url_prefix", "host", "task_queue", "subject", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _of_something(self) -> "TargetConfig":
        if not (self.url_prefix or self.host or self.task_queue or self.subject):
            raise ValueError("needs at least one of url_prefix, host, task_queue, subject")
        for prefix in self.url_prefix:
            if not urlsplit(prefix).scheme or not urlsplit(prefix).netloc:
                raise ValueError(f"url_prefix: {prefix!r} needs scheme and host, like https://api.example.com/v1")
        return self

    def takes(self, kind: str, place: str) -> bool:
        """Whether an action of a kind sends here; `place` is its URL, task queue or subject."""
        if kind == "http":
            host = (urlsplit(place).hostname or "").lower()
            return place.startswith(self.url_prefix) or any(fnmatchcase(host, one.lower()) for one in self.host)
        patterns = {"workflow": self.task_queue, "nats": self.subject}.get(kind, ())
        return any(fnmatchcase(place, one) for one in patterns)


class ThrottleConfig(BaseModel):
    """How many deliveries of one key in a time."""

    model_config = _FROZEN

    per: Duration = Field(description="The time, from the first delivery on.")
    max: int = Field(default=1, ge=1, le=10_000, description="Deliveries of one key in that time.")
    excess: Literal["wait", "skip"] = Field(
        default="wait",
        description="What happens to the others: `wait` until the time has passed, in order, or `skip`: recorded as"
        " superseded, not delivered.",
    )

    @field_validator("per")
    @classmethod
    def _positive(cls, value: timedelta) -> timedelta:
        if not timedelta(0) < value <= timedelta(days=31):
            raise ValueError("must be longer than 0s and at most 31d")
        return value


class PressureConfig(DeliveryLimits):
    """The part of a trigger that says in which order, how fast and when its deliveries go out."""

    key: str | None = Field(
        default=None,
        description="CEL over `event`, e.g. `event.data.customer`: deliveries of one key go out one after another, in"
        " the order in which their events were stored, across all workers. With `debounce` or `throttle`, what they"
        " count by. An absent field means no key, and no order; any other error is a dead letter.",
    )
    on_failure: Literal["stop", "continue"] = Field(
        default="stop",
        description="With `key`, when a delivery ends as a dead letter: `stop`: what follows of the same key waits"
        " until the dead letter is resolved, discarded or expired; `continue`: the next one goes out at once.",
    )
    delay: Duration = Field(
        default=timedelta(0), description="Wait so long after the event was received. Default: not at all."
    )
    not_before: str | None = Field(
        default=None,
        description="CEL over `event` that gives a time (a timestamp or RFC 3339 text); the delivery waits for it. An"
        " absent field means now; anything that is no time is a dead letter.",
    )
    blackout: tuple[WindowConfig, ...] = Field(
        default=(),
        description="Daily windows, one or a list, in which nothing is sent: deliveries wait until the window ends."
        " `of` has no meaning here.",
    )
    debounce: Duration | None = Field(
        default=None,
        description="Deliver only the last event of a key, once none has come for so long. The others end as"
        " `superseded`, which can be searched for. Without `key`, of the whole trigger.",
    )
    throttle: ThrottleConfig | None = Field(
        default=None, description="At most so many deliveries of a key in a time. Without `key`, of the whole trigger."
    )

    @field_validator("blackout", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, dict) else value

    @field_validator("delay", "debounce")
    @classmethod
    def _bounded(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and not timedelta(0) <= value <= LONGEST_DELAY:
            raise ValueError("must be at least 0s and at most 366d")
        return value

    @model_validator(mode="after")
    def _one_queue(self) -> "PressureConfig":
        if self.debounce is not None and self.throttle is not None:
            raise ValueError("has both `debounce` and `throttle`; choose one")
        if self.on_failure == "continue" and self.key is None:
            raise ValueError("`on_failure` has no meaning without `key`; give a key, or remove it")
        return self

    @property
    def queued(self) -> bool:
        """Whether deliveries go through the queue of their key."""
        return self.key is not None or self.debounce is not None or self.throttle is not None


class Pressure(BaseModel):
    """What was resolved for one event: when it may go out at the earliest, and which queue it stands in."""

    model_config = _FROZEN

    not_before: AwareDatetime | None = None
    blackout: tuple[WindowConfig, ...] = ()
    key: str | None = None  # of its queue; None: it stands in none
    on_failure: Literal["stop", "continue"] = "stop"
    debounce: Duration | None = None
    throttle: ThrottleConfig | None = None

    def earliest(self, now: datetime) -> datetime:
        """The first moment from `now` on at which it may go out: `now` itself where nothing holds it."""
        moment = max(now, self.not_before) if self.not_before is not None else now
        for _ in range(32):  # windows may follow one another; those that never end are looked at again then
            ends = [end_of(window, moment) for window in self.blackout if window.contains(moment)]
            if not ends:
                break
            moment = max(ends)
        return moment
