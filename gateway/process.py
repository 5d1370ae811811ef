"""The gateway as a process: starts while NATS is away, becomes ready by itself, drains when it is asked to stop.

start   listen → open the outbox, if any → connect to the bus in the background → verify streams and fsync → ready
stop    not ready → stop accepting → requests under way finish → outbox closes, the bus drains → the end, in under 10 s
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator
from datetime import timedelta

from gateway.app import WebhookApp, ops_app
from gateway.confirm import Confirm, SubscriptionConfirmer
from gateway.connections import Connections, Uncounted, allow_connections
from gateway.drain import Drain
from gateway.hooks import Hooks
from gateway.key_sets import KeySets
from gateway.limits import DRAIN, OPS_CONNECTIONS
from gateway.pipeline import Pipeline
from gateway.publish import BusStore, Store
from gateway.quotas import Quotas
from gateway.readiness import Readiness
from gateway.rejections import RejectionLog
from gateway.routes import Routes
from gateway.server import Server, listen, server_of
from gateway.spool import BusOrOutbox, outbox_of
from gateway.status import Status
from gateway.taking import Taking
from gateway.waiting import Waiting
from holdfast.bus.connect import Bus
from holdfast.bus.fsync import verify_fsync
from holdfast.bus.news import Newsroom
from holdfast.bus.publish import EventPublisher
from holdfast.bus.streams import EVENTS, stream_named
from holdfast.bus.topology import ensure_streams
from holdfast.clock import Clock, SystemClock
from holdfast.domain.limits import GatewayLimits
from holdfast.settings.access import load_access
from holdfast.settings.file import LoadedConfig
from holdfast.settings.live import LiveConfig
from holdfast.settings.process import ProcessSettings
from holdfast.settings.secrets import Secrets
from holdfast.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

_GRACE = 2.0  # s beyond DRAIN before a server task is cancelled


FIXED = ("gateway", "api")  # of holdfast.yaml: read at the start only
FLUSH_REJECTIONS = timedelta(milliseconds=500)


class Gateway:
    """One gateway: both ports, the bus and the task that keeps it ready."""

    def __init__(
        self,
        settings: ProcessSettings,
        loaded: LoadedConfig,
        metrics: Metrics,
        clock: Clock | None = None,
        confirm: Confirm | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self.live = LiveConfig(loaded, metrics, FIXED, actions=False)
        self._confirm = confirm or SubscriptionConfirmer()
        self._settings = settings
        self.bus = Bus.from_settings(settings, "holdfast-gateway")

        async def prepare() -> None:
            await ensure_streams(self.bus, self.live.config.bus)
            await verify_fsync(self.bus, settings, self.live.config.bus)

        self.outbox = outbox_of(loaded.config.gateway, settings.data_dir)
        self.readiness = Readiness(self.bus, prepare, self.outbox, self.live.facts)
        publisher = EventPublisher(self.bus, self._stream_of)
        store: Store = BusStore(publisher, self.readiness)
        self._drain: Drain | None = None
        if self.outbox is not None:
            self._drain = Drain(self.outbox, publisher, self.bus, self.readiness, metrics)
            if loaded.config.gateway.on_unavailable == "spool":
                store = BusOrOutbox(publisher, self.readiness, self.outbox, metrics)
        routes = Routes(loaded.config.sources, Secrets(loaded.file.resolve().parent), loaded.config.gateway.proxies)
        self._key_sets = KeySets(clock, routes.key_sets)
        limits = loaded.config.gateway.limits
        of_sources = {name: source.limits for name, source in loaded.config.sources.items()}
        quotas = Quotas(of_sources, limits.requests, clock.monotonic)
        status = Status(self.bus, settings, load_access(loaded.config.api, settings.data_dir), clock)
        self._waiting = Waiting(Newsroom(self.bus), status.event, clock)
        self._rejections = RejectionLog(self.bus, clock, metrics)
        pipeline = Pipeline(store, clock, self._confirm, quotas, self._waiting, self._key_sets)
        hooks = Hooks(routes, pipeline, metrics, clock, self._rejections)
        limits = limits.model_copy(update={"connections": allow_connections(limits.connections)})
        app = WebhookApp(hooks, routes, self.readiness, status)
        self.live.on_change(Taking(self.bus, self.live, routes, quotas, self._key_sets, app).prepare)
        self._web = server_of(app, Connections(limits, metrics))
        of_ops = Connections(GatewayLimits(connections=OPS_CONNECTIONS), Uncounted())
        self._ops = server_of(ops_app(self.readiness, metrics), of_ops)
        self.port = 0
        self.ops_port = 0

    def _stream_of(self, source: str) -> str:
        config = self.live.config.sources.get(source)
        return EVENTS if config is None else stream_named(config.stream)  # a source that is gone: from the outbox

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the block runs, then drain.

        Raises RejectedInput `config.invalid` where a port is taken, or the outbox is another gateway's.
        """
        web_socket, ops_socket = await self._claim()
        await self.bus.start()
        keeping = [
            asyncio.create_task(self.readiness.keep(), name="readiness"),
            asyncio.create_task(self._key_sets.keep(), name="key sets"),
            asyncio.create_task(self._rejections.keep(), name="rejections"),
            asyncio.create_task(self.live.keep(), name="configuration"),
        ]
        if self._drain is not None:
            keeping.append(asyncio.create_task(self._drain.keep(), name="outbox"))
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
            self._waiting.drain()
            log.info("gateway.draining")
            await _stop(self._web, serving[0])
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
            await self._close_outbox()
            await self._rejections.flush(FLUSH_REJECTIONS)
            await self._confirm.close()
            await self._key_sets.close()
            await self.bus.close()
            await _stop(self._ops, serving[1])
            log.info("gateway.stopped")

    async def _claim(self) -> tuple[socket.socket, socket.socket]:
        """Take what nobody else may have: both ports and the outbox, or none of them."""
        settings = self._settings
        with contextlib.ExitStack() as taken:
            web = taken.enter_context(listen(settings.gateway_host, settings.gateway_port))
            ops = taken.enter_context(listen(settings.gateway_ops_host, settings.gateway_ops_port))
            if self.outbox is not None:
                await self.outbox.start()
            taken.pop_all()
        self.port, self.ops_port = web.getsockname()[1], ops.getsockname()[1]
        return web, ops

    async def _close_outbox(self) -> None:
        if self.outbox is None:
            return
        await self.outbox.close()
        if left := self.outbox.state.events:
            log.warning("spool.left", extra={"events": left})


async def run(settings: ProcessSettings, loaded: LoadedConfig, metrics: Metrics | None = None) -> None:
    """Serve until SIGTERM or SIGINT; a second signal ends the process at once."""
    gateway = Gateway(settings, loaded, metrics or Metrics())
    async with gateway.running():
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, gateway.live.ask)
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
