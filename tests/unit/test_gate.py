import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from holdfast.errors import ErrorCode, Unavailable
from holdfast.telemetry.metrics import Metrics
from tests.conftest import assert_eventually
from workers.gate import FAILURES, Gate, GateState

AWAY = Unavailable(ErrorCode.TEMPORAL_UNAVAILABLE, "away")
WRONG = Unavailable(ErrorCode.TEMPORAL_MISCONFIGURED, "wrong")


class Probe:
    """A probe that answers as the test says."""

    def __init__(self) -> None:
        self.error: Unavailable | None = None
        self.calls = 0

    async def __call__(self) -> None:
        """Answer."""
        self.calls += 1
        if self.error is not None:
            raise self.error


@contextlib.asynccontextmanager
async def kept(probe: Callable[[], Awaitable[None]]) -> AsyncIterator[Gate]:
    """A gate that keeps itself."""
    gate = Gate(probe, Metrics())
    task = asyncio.create_task(gate.keep())
    try:
        yield gate
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def state_of(gate: Gate, state: GateState) -> bool:
    """Whether the gate is in that state."""
    return gate.state == state


async def test_it_is_shut_until_the_first_probe_succeeds() -> None:
    """Nothing is fetched before Temporal was found fit; then one message tries, and its success opens."""
    probe = Probe()
    probe.error = AWAY
    async with kept(probe) as gate:
        assert gate.slots(64) == 0
        await assert_eventually(lambda: _twice(probe))
        assert gate.reason == "away"
        probe.error = None
        await asyncio.wait_for(gate.passable(), 5)
        assert gate.slots(64) == 1
        gate.succeeded()
        assert gate.slots(64) == 64


async def test_failures_in_a_row_shut_it_and_a_success_between_does_not() -> None:
    """Only consecutive failures count; a misconfiguration counts at once."""
    probe = Probe()
    async with kept(probe) as gate:
        await gate.passable()
        gate.succeeded()
        for _ in range(FAILURES * 2):
            gate.failed(AWAY)
            gate.succeeded()
        assert await state_of(gate, GateState.OPEN)
        probe.error = AWAY
        for _ in range(FAILURES):
            gate.failed(AWAY)
        assert await state_of(gate, GateState.SHUT)
        probe.error = None
        await assert_eventually(lambda: state_of(gate, GateState.TRIAL))
        gate.succeeded()
        probe.error = WRONG
        gate.failed(WRONG)
        assert await state_of(gate, GateState.SHUT)
        assert gate.reason == "wrong"


async def test_a_failed_trial_shuts_it_again() -> None:
    """One failure during the trial is enough."""
    probe = Probe()
    async with kept(probe) as gate:
        await gate.passable()
        assert await state_of(gate, GateState.TRIAL)
        probe.error = AWAY
        gate.failed(AWAY)
        assert gate.slots(64) == 0


async def _twice(probe: Probe) -> bool:
    return probe.calls >= 2
