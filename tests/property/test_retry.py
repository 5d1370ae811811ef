from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.retry import MAX_RETRY_AFTER, RetryPolicy, backoff

seconds = st.floats(0.001, 3_600, allow_nan=False).map(lambda s: timedelta(seconds=s))


@st.composite
def policies(draw: st.DrawFn) -> RetryPolicy:
    """Any policy that the configuration accepts."""
    initial, more = draw(seconds), draw(seconds)
    factor, jitter = draw(st.floats(1, 10)), draw(st.floats(0, 1))
    return RetryPolicy(initial=initial, max=initial + more, factor=factor, jitter=jitter)


@given(policies(), st.integers(1, 1_000), st.text(max_size=20))
def test_wait_stays_within_its_bounds(policy: RetryPolicy, attempt: int, seed: str) -> None:
    """A wait is never negative, never above the cap, and never below what jitter may take off the initial wait."""
    wait = backoff(policy, attempt, seed=seed)
    slack = timedelta(microseconds=2)  # timedelta rounds to microseconds
    assert wait <= policy.max + slack
    assert wait >= policy.initial * (1 - policy.jitter) - slack


@given(policies(), st.integers(1, 50), st.text(max_size=20))
def test_wait_is_the_same_for_every_worker(policy: RetryPolicy, attempt: int, seed: str) -> None:
    """The spread is drawn from the seed, so a replay comes to the same wait."""
    assert backoff(policy, attempt, seed=seed) == backoff(policy, attempt, seed=seed)


@given(policies(), st.integers(1, 50), seconds)
def test_retry_after_is_honoured_up_to_a_day(policy: RetryPolicy, attempt: int, asked: timedelta) -> None:
    """Nobody is called again earlier than they asked, unless they asked for longer than MAX_RETRY_AFTER."""
    assert backoff(policy, attempt, seed="x", retry_after=asked) >= asked
    longest = max(MAX_RETRY_AFTER, policy.max)
    assert backoff(policy, attempt, seed="x", retry_after=timedelta(days=400)) <= longest


def test_without_jitter_the_series_is_exponential() -> None:
    """1 s, 2 s, 4 s, … up to the cap."""
    policy = RetryPolicy(initial=timedelta(seconds=1), factor=2, max=timedelta(seconds=10), jitter=0)
    assert [backoff(policy, n, seed="").total_seconds() for n in range(1, 6)] == [1, 2, 4, 8, 10]


def test_waits_of_different_deliveries_spread() -> None:
    """A thousand deliveries that fail together do not come back together."""
    policy = RetryPolicy()
    waits = {backoff(policy, 3, seed=f"delivery-{n}") for n in range(1_000)}
    assert len(waits) > 900
    assert max(waits) - min(waits) > timedelta(milliseconds=600)
