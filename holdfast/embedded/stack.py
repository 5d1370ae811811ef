"""The whole of Holdfast on one machine: NATS, Temporal, gateway and worker, supervised.

Flow: lock → versions → ports → layout → **start in order** → ready … → **stop in order**.

The programme that holds an `EmbeddedStack` is the parent of its servers: when it dies, they do.
"""

import asyncio
import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import httpx

from holdfast.embedded import versions
from holdfast.embedded.credentials import load_or_create
from holdfast.embedded.files import write_private
from holdfast.embedded.layout import Layout
from holdfast.embedded.lock import data_lock
from holdfast.embedded.ports import Ports, check_free
from holdfast.embedded.probes import new_client
from holdfast.embedded.service import Service, Tell
from holdfast.embedded.tokens import local_token
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.settings.process import ProcessSettings
from holdfast.settings.runtime import FILE as RUNTIME_FILE

SERVERS = ("nats", "temporal")  # started together, first; ended together, last: the roles drain into them
ROLES = ("gateway", "worker")  # started together, when the servers are ready; ended together, first
ALL = (*SERVERS, *ROLES)


def _silent(_line: str) -> None:
    """Say nothing."""


class EmbeddedStack:
    """Start, stop, kill and find the servers of one data directory.

    `ports` None chooses free ones. `only` runs a part, for example ("nats", "temporal"). Servers that the environment
    names (NATS_URL, TEMPORAL_ADDRESS) are used and not started. Use it in the main thread.
    """

    def __init__(
        self,
        data_dir: Path,
        config: Path,
        *,
        ports: Ports | None = None,
        only: Iterable[str] = ALL,
        tell: Tell = _silent,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.config = config.absolute()
        self._ports = ports or Ports.free()
        self._only = tuple(only)
        self._tell = tell
        self._resources = contextlib.AsyncExitStack()
        self._services: dict[str, Service] = {}
        self._layout: Layout | None = None

    @property
    def layout(self) -> Layout:
        """Where everything is. Raises RejectedInput before `start`."""
        if self._layout is None:
            raise RejectedInput(ErrorCode.NOT_READY, "the stack was not started")
        return self._layout

    @property
    def gateway_url(self) -> str:
        """Where webhooks are sent: `http://127.0.0.1:8080`."""
        return self.layout.gateway_url

    @property
    def gateway_ops_url(self) -> str:
        """Health and metrics of the gateway."""
        return self.layout.gateway_ops_url

    @property
    def worker_ops_url(self) -> str:
        """Health and metrics of the worker."""
        return self.layout.worker_ops_url

    @property
    def api_url(self) -> str:
        """The admin API: `http://127.0.0.1:8083`."""
        return self.layout.api_url

    @property
    def temporal_address(self) -> str:
        """host:port of Temporal."""
        layout = self.layout
        return layout.temporal.address if layout.own_temporal else str(layout.settings.temporal_address)

    @property
    def ui_url(self) -> str:
        """Return the Temporal UI's address."""
        return self.layout.temporal.ui_url if self.layout.own_temporal else self.layout.settings.temporal_ui_url

    @property
    def nats_url(self) -> str:
        """Return the address of NATS, without credentials."""
        return self.layout.nats.url if self.layout.own_nats else self.layout.settings.nats_url

    @property
    def environment(self) -> dict[str, str]:
        """The variables under which any holdfast process finds this stack, NATS_PASSWORD among them."""
        return self.layout.environment()

    @property
    def names(self) -> tuple[str, ...]:
        """The servers that this stack runs."""
        return tuple(self._services)

    async def start(self) -> None:
        """Start everything and wait until it is ready.

        Raises RejectedInput when the data directory is in use, of another version, or a port is taken, before
        anything starts; Unavailable `not_ready` when a server does not come up, after all have been stopped again.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        settings = ProcessSettings.load()
        self._resources.enter_context(data_lock(self.data_dir))
        versions.check_data(self.data_dir, await asyncio.to_thread(versions.installed))
        self._layout = layout = Layout(self.data_dir, self.config, self._ports, settings, load_or_create(self.data_dir))
        local_token(self.data_dir)
        external = {"nats": not layout.own_nats, "temporal": not layout.own_temporal}
        names = tuple(name for name in ALL if name in self._only and not external.get(name, False))
        await asyncio.to_thread(check_free, self._ports, layout.needed_ports(names))
        client = await self._resources.enter_async_context(new_client())
        self._resources.callback((self.data_dir / RUNTIME_FILE).unlink, missing_ok=True)
        write_private(self.data_dir / RUNTIME_FILE, layout.runtime(os.getpid()).model_dump_json(indent=2) + "\n")
        await self._start_group(SERVERS, names, client)
        await self._start_group(ROLES, names, client)

    async def _start_group(self, group: tuple[str, ...], names: tuple[str, ...], client: httpx.AsyncClient) -> None:
        ours = [name for name in group if name in names]
        for name in ours:
            self._services[name] = Service(self.layout.spec(name, client), self._tell)
        starts = [asyncio.create_task(self._start_one(name), name=f"start {name}") for name in ours]
        try:
            await asyncio.gather(*starts)
        finally:
            for start in starts:
                start.cancel()
            if starts:
                await asyncio.wait(starts)

    async def _start_one(self, name: str) -> None:
        await self._services[name].start()
        self._tell(f"{name} is ready")

    async def stop(self) -> None:
        """Stop everything in order: gateway and worker drain, then the servers end; at most 14 s."""
        for group in (ROLES, SERVERS):
            ours = [self._services[name] for name in group if name in self._services]
            await asyncio.gather(*(service.stop() for service in ours))
        await self._resources.aclose()

    def kill_all(self) -> None:
        """SIGKILL every server at once; the supervisor does not look any more when its loop ends."""
        for service in self._services.values():
            service.kill_now()

    def reload(self) -> None:
        """Have gateway and worker read holdfast.yaml and its secrets again; each says in its log what became of it."""
        for name in ROLES:
            if name in self._services:
                self._services[name].hang_up()

    async def stop_server(self, name: str) -> None:
        """Stop one server on purpose: it stays down until `start_server`."""
        await self._service(name).stop()

    async def start_server(self, name: str) -> None:
        """Start one server again and wait until it is ready."""
        await self._service(name).start()

    async def kill(self, name: str, *, restart: bool = True) -> None:
        """SIGKILL one server. The supervisor starts it again as after any crash; with `restart` False it stays down."""
        await self._service(name).kill(restart=restart)

    async def wait_ready(self, name: str) -> None:
        """Wait until a server that was killed is ready again."""
        await self._service(name).wait_ready()

    def pid(self, name: str) -> int | None:
        """Process id of a server, None while it is down."""
        return self._service(name).pid

    def _service(self, name: str) -> Service:
        if name not in self._services:
            raise RejectedInput(
                ErrorCode.NOT_FOUND, f"this stack does not run {name!r}; it runs {', '.join(self._services)}"
            )
        return self._services[name]
