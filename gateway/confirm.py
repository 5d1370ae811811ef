"""Confirms a subscription of Amazon SNS by asking for the address it sent, and no other address in the world.

Flow: receive → authenticate → greet → answer, and beside it **confirm**. Only after the signature held. Amazon may be
slow, and the way out may be closed, so nobody waits for it; what fails to the end is logged, and whoever subscribed
sees it: the subscription stays pending, and they can have the question asked again.
"""

import asyncio
import logging
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import httpx

from gateway.limits import CONFIRM_AGAIN, CONFIRM_WITHIN, MAX_CONFIRMING
from holdfast.errors import ErrorCode, RejectedInput, Unavailable

log = logging.getLogger(__name__)

_HOST = re.compile(r"sns\.[a-z0-9-]{1,40}\.amazonaws\.com(\.cn)?", re.ASCII)


class Confirm(Protocol):
    """What confirms subscriptions: `SubscriptionConfirmer`."""

    def __call__(self, source: str, url: str) -> None:
        """Begin to confirm. Raises RejectedInput `request.malformed`, Unavailable `not_ready`."""
        ...

    async def close(self) -> None:
        """End what is under way."""
        ...


class SubscriptionConfirmer:
    """Calls `SubscribeURL`, some times where it fails; `transport` lets a test stand in for Amazon."""

    def __init__(
        self, transport: httpx.AsyncBaseTransport | None = None, again: Sequence[timedelta] = CONFIRM_AGAIN
    ) -> None:
        self._transport = transport
        self._again = again
        self._running: set[asyncio.Task[None]] = set()

    def __call__(self, source: str, url: str) -> None:
        """Begin to confirm.

        Raises RejectedInput `request.malformed` for another address; Unavailable `not_ready` while too many are begun.
        """
        if not is_subscribe_url(url):
            raise RejectedInput(ErrorCode.REQUEST_MALFORMED, "SubscribeURL is no address of Amazon SNS.")
        if len(self._running) >= MAX_CONFIRMING:
            raise Unavailable(ErrorCode.NOT_READY, "too many subscriptions are being confirmed")
        task = asyncio.create_task(self._confirm(source, url), name="confirm")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def settled(self) -> None:
        """Wait until all that was begun has ended."""
        await asyncio.gather(*self._running)

    async def close(self) -> None:
        """End what is under way; the subscription stays pending."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _confirm(self, source: str, url: str) -> None:
        reason = ""
        for wait in (timedelta(0), *self._again):
            await asyncio.sleep(wait.total_seconds())
            reason = await self._ask(url)
            if not reason:
                log.info("handshake.confirmed", extra={"source": source})
                return
        log.error("handshake.unconfirmed", extra={"source": source, "reason": reason})

    async def _ask(self, url: str) -> str:
        """Return why it failed; nothing where it is confirmed. A redirect would lead elsewhere: it is not followed."""
        try:
            async with (
                asyncio.timeout(CONFIRM_WITHIN.total_seconds()),
                httpx.AsyncClient(follow_redirects=False, transport=self._transport) as client,
                client.stream("GET", url) as answer,
            ):
                return "" if answer.status_code == 200 else f"HTTP {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            return type(error).__name__


def is_subscribe_url(url: str) -> bool:
    """Whether an address is one that confirms a subscription at Amazon SNS, over TLS, on its own port."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme == "https"
            and parts.netloc == parts.hostname
            and _HOST.fullmatch(parts.netloc) is not None
            and parts.path == "/"
            and parse_qs(parts.query, max_num_fields=10).get("Action") == ["ConfirmSubscription"]
        )
    except ValueError:
        return False
