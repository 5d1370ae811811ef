"""The worker as a process: dispatcher, escalator, janitor and the Temporal worker on one connection each.

start   listen → connect to both in the background → verify bus and namespace → consume and poll → ready
stop    stop fetching → what is under way is settled, activities end → the bus drains → the end, in under 12 s

It starts while NATS or Temporal are away, waits for them, and heals when they return.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

from httpx import AsyncClient
from temporalio.client import Client
from temporalio.worker import Worker

from activities import registry
from activities.admission import Admission
from activities.http import new_client
from holdfast.bus.connect import Bus
from holdfast.bus.consume import Consumer
from holdfast.bus.controls import Controls
from holdfast.bus.fsync import verify_fsync
from holdfast.bus.registers import ensure_registers
from holdfast.bus.running import Telling
from holdfast.bus.streams import ESCALATOR, ConsumerPlan
from holdfast.bus.topology import ensure_consumer, ensure_streams, ready_for
from holdfast.clock import SystemClock
from holdfast.contracts.names import TASK_QUEUE
from holdfast.domain.triggers import TriggerConfig
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput
from holdfast.settings.access import load_access
from holdfast.settings.file import LoadedConfig
from holdfast.settings.live import LiveConfig
from holdfast.settings.process import ProcessSettings
from holdfast.settings.secrets import Secrets
from holdfast.telemetry.metrics import Metrics
from holdfast.telemetry.temporal import temporal_interceptors
from holdfast.temporal.connect import RETRY_WAIT, connect
from holdfast.temporal.namespace import ensure_namespace
from holdfast.temporal.whereabouts import ui_address
from workers.answer import answering
from workers.api.app import api_app, api_server
from workers.api.desk import Desk
from workers.body_janitor import BodyJanitor
from workers.escalate import Escalator
from workers.gate import Gate, GateState
from workers.health import OpsServer, listen, ops_server
from workers.housekeeping import keep_house
from workers.replayer import WorkflowOptions
from workers.sampler import sample
from workers.schedule_watch import keep_watch
from workers.settle import Dispatcher
from workers.streams import EventStreams, Loops

log = logging.getLogger(__name__)

DISPATCH_SLOTS = 32  # messages settled at a time; below WORKFLOW_TASKS, so that every start can be eager
ESCALATE_SLOTS = 16
WORKFLOW_TASKS = 40  # a task holds its slot while its local activity runs
ACTIVITIES = 100
CACHED_WORKFLOWS = 300  # each sandboxed run costs memory; a case that leaves the cache is replayed when it is needed
FIXED = (
    "api",
    "notifiers",
)  # of holdfast.yaml: read at the start only; schedules are applied by `holdfast schedules apply`
GRACE = timedelta(seconds=9)  # for activities under way
SETTLE_WITHIN = timedelta(seconds=5)
STOP_WITHIN = timedelta(seconds=12)


class WorkerProcess:
    """Everything that one worker process runs."""

    def __init__(self, settings: ProcessSettings, loaded: LoadedConfig, metrics: Metrics) -> None:
        self._settings = settings
        self.live = LiveConfig(loaded, metrics, FIXED)
        self._metrics = metrics
        self.bus = Bus.from_settings(settings, "holdfast-worker")
        self.gate: Gate | None = None
        self.admission: Admission | None = None
        self._consumers: dict[str, Consumer] = {}
        self._streams: EventStreams | None = None
        self._polling = False
        self._stopping = False
        self._synced = False
        self.ops_port = 0
        self.api_port = 0
        self._client: Client | None = None

    def reasons(self) -> dict[str, str]:
        """Why it is not ready, by component; empty when it is."""
        why = {}
        if self._stopping:
            why["process"] = "stopping"
        if not self.bus.is_connected:
            why["bus"] = self.bus.reason
        if self.gate is None:
            why["temporal"] = "not connected yet"
        elif self.gate.state == GateState.SHUT:
            why["temporal"] = self.gate.reason
        why |= {name: consumer.fault for name, consumer in self._consumers.items() if consumer.fault}
        if self._streams is not None:
            why |= self._streams.faults or ({} if self._streams.consumers else {"dispatcher": "not consuming yet"})
        if not self._polling:
            why["workflows"] = "the Temporal worker does not poll yet"
        return why

    async def serve(self, stop: asyncio.Event) -> None:
        """Run until `stop`. Raises whatever ends a part that must not end."""
        servers = self._listen()
        serving = [asyncio.create_task(server.serve([sock]), name="http") for server, sock in servers]
        await self.bus.start()
        log.info("worker.listening", extra={"ops_port": self.ops_port, "api_port": self.api_port})
        try:
            client = await _first(stop, self._temporal())
            if client is not None:
                self._client = client
                await self._work(client, stop)
        finally:
            self._stopping = True
            await self.bus.close()
            for server, _ in servers:
                server.should_exit = True
            await asyncio.wait(serving, timeout=2)
            await _cancel(serving)
            log.info("worker.stopped")

    def _listen(self) -> list[tuple[OpsServer, socket.socket]]:
        """Take the ports, both or none, and return the server of each. Raises RejectedInput `config.invalid`."""
        settings = self._settings
        ops = listen(settings.worker_ops_host, settings.worker_ops_port)
        self.ops_port = ops.getsockname()[1]
        servers = [(ops_server(self.reasons, self.live, self._metrics), ops)]
        if not settings.worker_api:
            return servers
        try:
            api = listen(settings.worker_api_host, settings.api_port)
        except RejectedInput:
            ops.close()
            raise
        self.api_port = api.getsockname()[1]
        desk = Desk(self.bus, self.live, SystemClock(), ui_address(settings), lambda: self._client)
        access = load_access(self.live.config.api, settings.data_dir)
        return [*servers, (api_server(api_app(desk, access, settings, self._metrics)), api)]

    async def _temporal(self) -> Client:
        """Connect to Temporal, however long it is away. Raises RejectedInput for a configuration that cannot work."""
        said = ""
        while True:
            try:
                return await connect(self._settings, interceptors=temporal_interceptors())
            except HoldfastError as error:
                if isinstance(error, RejectedInput):
                    raise
                if error.message != said:
                    said = error.message
                    log.warning("worker.temporal_away", extra={"reason": said})
                await asyncio.sleep(RETRY_WAIT.total_seconds())

    async def _work(self, client: Client, stop: asyncio.Event) -> None:
        settings, live, metrics = self._settings, self.live, self._metrics
        retention = timedelta(days=settings.temporal_retention_days)
        gate = self.gate = Gate(
            lambda: ensure_namespace(client, retention, search_attributes(live.config.triggers)), metrics
        )

        async def prepare(new: LoadedConfig) -> Callable[[], None]:
            """Make what a new configuration needs; nothing of it shows before it is in force."""
            await ready_for(self.bus, live.config.bus, new.config.bus)
            if (wanted := search_attributes(new.config.triggers)) != search_attributes(live.config.triggers):
                await ensure_namespace(client, retention, wanted)
            return streams.refresh

        live.on_change(prepare)
        controls = Controls(self.bus, metrics.paused)
        admission = self.admission = Admission(self.bus, live, metrics, SystemClock(), controls)
        dispatcher = Dispatcher(self.bus, client, live, gate, metrics, admission)
        escalator = Escalator(client, gate, metrics)
        loops = Loops(self.bus, gate, metrics, dispatcher.handle, self._repair, DISPATCH_SLOTS)
        streams = self._streams = EventStreams(loops, lambda: live.config.bus)
        self._consumers = {
            "escalator": Consumer(
                self.bus, ESCALATOR, handle=escalator.handle, slots=lambda: gate.slots(ESCALATE_SLOTS)
            ),
        }
        http = new_client()
        worker = self._worker(client, self._activities(http, admission))
        fetching = [
            _task(gate.keep()),
            _task(streams.run()),
            _task(live.keep()),
            _task(Telling(self.bus, lambda: live.loaded.text).run()),
            _task(self._consumers["escalator"].run(gate.passable, self._repair(ESCALATOR))),
            _task(BodyJanitor(self.bus, client).run()),
            _task(controls.watch()),
            _task(sample(self.bus, client, metrics)),
            _task(keep_house(client, gate, metrics, live.config.sweeper)),
            _task(answering(self.bus, client, live, ui_address(settings)).run()),
            _task(keep_watch(client, gate)),
        ]
        polling = _task(self._poll(worker, gate))
        try:
            await _first_of([_task(stop.wait()), polling, *fetching])
        finally:
            self._stopping = True
            log.info("worker.draining")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_WITHIN.total_seconds() - 1.5):
                    await _cancel(fetching)
                    await asyncio.gather(
                        streams.finish(SETTLE_WITHIN), *(c.finish(SETTLE_WITHIN) for c in self._consumers.values())
                    )
                    if self._polling:
                        await worker.shutdown()
            await _cancel([polling])
            await http.aclose()

    async def _poll(self, worker: Worker, gate: Gate) -> None:
        """Run the SDK's worker from the moment Temporal is fit for it; its own end is fatal."""
        await gate.passable()
        self._polling = True
        try:
            await worker.run()
        finally:
            self._polling = False

    def _worker(self, client: Client, activities: list[Callable[..., Any]]) -> Worker:
        options = WorkflowOptions()
        return Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=options.workflows,
            workflow_runner=options.workflow_runner,
            workflow_failure_exception_types=options.workflow_failure_exception_types,
            activities=activities,
            max_cached_workflows=CACHED_WORKFLOWS,
            max_concurrent_workflow_tasks=WORKFLOW_TASKS,
            max_concurrent_activities=ACTIVITIES,
            max_concurrent_local_activities=ACTIVITIES,
            graceful_shutdown_timeout=GRACE,
        )

    def _activities(self, http: AsyncClient, admission: Admission) -> list[Callable[..., Any]]:
        ui = self._settings.temporal_ui_url
        return registry.build(self.bus, self.live, self._secrets(), self._metrics, http, ui=ui, admission=admission)

    def _secrets(self) -> Secrets:
        return Secrets(self.live.file.resolve().parent)

    def _repair(self, plan: ConsumerPlan) -> Callable[[], Awaitable[None]]:
        """Return what makes the bus right before anything is pulled, and again after every fault."""

        async def repair() -> None:
            config = self.live.config.bus
            await ensure_streams(self.bus, config)
            await ensure_registers(self.bus, config.replicas)
            await self._verify_fsync()
            await ensure_consumer(self.bus, plan)

        return repair

    async def _verify_fsync(self) -> None:
        """Verify at least once; later, monitoring that is merely away does not stop the work."""
        try:
            await verify_fsync(self.bus, self._settings, self.live.config.bus)
        except HoldfastError as error:
            if error.code == ErrorCode.BUS_MISCONFIGURED or not self._synced:
                raise
            log.warning("worker.fsync_not_verified", extra={"reason": error.message})
        self._synced = True


