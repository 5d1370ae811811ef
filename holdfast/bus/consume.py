"""A durable pull consumer that cannot stall in silence: messages as they arrive, each settled exactly by its handler.

It speaks the pull protocol itself, because nats-py's `fetch` takes a stored message with a header like `Status: 404`
for a control frame and swallows it for ever. Here a frame is a message if and only if the server gave it an
acknowledgement subject, which nobody else can. Flow: EVENTS → **consume** → decide → settle.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from nats.aio.client import Client
from nats.aio.msg import Msg

from holdfast.bus.connect import Bus
from holdfast.bus.errors import classify
from holdfast.bus.news import awaited_until
from holdfast.bus.requests import Requests
from holdfast.bus.streams import ConsumerPlan
from holdfast.errors import ErrorCode, HoldfastError, Unavailable

log = logging.getLogger(__name__)

EXPIRES = timedelta(seconds=5)
HEARTBEAT = timedelta(seconds=1)
SILENCE = HEARTBEAT * 2.5  # nothing heard for this long while a pull is out: the pull is lost
ACK_WITHIN = timedelta(seconds=5)
REPAIR_WAIT = timedelta(milliseconds=500)
RECOUNT = timedelta(milliseconds=250)
AFTER_DEFECT = timedelta(seconds=30)
_ACK = "$JS.ACK."
_ENDED = frozenset({"404", "408"})  # nothing there, or the pull has expired: ask again


@dataclass(frozen=True, slots=True)
class Message:
    """One message that is ours to settle. `deliveries` counts from 1; `sequence` is its place in the stream.

    `ordinal` is the place of this delivery among all of its consumer.
    """

    stream: str
    sequence: int
    deliveries: int
    ordinal: int
    subject: str
    data: bytes
    awaited_until: datetime | None  # a gateway waits for the outcome until then
    _reply: str
    _bus: Bus
    _watch: "Watch | None" = None

    async def ack(self) -> None:
        """Settle for good and wait until the server knows. Raises Unavailable: then it will be delivered again."""
        await self._bus.part(Requests).request(self._reply, b"+ACK", timeout=ACK_WITHIN)

    async def redeliver(self, after: timedelta) -> None:
        """Hand it back, to be delivered again after `after`. Best effort: a lost request means the ack wait."""
        if self._watch is not None:
            self._watch.handed_back(self.sequence)
        body = json.dumps({"delay": int(after.total_seconds() * 1e9)}).encode()
        await self._tell(b"-NAK " + body)

    async def keep(self) -> None:
        """Say that it is still being worked on: starts the ack wait anew. Best effort."""
        await self._tell(b"+WPI")

    async def _tell(self, what: bytes) -> None:
        try:
            await self._bus.client.publish(self._reply, what)
        except Exception as error:  # noqa: BLE001 - the ack wait repeats it
            log.debug("bus.tell_failed", extra={"code": classify(error).code})


class Watch(Protocol):
    """Who looks at a consumer's messages: `workers.evictions.Evictions`."""

    def saw(self, message: Message) -> None:
        """Look at one, in the order of arrival, before it is handled."""
        ...

    def handed_back(self, sequence: int) -> None:
        """Hear that one is to be delivered again."""
        ...


