"""What to do with a child that ended or no longer answers: a pure rule.

Flow: processes → **decide** → service acts. The wait between restarts grows and is bounded; trying never ends,
because a stack that gave up at night would be found in the morning.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How patient the supervisor is."""

    initial: timedelta = timedelta(milliseconds=500)  # wait before the first restart
    factor: float = 2.0
    max: timedelta = timedelta(seconds=30)
    steady_after: timedelta = timedelta(seconds=60)  # who lived this long starts anew at `initial`
    start_within: timedelta = timedelta(seconds=60)  # from the start to the first sign of life
    silent_for: timedelta = timedelta(seconds=10)  # from the last sign of life to a restart


@dataclass(frozen=True, slots=True)
class Running:
    """It runs; `silent_for` is the time since it last answered, or since its start if it never did."""

    answered: bool
    silent_for: timedelta


@dataclass(frozen=True, slots=True)
class Exited:
    """It ended with `code` (negative: killed by that signal) after `lived`."""

    code: int
    lived: timedelta


Observation = Running | Exited


@dataclass(frozen=True, slots=True)
class LeaveAlone:
    """Nothing to do."""


@dataclass(frozen=True, slots=True)
class Replace:
    """It runs but is of no use: kill it; its end is then observed."""

    reason: str


@dataclass(frozen=True, slots=True)
class RestartAfter:
    """Start it again after `wait`; `failures` is the count to hand in next time."""

    wait: timedelta
    failures: int
    reason: str


Verdict = LeaveAlone | Replace | RestartAfter


def decide(policy: RestartPolicy, observation: Observation, failures: int) -> Verdict:
    """Return what to do; `failures` counts the ends in a row without a steady time between them."""
    if isinstance(observation, Running):
        patience = policy.silent_for if observation.answered else policy.start_within
        if observation.silent_for < patience:
            return LeaveAlone()
        return Replace(f"has not been healthy for {observation.silent_for.total_seconds():.0f} s")
    before = 0 if observation.lived >= policy.steady_after else failures
    grown = policy.initial.total_seconds() * policy.factor ** min(before, 32)
    wait = timedelta(seconds=min(grown, policy.max.total_seconds()))
    return RestartAfter(wait, before + 1, describe_exit(observation.code))


def describe_exit(code: int) -> str:
    """`ended (exit code 1)` or `was killed (signal 9)`."""
    return f"was killed (signal {-code})" if code < 0 else f"ended (exit code {code})"
