"""Confirms a subscription of Amazon SNS by asking for the address it sent, and no other address in the world.

Flow: receive → authenticate → greet → **confirm** → answer. Only after the signature held.
"""

import re
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import httpx

from gateway.limits import CONFIRM_WITHIN
from holdfast.errors import ErrorCode, RejectedInput, Unavailable

Confirm = Callable[[str], Awaitable[None]]

_HOST = re.compile(r"sns\.[a-z0-9-]{1,40}\.amazonaws\.com(\.cn)?", re.ASCII)


class SubscriptionConfirmer:
    """Calls `SubscribeURL`; `transport` lets a test stand in for Amazon."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._transport = transport

    async def __call__(self, url: str) -> None:
        """Confirm, or raise: RejectedInput `request.malformed` for another address; Unavailable where it fails.

        The sender then asks again, so a confirmation that did not happen is not answered 200.
        """
        if not is_subscribe_url(url):
            raise RejectedInput(ErrorCode.REQUEST_MALFORMED, "SubscribeURL is no address of Amazon SNS.")
        try:
            # made for each: subscriptions are confirmed once in their life
            async with (
                httpx.AsyncClient(
                    timeout=CONFIRM_WITHIN.total_seconds(), follow_redirects=False, transport=self._transport
                ) as client,
                client.stream("GET", url) as answer,
            ):
                status = answer.status_code  # the body is not needed
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(ErrorCode.NOT_READY, "Amazon SNS could not be asked to confirm") from error
        if status != 200:
            raise Unavailable(ErrorCode.NOT_READY, f"Amazon SNS did not confirm: HTTP {status}")


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
