"""Whether the gateway may say 2xx: the bus is connected, its streams are as planned, it syncs before it acknowledges.

One task prepares the bus, again and again until it succeeds, and verifies it anew after every reconnection.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.limits import PREPARE_AGAIN, VERIFY_EVERY
from gateway.outbox import Outbox
from holdfast.bus.connect import Bus
from holdfast.errors import ErrorCode, HoldfastError, Unavailable

log = logging.getLogger(__name__)

AWAY = frozenset({ErrorCode.BUS_UNAVAILABLE, ErrorCode.BUS_TIMEOUT, ErrorCode.BUS_FULL, ErrorCode.NOT_READY})
"""Troubles of the bus that pass by themselves, so an outbox bridges them: not there, silent (the same identity later is
safe), no room, or not verified since it was lost. Not `bus.misconfigured`: somebody must mend the deployment, and a
gateway that is ready all the same would hide it until the outbox is full."""


class Readiness:
    """The state that health endpoints show and that intake obeys."""

    def __init__(
        self,
        bus: Bus,
        prepare: Callable[[], Awaitable[None]],
        outbox: Outbox | None = None,
        config: Callable[[], dict[str, object]] = dict,
    ) -> None:
        """`config` describes the configuration in force."""
        self._config = config
        self._bus = bus
        self._outbox = outbox
        self._prepare = prepare
        self._problem: HoldfastError | None = Unavailable(ErrorCode.NOT_READY, "the bus has not been verified yet")
        self._lost = asyncio.Event()
        self._draining = False
        bus.on_loss(self._remember_loss)

    def intake_problem(self) -> Unavailable | None:
        """Why an event cannot be taken now, known without asking the bus; None where it can."""
        if not self._bus.is_connected:
            return Unavailable(ErrorCode.BUS_UNAVAILABLE, "The event bus is away.")
        if self._problem is not None:
            return Unavailable(self._problem.code, "The event bus is not ready.")
        return None

    def problem(self) -> HoldfastError | None:
        """Why the process should get no traffic, with the details for operators; None where it is ready."""
        if self._draining:
            return Unavailable(ErrorCode.NOT_READY, "the process is shutting down")
        problem = self._bus_problem()
        if problem is None or self._outbox is None or problem.code not in AWAY:
            return problem
        spool = self._outbox.problem
        return None if spool is None else Unavailable(problem.code, f"{problem.message}; {spool.message}")

    def facts(self) -> dict[str, Any]:
        """Where there is an outbox: the state of the bus and of it, for "ready" alone does not say which one takes."""
        config = {"config": self._config()}
        if self._outbox is None:
            return config
        problem, trouble, state = self._bus_problem(), self._outbox.problem, self._outbox.state
        outbox = {
            "state": "ready" if trouble is None else trouble.message,
            "events": state.events,
            "bytes": state.bytes,
            "oldest_seconds": round(self._outbox.oldest_age, 3),
        }
        return {"bus": "ready" if problem is None else problem.message, "outbox": outbox, **config}

    def _bus_problem(self) -> HoldfastError | None:
        if not self._bus.is_connected:
            return Unavailable(ErrorCode.BUS_UNAVAILABLE, f"not connected to NATS: {self._bus.reason}")
        return self._problem

    def drain(self) -> None:
        """Become not ready for good; what is under way may still finish."""
        self._draining = True

    async def keep(self) -> None:
        """Prepare the bus until it is ready, then keep verifying it; runs until it is cancelled."""
        first, longest = PREPARE_AGAIN
        wait = first
        while True:
            await self._until_connected()
            self._lost.clear()
            problem = await self._attempt()
            if self._lost.is_set():
                continue  # while it was being verified
            if problem is None or self._may_pass(problem):
                wait = first
                self._show(None)
                await self._until_it_should_be_verified_again()
            else:
                self._show(problem)
                await asyncio.sleep(wait.total_seconds())
                wait = min(wait * 2, longest)

    def _may_pass(self, problem: HoldfastError) -> bool:
        """Whether intake goes on: what was verified on this connection may once be too slow to be verified again."""
        return self._problem is None and problem.code is not ErrorCode.BUS_MISCONFIGURED

    async def _attempt(self) -> HoldfastError | None:
        try:
            await self._prepare()
        except HoldfastError as error:
            return error
        except Exception:
            log.exception("gateway.prepare_failed")
            return Unavailable(ErrorCode.DEFECT, "preparing the bus failed; the log says how")
        return None

    def _show(self, problem: HoldfastError | None) -> None:
        before, self._problem = self._problem, problem
        if problem is None and before is not None:
            log.info("gateway.ready")
        elif problem is not None and (before is None or before.code != problem.code):
            log.warning("gateway.not_ready", extra={"code": str(problem.code), "reason": problem.message})

    async def _until_connected(self) -> None:
        while not self._bus.is_connected:
            with contextlib.suppress(Unavailable):
                await self._bus.connected(VERIFY_EVERY)

    async def _until_it_should_be_verified_again(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(VERIFY_EVERY.total_seconds()):
                await self._lost.wait()

    def _remember_loss(self) -> None:
        self._lost.set()
        self._problem = Unavailable(ErrorCode.NOT_READY, "the bus has not been verified since it was lost")
