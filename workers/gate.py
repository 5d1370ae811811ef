"""The circuit breaker before Temporal: while Temporal is away or misconfigured, nothing is fetched and webhooks wait.

    open ──several failures in a row──▶ shut ──the probe succeeds──▶ trial ──one start succeeds──▶ open
                                         ▲                              │
                                         └──────── a failure ───────────┘

Flow: consume ◀─**gate**─ settle.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import StrEnum

from holdfast.errors import ErrorCode, HoldfastError
from holdfast.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

FAILURES = 3  # in a row, from any messages; one alone may be a frontend that restarts
FIRST_PROBE = timedelta(milliseconds=500)
LAST_PROBE = timedelta(seconds=5)


class GateState(StrEnum):
    """Whether messages are fetched."""

    OPEN = "open"  # all of them
    TRIAL = "trial"  # one at a time
    SHUT = "shut"  # none


class Gate:
    """Shut from the beginning: the first probe is what finds Temporal and makes the namespace right."""

    def __init__(self, probe: Callable[[], Awaitable[None]], metrics: Metrics) -> None:
        """`probe` raises a HoldfastError while nothing can be started."""
        self._probe = probe
        self._metrics = metrics
        self._passable = asyncio.Event()
        self._shut = asyncio.Event()
        self._shut.set()
        self._failures = 0
        self.state = GateState.SHUT
        self.reason = "Temporal has not been reached yet"
        metrics.circuit(True)

    async def passable(self) -> None:
        """Wait until messages may be fetched."""
        await self._passable.wait()

    def slots(self, most: int) -> int:
        """How many messages may be under way, of at most `most`."""
        return {GateState.OPEN: most, GateState.TRIAL: 1, GateState.SHUT: 0}[self.state]

    def succeeded(self) -> None:
        """Temporal accepted something."""
        self._failures = 0
        if self.state != GateState.OPEN and self._passable.is_set():
            self._turn(GateState.OPEN, "")

    def failed(self, error: HoldfastError) -> None:
        """Temporal did not accept something, and it was not the message's fault."""
        self._failures += 1
        misconfigured = error.code == ErrorCode.TEMPORAL_MISCONFIGURED
        if misconfigured or self.state == GateState.TRIAL or self._failures >= FAILURES:
            self._turn(GateState.SHUT, error.message)
            if misconfigured:
                # the alert to page on: no message can be started until somebody mends the deployment
                log.error("dispatcher.misconfigured", extra={"reason": error.message})

    async def keep(self) -> None:
        """Probe while shut, for ever."""
        while True:
            await self._shut.wait()
            wait = FIRST_PROBE
            while self.state == GateState.SHUT:
                try:
                    await self._probe()
                except HoldfastError as error:
                    if self.reason != error.message:
                        self.reason = error.message
                        log.warning("gate.still_shut", extra={"reason": error.message})
                    await asyncio.sleep(wait.total_seconds())
                    wait = min(wait * 2, LAST_PROBE)
                else:
                    self._turn(GateState.TRIAL, "")

    def _turn(self, state: GateState, reason: str) -> None:
        if state == self.state:
            return
        level = logging.WARNING if state == GateState.SHUT else logging.INFO
        log.log(level, "gate.turned", extra={"from": self.state, "to": state, "reason": reason})
        self.state, self.reason, self._failures = state, reason, 0
        for event, set_it in ((self._passable, state != GateState.SHUT), (self._shut, state == GateState.SHUT)):
            if set_it:
                event.set()
            else:
                event.clear()
        self._metrics.circuit(state == GateState.SHUT)
