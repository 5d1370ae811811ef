from datetime import timedelta

import pytest

from gateway.quotas import Quotas
from holdfast.domain.limits import SourceLimits
from holdfast.domain.quantities import format_rate, parse_rate
from holdfast.errors import ErrorCode, Unavailable


class Clock:
    """A monotonic clock that a test turns."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return seconds."""
        return self.now


def quotas(clock: Clock, requests: int = 100, **limits: object) -> Quotas:
    """Return the quotas of one source `a`."""
    return Quotas({"a": SourceLimits.model_validate(limits)}, requests, clock)


def taken(given: Quotas) -> bool:
    """Try one proven request that is done at once."""
    try:
        with given.of("a").working():
            return True
    except Unavailable:
        return False


def test_a_rate_holds_after_its_burst_and_comes_back() -> None:
    """Burst at once, then the rate and no more, for as long as it lasts."""
    clock = Clock()
    given = quotas(clock, rate="10/s", burst=4)
    assert [taken(given) for _ in range(6)] == [True] * 4 + [False] * 2
    got = 0
    for _ in range(1_000):
        clock.now += 0.01
        got += taken(given)
    assert 99 <= got <= 100
    clock.now += 1_000
    assert sum(taken(given) for _ in range(10)) == 4


def test_whoever_waits_as_long_as_he_was_told_is_taken() -> None:
    """Retry-After is the truth, in whole seconds."""
    for rate in ("1/s", "7/m", "3/h"):
        clock = Clock()
        given = quotas(clock, rate=rate, burst=1)
        assert taken(given)
        for _ in range(5):
            with pytest.raises(Unavailable) as refused:
                given.of("a").check_rate()
            wait = refused.value.retry_after
            assert wait is not None
            assert wait >= timedelta(seconds=1)
            clock.now += wait.total_seconds()
            assert taken(given)


def test_only_what_is_proven_draws() -> None:
    """Asking whether there is room, as every request does before its body is read, uses nothing up."""
    given = quotas(Clock(), rate="2/m")
    for _ in range(100):
        given.of("a").check_rate()
    assert [taken(given) for _ in range(3)] == [True, True, False]


def test_concurrency_is_bounded_and_given_back() -> None:
    """One more than may be at work is refused and draws nothing; an error gives the place back too."""
    given = quotas(Clock(), rate="3/h", concurrency=1)
    quota = given.of("a")
    with quota.working():
        with pytest.raises(Unavailable) as refused, quota.working():
            pass
        assert refused.value.code is ErrorCode.SOURCE_TOO_CONCURRENT
    with pytest.raises(ZeroDivisionError), quota.working():
        raise ZeroDivisionError
    assert quota.at_work == 0
    assert [taken(given) for _ in range(2)] == [True, False]


def test_the_process_is_bounded() -> None:
    """What is too much for the process is 503, whosever it is."""
    given = quotas(Clock(), requests=1)
    with given.whole():
        with pytest.raises(Unavailable) as refused, given.whole():
            pass
        assert refused.value.code is ErrorCode.GATEWAY_BUSY
    assert given.at_work == 0


@pytest.mark.parametrize("text", ["100/s", "50/m", "1/h", "7/d"])
def test_a_rate_is_read_and_written(text: str) -> None:
    """As people write it, both ways."""
    assert format_rate(parse_rate(text)) == text


@pytest.mark.parametrize(
    "value", ["", "100", 100, "0/s", "-1/s", "1.5/s", "1/w", "1 / s", "1/ms", None, "9999999999/s"]
)
def test_what_is_no_rate_is_refused(value: object) -> None:
    """With a text that says how to write one."""
    with pytest.raises(ValueError, match="is not a rate"):
        parse_rate(value)


def test_a_burst_needs_a_rate() -> None:
    """Alone it means nothing."""
    with pytest.raises(ValueError, match="without `rate`"):
        SourceLimits(burst=4)
