"""The restart rule, without a process."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from holdfast.embedded.supervise import Exited, LeaveAlone, Replace, RestartAfter, RestartPolicy, Running, decide

POLICY = RestartPolicy()


def ends(count: int, lived: timedelta = timedelta(seconds=1)) -> list[RestartAfter]:
    """Return the verdicts on `count` ends in a row."""
    verdicts, failures = [], 0
    for _ in range(count):
        verdict = decide(POLICY, Exited(1, lived), failures)
        assert isinstance(verdict, RestartAfter)
        verdicts.append(verdict)
        failures = verdict.failures
    return verdicts


def test_waits_double_and_are_bounded() -> None:
    """A server that crashes at once does not use up the machine, and is tried for ever."""
    waits = [verdict.wait.total_seconds() for verdict in ends(50)]
    assert waits[:4] == [0.5, 1, 2, 4]
    assert waits == sorted(waits)
    assert waits[-1] == POLICY.max.total_seconds()


def test_a_steady_life_forgives_what_was_before() -> None:
    """A crash after a day of work is answered at once, however many there were long ago."""
    verdict = decide(POLICY, Exited(-9, POLICY.steady_after), 40)
    assert verdict == RestartAfter(POLICY.initial, 1, "was killed (signal 9)")


@given(st.floats(0, 1e6), st.booleans())
def test_silence_is_borne_for_its_time_and_no_longer(seconds: float, answered: bool) -> None:
    """A server is replaced exactly when it has been silent longer than it may, which is longer while it starts."""
    patience = POLICY.silent_for if answered else POLICY.start_within
    verdict = decide(POLICY, Running(answered, timedelta(seconds=seconds)), 0)
    assert isinstance(verdict, LeaveAlone if timedelta(seconds=seconds) < patience else Replace)