class Consumer:
    """Pulls from one durable consumer and hands each message to `handle`, at most `slots()` at a time."""

    def __init__(
        self,
        bus: Bus,
        plan: ConsumerPlan,
        *,
        handle: Callable[[Message], Awaitable[None]],
        slots: Callable[[], int],
        watch: "Watch | None" = None,
    ) -> None:
        """Prepare; `watch` is told of every message."""
        self._watch = watch
        self._bus = bus
        self._plan = plan
        self._handle = handle
        self._slots = slots
        self._client: Client | None = None
        self._inbox = ""
        self._pulls = 0
        self._frames: asyncio.Queue[Msg] = asyncio.Queue()
        self._working: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()
        self.fault = "no pull was answered yet"  # why it does not consume; empty when it does

    async def run(self, gate: Callable[[], Awaitable[None]], repair: Callable[[], Awaitable[None]]) -> None:
        """Consume until cancelled.

        `gate` is awaited before every pull: while it does not return, messages wait on the bus. `repair` re-creates
        what is missing (stream, consumer) and is called after every fault; its failures are repeated.
        """
        broken = True  # verify first: a fresh bus has no consumer
        while True:
            try:
                if broken:
                    await repair()
                    broken = False
                await gate()
                free = self._slots() - len(self._working)
                if free > 0:
                    await self._pull(free)
                else:
                    await self._wait_for_room()
            except HoldfastError as fault:
                broken, self.fault = True, fault.message
                log.warning("bus.consume_fault", extra={"consumer": self._plan.name, "reason": str(fault)})
                await asyncio.sleep(REPAIR_WAIT.total_seconds())

    async def finish(self, within: timedelta) -> None:
        """Wait for the handlers under way, then cancel those that are left: their messages are delivered again."""
        if self._working:
            _, late = await asyncio.wait(self._working, timeout=within.total_seconds())
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    @property
    def in_flight(self) -> int:
        """How many messages are being handled."""
        return len(self._working)

    async def _wait_for_room(self) -> None:
        self._freed.clear()
        with contextlib.suppress(TimeoutError):  # the gate may change the number of slots without a word
            async with asyncio.timeout(RECOUNT.total_seconds()):
                await self._freed.wait()

    async def _pull(self, batch: int) -> None:
        """Send one pull request and take what comes, until it is answered in full, has expired, or faults."""
        client = await self._subscribed()
        request = {
            "batch": batch,
            "expires": int(EXPIRES.total_seconds() * 1e9),
            "idle_heartbeat": int(HEARTBEAT.total_seconds() * 1e9),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._plan.stream}.{self._plan.name}"
        self._pulls += 1
        reply = f"{self._inbox}.{self._pulls}"
        try:
            await client.publish(subject, json.dumps(request).encode(), reply=reply)
        except Exception as error:
            raise classify(error) from error
        while batch > 0:
            try:
                async with asyncio.timeout(SILENCE.total_seconds()):
                    frame = await self._frames.get()
            except TimeoutError:
                raise Unavailable(ErrorCode.BUS_TIMEOUT, "the bus fell silent during a pull") from None
            self.fault = ""
            if frame.reply.startswith(_ACK):
                batch -= 1
                self._begin(self._message(frame))
            elif frame.subject == reply and self._over(frame):  # an earlier pull's end says nothing about this one
                return

    def _over(self, frame: Msg) -> bool:
        """Read a control frame: True when the pull has ended in order. Raises Unavailable for a fault."""
        headers = frame.headers or {}
        status, why = headers.get("Status", ""), headers.get("Description", "")
        if status in _ENDED:
            return True
        if status == "100":
            return False  # heartbeat
        if status == "409" and ("Max" in why or "Completed" in why):
            # max_ack_pending or max_waiting: room comes back by itself
            log.info("bus.pull_deferred", extra={"consumer": self._plan.name, "reason": why})
            raise Unavailable(ErrorCode.BUS_FULL, f"pull refused: {why}")
        raise Unavailable(ErrorCode.BUS_UNAVAILABLE, f"pull ended with {status or 'no status'} {why or 'no reason'}")

    def _message(self, frame: Msg) -> Message:
        # $JS.ACK.[domain.account.]stream.consumer.delivered.sequence…; nine tokens, or more with a domain
        tokens = frame.reply.split(".")
        first = 2 if len(tokens) == 9 else 4
        try:
            deliveries, sequence, ordinal = (int(tokens[first + n]) for n in (2, 3, 4))
        except (IndexError, ValueError) as error:  # only the server writes it; a stranger's frame must not end us
            raise Unavailable(ErrorCode.BUS_UNAVAILABLE, "the bus handed out a message without its address") from error
        return Message(
            stream=tokens[first],
            deliveries=deliveries,
            sequence=sequence,
            ordinal=ordinal,
            subject=frame.subject,
            data=frame.data,
            awaited_until=awaited_until(frame.headers),
            _reply=frame.reply,
            _bus=self._bus,
            _watch=self._watch,
        )

    def _begin(self, message: Message) -> None:
        if self._watch is not None:
            self._watch.saw(message)
        task = asyncio.create_task(self._work(message))
        self._working.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._freed.set()

    async def _work(self, message: Message) -> None:
        """Handle one message. A handler settles it; what escapes from the handler is a bug, and seen."""
        keeper: asyncio.Task[None] | None = None
        work = asyncio.ensure_future(self._handle(message))
        try:
            done, _ = await asyncio.wait({work}, timeout=self._plan.ack_wait.total_seconds() / 3)
            if not done:
                keeper = asyncio.create_task(self._keep(message))
            await work
        except Exception:
            log.exception("bus.handler_failed", extra={"stream": message.stream, "sequence": message.sequence})
            await message.redeliver(AFTER_DEFECT)
        finally:
            work.cancel()
            if keeper is not None:
                keeper.cancel()

    async def _keep(self, message: Message) -> None:
        while True:
            await message.keep()
            await asyncio.sleep(self._plan.ack_wait.total_seconds() / 3)

    async def _subscribed(self) -> Client:
        client = self._bus.client
        if client is not self._client:
            self._inbox = client.new_inbox()
            self._frames = asyncio.Queue()
            frames = self._frames

            async def arrived(frame: Msg) -> None:
                frames.put_nowait(frame)

            try:
                await client.subscribe(self._inbox + ".*", cb=arrived)
            except Exception as error:
                raise classify(error) from error
            self._client = client
        return client
