"""One connection to NATS that is always being restored: reconnected while it can be, rebuilt when nats-py gives it up.

Flow: **connect** → verify topology → publish | consume.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Self, TypeVar

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from holdfast.bus.errors import classify
from holdfast.errors import ErrorCode, Unavailable
from holdfast.settings.process import ProcessSettings

log = logging.getLogger(__name__)
Part = TypeVar("Part")

RECONNECT_WAIT = 0.25  # s; nats-py waits this long between tries per server
CONNECT_TIMEOUT = 2  # s
PING_INTERVAL = 10  # s; with two outstanding, a dead link is noticed within 30 s and not within nats-py's 6 min
API_TIMEOUT = 5.0  # s; stream and consumer administration
WATCH = 0.5  # s between looks at a client that can die without calling back
CLOSE_WITHIN = timedelta(seconds=5)
PENDING_SIZE = 8_388_608  # bytes not yet on the wire; senders ask `is_connected` first, so nothing queues offline


class SturdyClient(Client):
    """nats-py's client, except that no stored message can end its read loop.

    nats-py decodes header status lines and subjects outside any guard; bytes that are no UTF-8 end its read loop, and
    as the message is delivered again, for ever. The bytes of such headers say nothing we need, so they are dropped.
    """

    async def _process_headers(self, headers: Any) -> dict[str, str] | None:
        try:
            return await super()._process_headers(headers)
        except (ValueError, IndexError, KeyError):  # UnicodeDecodeError is a ValueError
            return {}

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Any:
        return self.msg_class(
            subject=bytes(subject).decode("utf-8", "backslashreplace"),
            reply=bytes(reply).decode("utf-8", "backslashreplace"),
            data=data,
            headers=headers,
            _client=self,
            _sid=sid,
        )

    @property
    def deaf(self) -> bool:
        """Whether it believes to be connected although nobody reads."""
        task = self._reading_task
        return self.is_connected and task is not None and task.done()


class Bus:
    """Owns one client. Everything that needs NATS asks this object each time, and never keeps a client."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._client: SturdyClient | None = None
        self._jetstream: JetStreamContext | None = None
        self._task: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._on_loss: list[Callable[[], None]] = []
        self._parts: dict[Any, Any] = {}
        self.reason = "not started"  # why it is not connected, for readiness
        self.known_max_payload: int | None = None  # bytes, as the last server said; None before the first

    @classmethod
    def from_settings(cls, settings: ProcessSettings, name: str) -> Self:
        """Prepare a connection that NATS monitoring shows as `name`; nothing is opened yet."""
        options: dict[str, Any] = {"servers": [url.strip() for url in settings.nats_url.split(",")], "name": name}
        if settings.nats_user is not None:
            options["user"] = settings.nats_user
            options["password"] = settings.nats_password.get_secret_value() if settings.nats_password else ""
        if settings.nats_credentials is not None:
            options["user_credentials"] = str(settings.nats_credentials)
        if settings.nats_ca is not None:
            options["tls"] = ssl.create_default_context(cafile=str(settings.nats_ca))
        return cls(options)

    async def start(self) -> None:
        """Begin to connect, and return at once, also while NATS is away."""
        if self._task is None:
            self.reason = "connecting"
            self._task = asyncio.create_task(self._keep(), name="bus")

    async def close(self, within: timedelta = CLOSE_WITHIN) -> None:
        """Send what is buffered and close, within `within` in all. Idempotent."""
        task, client = self._task, self._client
        self._task = None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if client is not None and not client.is_closed:
            with contextlib.suppress(TimeoutError, nats.errors.Error, OSError):
                async with asyncio.timeout(within.total_seconds()):
                    await (client.drain() if client.is_connected else client.close())
        self._lost("closed")

    async def connected(self, timeout: timedelta) -> None:
        """Wait until connected. Raises Unavailable `bus.unavailable` after `timeout`."""
        deadline = asyncio.get_running_loop().time() + timeout.total_seconds()
        try:
            async with asyncio.timeout_at(deadline):
                while not self.is_connected:
                    await self._up.wait()
                    if not self.is_connected:
                        await asyncio.sleep(0.01)  # between a loss and its callback
        except TimeoutError:
            raise Unavailable(ErrorCode.BUS_UNAVAILABLE, f"not connected to NATS: {self.reason}") from None

    def part(self, kind: Callable[["Bus"], Part]) -> Part:
        """Return the one `kind(bus)` that shares this bus's life, built when it is first asked for."""
        found: Part | None = self._parts.get(kind)
        if found is None:
            found = self._parts[kind] = kind(self)
        return found

    def on_loss(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever the connection is lost, for those who wait for answers on it."""
        self._on_loss.append(callback)

    @property
    def is_connected(self) -> bool:
        """Whether a message sent now leaves now."""
        return self._client is not None and self._client.is_connected

    @property
    def client(self) -> Client:
        """The client of this moment. Raises Unavailable `bus.unavailable` when not connected."""
        client = self._client
        if client is None or not client.is_connected:
            raise Unavailable(ErrorCode.BUS_UNAVAILABLE, f"not connected to NATS: {self.reason}")
        return client

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream administration and requests. Raises Unavailable `bus.unavailable` when not connected."""
        _ = self.client
        if self._jetstream is None:
            raise Unavailable(ErrorCode.BUS_UNAVAILABLE, f"not connected to NATS: {self.reason}")
        return self._jetstream

    @property
    def max_payload(self) -> int:
        """Largest message the server takes, bytes, headers included. Raises Unavailable when not connected."""
        self.known_max_payload = self.client.max_payload
        return self.known_max_payload

    @property
    def server_version(self) -> str:
        """Version from the server's INFO, like 2.15.1. Raises Unavailable when not connected."""
        return str(self.client._server_info.get("version", "0"))  # noqa: SLF001 - the property parses and can raise

    async def _keep(self) -> None:
        """Build a client, watch it, and build the next when it is closed for good."""
        while True:
            client = SturdyClient()
            try:
                await client.connect(
                    **self._options,
                    error_cb=self._heard,
                    disconnected_cb=self._disconnected,
                    reconnected_cb=self._reconnected,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=RECONNECT_WAIT,  # type: ignore[arg-type] # it is slept on: fractions are fine
                    connect_timeout=CONNECT_TIMEOUT,
                    ping_interval=PING_INTERVAL,
                    max_outstanding_pings=2,
                    pending_size=PENDING_SIZE,
                )
            except (nats.errors.Error, OSError, TimeoutError, ValueError) as error:
                self.reason = classify(error).message
                log.warning("bus.connect_failed", extra={"reason": self.reason})
                await asyncio.sleep(RECONNECT_WAIT)
                continue
            self._client, self._jetstream = client, client.jetstream(timeout=API_TIMEOUT)
            self.known_max_payload = client.max_payload
            self._up.set()
            log.info("bus.connected", extra={"server": self.server_version if client.is_connected else ""})
            while not client.is_closed and not client.deaf:  # noqa: ASYNC110 - a dead read loop signals nothing
                await asyncio.sleep(WATCH)
            self._lost("the client was closed; building another")
            log.warning("bus.client_rebuilt", extra={"reason": self.reason})
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    await client.close()
            self._client = self._jetstream = None

    async def _heard(self, error: Exception) -> None:
        self.reason = classify(error).message
        log.debug("bus.error", extra={"reason": self.reason})

    async def _disconnected(self) -> None:
        self._lost("disconnected")
        if self._task is not None:  # else it is we who close
            log.warning("bus.disconnected")

    async def _reconnected(self) -> None:
        self._up.set()
        log.info("bus.reconnected")

    def _lost(self, reason: str) -> None:
        self.reason = reason
        self._up.clear()
        for callback in self._on_loss:
            callback()
