"""How much the gateway takes at once and over time: of one source, and of all that connect."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from holdfast.domain.quantities import Rate


class SourceLimits(BaseModel):
    """What one source may send. More is answered 429 with Retry-After, and is not stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: Rate | None = Field(
        default=None,
        description="Requests of this source over time, like `100/s` or `1000/m`; more are answered 429 with"
        " Retry-After. Only verified requests count, so nobody without the secret can use it up; a batch of CloudEvents"
        " is one request. Each gateway process counts for itself. The danger: senders that do not repeat after 429"
        " (GitHub never does) lose what is above it. Default: no limit.",
    )
    burst: int | None = Field(
        default=None,
        ge=1,
        description="How many requests may come at once after a pause before `rate` holds them. Default: as many as"
        " `rate` names, so 100 for `100/s`.",
    )
    concurrency: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Verified requests of this source that may be in storing at once in one gateway process; more are"
        " answered 429 with Retry-After. It keeps one source from taking all of `gateway.limits.requests`.",
    )

    @model_validator(mode="after")
    def _burst_of_a_rate(self) -> "SourceLimits":
        if self.burst is not None and self.rate is None:
            raise ValueError("`burst` has no meaning without `rate`; give a rate, or remove it")
        return self


class GatewayLimits(BaseModel):
    """What one gateway process holds at once, whoever sends it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int = Field(
        default=4_000,
        ge=1,
        description="Requests whose body has arrived and that are not answered yet; more are answered 503 with"
        " Retry-After. A bus that answers keeps this number small; it bounds what waits for a slow one.",
    )
    connections: int = Field(
        default=8_000,
        ge=16,
        description="Open connections on the public port. When so many are open, a new one takes the place of the one"
        " that has kept the gateway waiting longest for its headers, its body or its next request; so slow clients"
        " end, and not those behind them. Never more than the process's file descriptors allow.",
    )
    connections_per_address: int | None = Field(
        default=None,
        ge=1,
        description="Open connections of one client address; further ones are closed at once. Set it only where clients"
        " reach the gateway directly: behind a proxy or load balancer all of them come from its address."
        " Default: no limit.",
    )
