"""One supervised server: kept running until it is stopped on purpose.

Flow: stack → **service** → processes; what to do with a child is decided by `supervise.decide`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from holdfast.embedded.processes import ChildProcess, Command, spawn, tail
from holdfast.embedded.supervise import Exited, Replace, RestartAfter, RestartPolicy, Running, decide
from holdfast.errors import Defect, ErrorCode, Unavailable

Probe = Callable[[], Awaitable[bool]]
Tell = Callable[[str], None]

PROBE_STARTING = 0.1  # seconds between probes until it is ready
PROBE_READY = 2.0  # and afterwards
EARLY_ENDS = 3  # ends before it was ever ready: more tries would not help, the log does


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One server. `ready`: may be used; `alive`: need not be replaced (without its bus a gateway is only alive)."""

    name: str
    command: Command
    ready: Probe
    alive: Probe
    policy: RestartPolicy
    grace: timedelta  # from SIGTERM to SIGKILL


class Service:
    """Starts, watches, restarts and stops one server."""

    def __init__(self, spec: ServiceSpec, tell: Tell) -> None:
        self.spec = spec
        self.restarts = 0
        self._tell = tell
        self._child: ChildProcess | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._was_ready = False

    @property
    def pid(self) -> int | None:
        """Process id, or None while it does not run."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    @property
    def supervised(self) -> bool:
        """Whether it is meant to run."""
        return self._keeper is not None and not self._keeper.done()

    async def start(self) -> None:
        """Start it and wait until it is ready. Raises Unavailable `not_ready` with the end of its log."""
        if not self.supervised:
            self._was_ready = False
            self._ready.clear()
            self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.spec.name}")
        try:
            await self.wait_ready()
        except Unavailable:
            await self.stop()  # what did not come up is not left half up
            raise

    async def wait_ready(self) -> None:
        """Wait until it is ready, at most the policy's `start_within`. Raises Unavailable; it goes on being kept."""
        if self._keeper is None:
            raise Defect(ErrorCode.DEFECT, f"{self.spec.name} was not started")
        waiting = asyncio.create_task(self._ready.wait())
        within = self.spec.policy.start_within.total_seconds()
        try:
            await asyncio.wait({waiting, self._keeper}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._keeper.done():
            await self._keeper  # raises why it gave up
        if not self._ready.is_set():
            raise self._failed(f"was not ready within {within:.0f} s")

    async def stop(self) -> None:
        """Stop it on purpose: it stays down until `start`."""
        await self._end_supervision()
        if self._child is not None:
            await self._child.stop(self.spec.grace)
        self._ready.clear()

    async def kill(self, *, restart: bool = True) -> None:
        """SIGKILL it. The supervisor starts it again, unless `restart` is False."""
        if not restart:
            await self._end_supervision()
        if self._child is not None:
            self._ready.clear()
            self._child.kill()
            if not restart:
                await self._child.stop(timedelta(0))

    def hang_up(self) -> None:
        """SIGHUP: it reads its configuration again."""
        if self._child is not None:
            self._child.hang_up()

    def kill_now(self) -> None:
        """SIGKILL it without waiting for anything: the last resort when we are leaving ourselves."""
        if self._child is not None:
            self._child.kill()

    async def _end_supervision(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        keeper.cancel()
        await asyncio.wait({keeper})

    async def _keep(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            self._child = spawn(self.spec.command)
            code = await self._until_ended(self._child)
            self._ready.clear()
            verdict = decide(self.spec.policy, Exited(code, timedelta(seconds=time.monotonic() - began)), failures)
            if not isinstance(verdict, RestartAfter):
                continue
            failures = verdict.failures
            if not self._was_ready and failures >= EARLY_ENDS:
                raise self._failed(f"{verdict.reason} {failures} times before it was ready")
            wait = verdict.wait.total_seconds()
            self._tell(
                f"{self.spec.name} {verdict.reason}; starting it again in {wait:.1f} s (see {self.spec.command.log})"
            )
            await asyncio.sleep(wait)
            self.restarts += 1

    async def _until_ended(self, child: ChildProcess) -> int:
        answered, last = False, time.monotonic()
        while not await child.ended(timedelta(seconds=PROBE_READY if self._ready.is_set() else PROBE_STARTING)):
            if await self.spec.alive():
                answered, last = True, time.monotonic()
                if not self._ready.is_set() and await self.spec.ready():
                    self._was_ready = True
                    self._ready.set()
            silent = timedelta(seconds=time.monotonic() - last)
            verdict = decide(self.spec.policy, Running(answered, silent), 0)
            if isinstance(verdict, Replace):
                self._tell(f"{self.spec.name} {verdict.reason}; replacing it")
                child.kill()
        code = child.poll()
        return 0 if code is None else code

    def _failed(self, what: str) -> Unavailable:
        end = tail(self.spec.command.log)[-600:]
        return Unavailable(
            ErrorCode.NOT_READY, f"{self.spec.name} {what}; the end of {self.spec.command.log}:\n{end or '(empty)'}"
        )
