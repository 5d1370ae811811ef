"""Retry as a pure rule: how long to wait after a failed attempt, and when to stop."""

import hashlib
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field, model_validator

from holdfast.domain.quantities import Duration

MAX_RETRY_AFTER = timedelta(hours=24)  # what another side may ask of us; beyond it its wish is a mistake or an attack


class RetryPolicy(BaseModel):
    """How often and how long a delivery is tried before it becomes a dead letter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_attempts: int = Field(
        default=8,
        ge=1,
        le=1_000,
        description="Attempts in all, the first included. 1 dead-letters at the first failure.",
    )
    initial: Duration = Field(default=timedelta(seconds=1), description="Wait before the second attempt.")
    factor: float = Field(default=2.0, ge=1.0, le=10.0, description="Each wait is this many times the one before.")
    max: Duration = Field(
        default=timedelta(minutes=5),
        description="The longest wait between attempts; a target's Retry-After may exceed it.",
    )
    jitter: float = Field(
        default=0.2,
        ge=0.0,
        le=1.0,
        description="Share of each wait that is spread at random, so that failures do not return in step. 0 to 1.",
    )
    give_up_after: Duration = Field(
        default=timedelta(hours=24),
        description="Dead-letter when this much time has passed since the first attempt, whatever attempts are left.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> "RetryPolicy":
        if self.initial <= timedelta(0):
            raise ValueError("initial must be longer than 0s, or a broken target is hammered")
        if self.max < self.initial:
            raise ValueError("max must not be shorter than initial")
        if self.give_up_after <= timedelta(0):
            raise ValueError("give_up_after must be longer than 0s")
        return self


def backoff(policy: RetryPolicy, attempt: int, *, seed: str, retry_after: timedelta | None = None) -> timedelta:
    """Wait after failed attempt number `attempt` (from 1): exponential, capped, spread, never below `retry_after`.

    The spread is drawn from `seed` (a workflow id), so a replay and a second worker come to the same wait.
    """
    exponent = min(attempt - 1, 64)  # 10**64 is past every cap and still a float
    grown = min(policy.initial.total_seconds() * policy.factor**exponent, policy.max.total_seconds())
    draw = int.from_bytes(hashlib.sha256(f"{seed}#{attempt}".encode()).digest()[:8], "big") / 2**64
    wait = timedelta(seconds=grown * (1 - policy.jitter * draw))
    if retry_after is not None:
        wait = max(wait, min(retry_after, MAX_RETRY_AFTER))
    return wait