def search_attributes(triggers: dict[str, TriggerConfig]) -> dict[str, str]:
    """Return the search attributes that triggers of these set, with their types."""
    return {
        name: attribute.type
        for trigger in triggers.values()
        for action in trigger.run.all_actions
        for name, attribute in action.search_attributes.items()
    }


async def run(settings: ProcessSettings, loaded: LoadedConfig, metrics: Metrics | None = None) -> None:
    """Work until SIGTERM or SIGINT; a second signal ends the process at once. Raises what is fatal."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)

    def asked() -> None:
        stop.set()
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, asked)
    process = WorkerProcess(settings, loaded, metrics or Metrics())
    loop.add_signal_handler(signal.SIGHUP, process.live.ask)
    await process.serve(stop)


async def _first(stop: asyncio.Event, work: Coroutine[Any, Any, Client]) -> Client | None:
    """Return the result of `work`, or None when `stop` comes first."""
    task, stopped = asyncio.create_task(work), _task(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        return task.result()
    await _cancel([task])
    return None


async def _first_of(tasks: list[asyncio.Task[Any]]) -> None:
    """Wait until the first task (the stop signal) ends; the end of any other is a fault and is raised."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    tasks[0].cancel()
    for task in done:
        task.result()
        if task is not tasks[0]:
            raise RuntimeError(f"{task.get_name()} ended by itself")


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _task(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(work, name=getattr(work, "__qualname__", None))
