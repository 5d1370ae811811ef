"""The gateway as a process: starts while NATS is away, becomes ready by itself, drains when it is asked to stop.

start   listen → connect to the bus in the background → verify streams and fsync → ready
stop    not ready → stop accepting → requests under way finish → the bus drains → the end, in under 10 s
"""

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import AsyncIterator

from gateway.app import WebhookApp, ops_app
from gateway.confirm import SubscriptionConfirmer
from gateway.hooks import Hooks
from gateway.limits import DRAIN
from gateway.pipeline import Pipeline
from gateway.readiness import Readiness
from gateway.routes import Routes
from gateway.server import Server, listen, server_of
from holdfast.bus.connect import Bus
from holdfast.bus.fsync import verify_fsync
from holdfast.bus.publish import EventPublisher
from holdfast.bus.topology import ensure_streams
from holdfast.clock import Clock, SystemClock
from holdfast.settings.file import LoadedConfig
from holdfast.settings.process import ProcessSettings
from holdfast.settings.secrets import Secrets
from holdfast.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

_GRACE = 2.0  # s beyond DRAIN before a server task is cancelled


class Gateway:
    """One gateway: both ports, the bus and the task that keeps it ready."""

    def __init__(
        self, settings: ProcessSettings, loaded: LoadedConfig, metrics: Metrics, clock: Clock | None = None
    ) -> None:
        clock = clock or SystemClock()
        bus_config = loaded.config.bus
        self._settings = settings
        self.bus = Bus.from_settings(settings, "holdfast-gateway")

        async def prepare() -> None:
            await ensure_streams(self.bus, bus_config)
            await verify_fsync(self.bus, settings, bus_config)

        self.readiness = Readiness(self.bus, prepare)
        routes = Routes(loaded.config.sources, Secrets(loaded.file.resolve().parent))
        pipeline = Pipeline(EventPublisher(self.bus), self.readiness, clock, SubscriptionConfirmer())
        hooks = Hooks(routes, pipeline, metrics, clock)
        self._web = server_of(WebhookApp(hooks, routes, self.readiness))
        self._ops = server_of(ops_app(self.readiness, metrics))
        self.port = 0
        self.ops_port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the block runs, then drain. Raises RejectedInput `config.invalid` where a port is taken."""
        settings = self._settings
        web_socket = listen(settings.gateway_host, settings.gateway_port)
        try:
            ops_socket = listen(settings.gateway_ops_host, settings.gateway_ops_port)
        except BaseException:
            web_socket.close()
            raise
        self.port, self.ops_port = web_socket.getsockname()[1], ops_socket.getsockname()[1]
        await self.bus.start()
        keeping = asyncio.create_task(self.readiness.keep(), name="readiness")
        serving = [
            asyncio.create_task(self._web.serve([web_socket]), name="webhooks"),
            asyncio.create_task(self._ops.serve([ops_socket]), name="ops"),
        ]
        try:
            await asyncio.gather(self._web.until_started(), self._ops.until_started())
            log.info("gateway.listening", extra={"port": self.port, "ops_port": self.ops_port})
            yield
        finally:
            self.readiness.drain()
            log.info("gateway.draining")
            await _stop(self._web, serving[0])
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await self.bus.close()
            await _stop(self._ops, serving[1])
            log.info("gateway.stopped")


async def run(settings: ProcessSettings, loaded: LoadedConfig, metrics: Metrics | None = None) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends the process at once."""
    gateway = Gateway(settings, loaded, metrics or Metrics())
    async with gateway.running():
        gc.freeze()  # what lives as long as the process need not be looked at again at every collection
        await _asked_to_stop()


async def _asked_to_stop() -> None:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, asked.set)
    try:
        await asked.wait()
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def _stop(server: Server, task: asyncio.Task[None]) -> None:
    server.should_exit = True
    done, _ = await asyncio.wait({task}, timeout=DRAIN.total_seconds() + _GRACE)
    if not done:
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
