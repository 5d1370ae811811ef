"""Fetches the key sets that issuers of tokens publish (JWKS), and keeps them fresh beside the requests, not in them.

Flow: **key sets** → authenticate. Only addresses of the configuration are asked, never one out of a token. Fetched at
the start and then as often as `FRESH`; a request waits only where no set is there yet, or its token names a key that is
new. While the issuer is away the last set counts on, up to `STALE`.
"""

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx

from holdfast.clock import Clock
from holdfast.domain.schemes import KeySet
from holdfast.domain.signing_keys import Key, read_key_set
from holdfast.errors import ErrorCode, Unavailable

log = logging.getLogger(__name__)

WITHIN = timedelta(seconds=2)  # for one fetch, connecting and all
FRESH = timedelta(minutes=10)  # between fetches; issuers publish a key for hours before they use it
AGAIN = timedelta(seconds=15)  # at the soonest, whatever tokens name: a stranger must not make us ask at will
STALE = timedelta(hours=24)  # how long a set counts while the issuer is away
MAX_SIZE = 262_144  # bytes of one answer
DESCRIPTION = "/.well-known/openid-configuration"
_HERE = {"127.0.0.1", "localhost", "::1"}


@dataclass(slots=True)
class _Held:
    keys: tuple[Key, ...] = ()
    fetched: float | None = None  # monotonic clock, s; None: never
    asked: float | None = None
    failed: bool = False
    under_way: asyncio.Task[bool] | None = field(default=None, repr=False)

    def knows(self, names: frozenset[str]) -> bool:
        """Whether every key that is asked for by name is there."""
        return names <= {key.kid for key in self.keys}


class KeySets:
    """The sets of the configuration, by address; `transport` lets a test stand in for the issuer."""

    def __init__(
        self, clock: Clock, wanted: Iterable[KeySet] = (), transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._clock = clock
        self._transport = transport
        self._held: dict[KeySet, _Held] = {one: _Held() for one in wanted}

    async def keep(self) -> None:
        """Fetch every set now and whenever it is no longer fresh; never returns."""
        while self._held:
            await asyncio.gather(*(self._refresh(one, held) for one, held in tuple(self._held.items())))
            wait = AGAIN if any(held.failed for held in self._held.values()) else FRESH
            await asyncio.sleep(wait.total_seconds())
        await asyncio.Event().wait()

    def want(self, wanted: Iterable[KeySet]) -> None:
        """Know these sets as well; a new one is fetched when it is first needed, and from then on kept fresh."""
        for one in wanted:
            self._held.setdefault(one, _Held())

    async def get(self, wanted: KeySet, names: frozenset[str]) -> tuple[Key, ...]:
        """Return the keys of a set, in which the keys of these names should be.

        Raises Unavailable `signature.key_unavailable` where the issuer cannot be asked, and nothing is known instead.
        """
        held = self._held.setdefault(wanted, _Held())
        if not self._usable(held) or not held.knows(names):
            if self._may_ask(held):
                await self._refresh(wanted, held)
            usable = self._usable(held)
            if not usable or (held.failed and not held.knows(names)):
                # the key may be a new one: only the issuer could tell that it is not
                raise Unavailable(ErrorCode.SIGNATURE_KEY_UNAVAILABLE, "the issuer's keys cannot be fetched now")
        return held.keys

    async def close(self) -> None:
        """End what is under way."""
        tasks = [held.under_way for held in self._held.values() if held.under_way is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _usable(self, held: _Held) -> bool:
        return held.fetched is not None and self._clock.monotonic() - held.fetched < STALE.total_seconds()

    def _may_ask(self, held: _Held) -> bool:
        if held.under_way is not None or held.asked is None:
            return True
        return self._clock.monotonic() - held.asked >= AGAIN.total_seconds()

    async def _refresh(self, wanted: KeySet, held: _Held) -> None:
        if held.under_way is None:
            held.asked = self._clock.monotonic()
            held.under_way = asyncio.create_task(self._fetch(wanted, held), name="key set")
        # one waiter that goes away takes the fetch from nobody else
        await asyncio.shield(held.under_way)

    async def _fetch(self, wanted: KeySet, held: _Held) -> bool:
        try:
            async with (
                asyncio.timeout(WITHIN.total_seconds()),
                httpx.AsyncClient(trust_env=False, transport=self._transport, follow_redirects=False) as client,
            ):
                raw = await _read(client, wanted.url)
                if urlsplit(wanted.url).path.endswith(DESCRIPTION):
                    raw = await _read(client, _named(raw, wanted))
            held.keys = read_key_set(raw)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError, ValueError, RecursionError) as error:
            held.failed = True
            log.warning("key_set.unavailable", extra={"url": wanted.url, "reason": type(error).__name__})
            return False
        else:
            held.fetched, held.failed = self._clock.monotonic(), False
            return True
        finally:
            held.under_way = None


async def _read(client: httpx.AsyncClient, url: str) -> bytes:
    async with client.stream("GET", url, headers={"accept": "application/json"}) as response:
        if response.status_code != HTTPStatus.OK:
            raise ValueError("no document")
        found = b""
        async for chunk in response.aiter_bytes():
            found += chunk
            if len(found) > MAX_SIZE:
                raise ValueError("too large")
        return found


def _named(description: bytes, wanted: KeySet) -> str:
    """Return the set's address out of an issuer's description, where it is one that may be asked."""
    document = json.loads(description)
    url = document.get("jwks_uri") if isinstance(document, dict) else None
    if not isinstance(url, str):
        raise ValueError("names no keys")  # noqa: TRY004 - one kind of error for whatever is wrong
    own, other = urlsplit(wanted.url), urlsplit(url)
    secure = other.scheme == "https" or (other.scheme == own.scheme and other.hostname in _HERE)
    if not secure or (other.netloc != own.netloc and other.netloc not in wanted.hosts):
        raise ValueError("names keys elsewhere")
    return url
