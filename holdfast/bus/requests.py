"""Requests to JetStream with many in flight: one inbox per client, one future per request, none of them leaked.

nats-py's own request builds a NUID, a wait_for task and callbacks per call; this keeps a counter and a dictionary,
which is what the gateway's hot path can afford. Flow: publish → **request** → PubAck.
"""

import asyncio
from datetime import timedelta

from nats.aio.client import Client
from nats.aio.msg import Msg

from holdfast.bus.connect import Bus
from holdfast.bus.errors import classify
from holdfast.errors import ErrorCode, Unavailable

_NO_RESPONDERS = "503"


class Requests:
    """Sends requests over the bus's client of the moment and matches the replies."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._client: Client | None = None
        self._prefix = ""
        self._waiting: dict[str, asyncio.Future[Msg]] = {}
        self._count = 0
        self._subscribing = asyncio.Lock()
        bus.on_loss(self._lost)

    @property
    def in_flight(self) -> int:
        """How many requests wait for their reply."""
        return len(self._waiting)

    async def request(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None, *, timeout: timedelta
    ) -> bytes:
        """Return the reply's bytes.

        Raises Unavailable: `bus.unavailable` at once when not connected (nothing is buffered) or when nobody answers
        for the subject; `bus.timeout` when there is no reply in time or the connection breaks: outcome unknown.
        """
        client = self._bus.client
        if client is not self._client:
            client = await self._subscribe()
        self._count += 1
        token = f"{self._count:x}"
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                # no await lies between the check of `is_connected` and nats-py's own, so nothing is buffered offline
                await client.publish(subject, payload, reply=self._prefix + token, headers=headers)
                reply = await future
        except Exception as error:
            raise classify(error) from error
        finally:
            self._waiting.pop(token, None)
        if not reply.data and reply.headers and reply.headers.get("Status") == _NO_RESPONDERS:
            raise Unavailable(ErrorCode.BUS_UNAVAILABLE, "no stream answers: it is missing, or JetStream is starting")
        return reply.data

    async def _subscribe(self) -> Client:
        async with self._subscribing:
            client = self._bus.client
            if client is not self._client:
                prefix = client.new_inbox() + "."
                try:
                    await client.subscribe(prefix + "*", cb=self._answered)
                except Exception as error:
                    raise classify(error) from error
                self._client, self._prefix = client, prefix
            return self._bus.client

    async def _answered(self, reply: Msg) -> None:
        future = self._waiting.get(reply.subject.rpartition(".")[2])
        if future is not None and not future.done():
            future.set_result(reply)

    def _lost(self) -> None:
        """Wake everybody: the reply may have been lost with the connection, so the outcome is unknown."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(
                    Unavailable(ErrorCode.BUS_TIMEOUT, "the connection to NATS broke; the outcome is unknown")
                )
