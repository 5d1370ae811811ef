"""Telling a gateway that waits how an event's deliveries end, over core NATS: at most once, and never stored.

The subject derives from the event's identity. A gateway has one subscription for all it waits for, made before the
first event that is waited for is published. Flow: dispatcher, delivery → **announce** → **Newsroom** → `Prefer: wait`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError

from holdfast import ids
from holdfast.bus.connect import Bus
from holdfast.bus.errors import classify
from holdfast.contracts.news import NEWS, Decided, Ended, Repeated
from holdfast.errors import ErrorCode

log = logging.getLogger(__name__)

SUBJECTS = "holdfast.news.*"
SUBSCRIBE_WITHIN = timedelta(seconds=1)
AWAITED_UNTIL = "Holdfast-Awaited-Until"
"""Header of a message in EVENTS: until when (RFC 3339) somebody waits for the outcome. Without it nobody does."""


def news_subject(source: str, event_id: str) -> str:
    """Subject of all news of one event."""
    return f"holdfast.news.{ids.message_id(source, event_id)}"


def awaited_until(headers: Mapping[str, str] | None) -> datetime | None:
    """Read until when somebody waits for a message's event; None where nobody does, or where it cannot be read."""
    said = (headers or {}).get(AWAITED_UNTIL)
    if said is None:
        return None
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


async def announce(bus: Bus, news: Decided | Repeated | Ended) -> None:
    """Tell whoever listens. Best effort: never raises, waits for nobody, and nothing may depend on it."""
    try:
        await bus.client.publish(news_subject(news.source, news.event_id), news.model_dump_json().encode())
    except Exception as error:  # noqa: BLE001 - whoever waits is answered 202 instead
        log.debug("news.untold", extra={"code": classify(error).code})


@dataclass(eq=False, slots=True)
class Watch:
    """What has been heard of one event since it is watched."""

    source: str
    event_id: str
    deliveries: tuple[str, ...] | None = None  # None: not decided yet
    ended: dict[str, Ended] = field(default_factory=dict)
    repeated: bool = False  # something of it was begun before it was watched
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def complete(self) -> bool:
        """Whether every delivery has ended."""
        return self.deliveries is not None and all(delivery in self.ended for delivery in self.deliveries)

    def hear(self, news: Decided | Repeated | Ended) -> None:
        """Take one piece of news, in whatever order it comes."""
        if (news.source, news.event_id) != (self.source, self.event_id):
            return
        match news:
            case Decided(deliveries=deliveries):
                self.deliveries = deliveries
            case Repeated():
                self.repeated = True
            case Ended(delivery=delivery):
                self.ended[delivery] = news
        self.changed.set()


class Newsroom:
    """The gateway's ear."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._client: Client | None = None
        self._subscribing = asyncio.Lock()
        self._watches: dict[str, set[Watch]] = {}

    async def listen(self) -> None:
        """Make sure that news arrive from now on. Raises Unavailable."""
        async with self._subscribing:
            client = self._bus.client
            if client is self._client:
                return
            try:
                async with asyncio.timeout(SUBSCRIBE_WITHIN.total_seconds()):
                    await client.subscribe(SUBJECTS, cb=self._heard)
                    await client.flush(timeout=int(SUBSCRIBE_WITHIN.total_seconds()))
            except Exception as error:
                raise classify(error) from error
            self._client = client

    @contextlib.contextmanager
    def watch(self, source: str, event_id: str) -> Iterator[Watch]:
        """Collect the news of one event while the block runs; `listen` comes before it."""
        subject, watch = news_subject(source, event_id), Watch(source, event_id)
        self._watches.setdefault(subject, set()).add(watch)
        try:
            yield watch
        finally:
            left = self._watches.get(subject, set())
            left.discard(watch)
            if not left:
                self._watches.pop(subject, None)

    async def _heard(self, message: Msg) -> None:
        watches = self._watches.get(message.subject)
        if not watches:
            return
        try:
            news = NEWS.validate_json(message.data)
        except ValidationError:
            log.debug("news.untold", extra={"code": str(ErrorCode.INPUT_INVALID)})
            return
        for watch in tuple(watches):
            watch.hear(news)
