"""Fetches the certificates that senders sign with (Amazon SNS, PayPal), bounded in every direction, and keeps them.

Flow: **certificates** → authenticate. Only addresses under the preset's own list come here, so that a request cannot
make the gateway call anybody else; but which file is asked for is still the stranger's choice.
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

import httpx

from gateway.trust import Trust
from holdfast.clock import Clock
from holdfast.domain.schemes import KeySource
from holdfast.errors import ErrorCode, RejectedInput, Unavailable

log = logging.getLogger(__name__)

WITHIN = timedelta(seconds=2)  # for one fetch, connecting and all: senders wait 5 s and longer
KEPT = timedelta(hours=24)
REFUSED_FOR = timedelta(seconds=30)  # an address that gave none is not asked again for so long
MAX_SIZE = 65_536  # bytes of one answer; a certificate chain has less than 10 KiB
MAX_KEPT = 64  # addresses
AT_ONCE = 4  # fetches


@dataclass(frozen=True, slots=True)
class _Held:
    until: float  # of the monotonic clock, s
    certificate: bytes | None  # None: there is none at this address


class Certificates:
    """What was fetched, by address."""

    def __init__(
        self, clock: Clock, transport: httpx.AsyncBaseTransport | None = None, trust: Trust | None = None
    ) -> None:
        self._clock = clock
        self._trust = trust or Trust()
        self._transport = transport
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[bytes | None]] = {}

    async def get(self, address: str, source: KeySource) -> bytes:
        """Return the certificate (PEM) at an address, fetched at most once at a time, if it is that of `source`.

        Raises RejectedInput `signature.invalid` where the address holds none, Unavailable
        `signature.key_unavailable` where it cannot be asked now.
        """
        held = self._held.get(address)
        if held is None or held.until < self._clock.monotonic():
            task = self._under_way.get(address)
            if task is None:
                if len(self._under_way) >= AT_ONCE:
                    raise Unavailable(ErrorCode.SIGNATURE_KEY_UNAVAILABLE, "too many certificates are asked for")
                task = asyncio.create_task(self._fetch(address, source), name="certificate")
                self._under_way[address] = task
                task.add_done_callback(lambda done: self._settle(address, done))
            # one waiter that goes away takes the fetch from nobody else
            certificate = await asyncio.shield(task)
        else:
            certificate = held.certificate
        if certificate is None:
            raise RejectedInput(ErrorCode.SIGNATURE_INVALID, "there is no certificate at the address that is named")
        return certificate

    def _settle(self, address: str, done: asyncio.Task[bytes | None]) -> None:
        self._under_way.pop(address, None)
        if done.cancelled() or done.exception() is not None:
            return
        certificate = done.result()
        lasts = KEPT if certificate is not None else REFUSED_FOR
        self._held[address] = _Held(self._clock.monotonic() + lasts.total_seconds(), certificate)
        self._held.move_to_end(address)
        while len(self._held) > MAX_KEPT:
            # what is at hand goes last: a stranger who guesses addresses must not push out the one that is in use
            empty = next((key for key, held in self._held.items() if held.certificate is None), None)
            self._held.pop(empty if empty is not None else next(iter(self._held)))

    async def _fetch(self, address: str, source: KeySource) -> bytes | None:
        try:
            async with (
                asyncio.timeout(WITHIN.total_seconds()),
                httpx.AsyncClient(trust_env=False, transport=self._transport) as client,
                client.stream("GET", address, follow_redirects=False) as response,
            ):
                if response.status_code != HTTPStatus.OK:
                    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                        raise _unavailable()
                    return None
                found = await _bounded(response)
                if found is not None and not self._trust.believes(found, source, self._clock.now()):
                    log.warning("certificate.not_trusted", extra={"url": address})
                    return None
                return found
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            raise _unavailable() from error


async def _bounded(response: httpx.Response) -> bytes | None:
    found = b""
    async for chunk in response.aiter_bytes():
        found += chunk
        if len(found) > MAX_SIZE:
            return None
    return found if found.startswith(b"-----BEGIN CERTIFICATE-----") else None


def _unavailable() -> Unavailable:
    return Unavailable(ErrorCode.SIGNATURE_KEY_UNAVAILABLE, "the sender's certificate cannot be fetched now")
