"""Ways to a target: plain, with private TLS, through a proxy, or guarded where an event chose the host.

Flow: http → **routes** → the network. One client for all of them; a way is chosen per request, and its connections are
kept. Guarded: every address that the name resolves to is checked, and the connection goes to one that was checked, so
that a name which resolves to something else a moment later gains nothing.
"""

import asyncio
import os
import socket
import ssl
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx

from holdfast.domain.addresses import refusal
from holdfast.errors import ErrorCode, PermanentFailure

EXTENSION = "holdfast.route"  # of a request: the Route it takes
MAX_ROUTES = 64  # each with its connections; rotated certificates leave old ones behind
_LIMITS = httpx.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=30)


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificates as PEM; never shown."""

    ca: str | None = field(default=None, repr=False)
    cert: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Route:
    """One way to a target; equal routes share connections."""

    guarded: bool = False
    tls: Tls | None = None
    proxy: str | None = field(default=None, repr=False)


class RoutedTransport(httpx.AsyncBaseTransport):
    """Sends each request on its route."""

    def __init__(self) -> None:
        self._plain = _open(Route())
        self._others: dict[Route, httpx.AsyncHTTPTransport] = {}
        self._busy: dict[Route, int] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send. Raises PermanentFailure `target.forbidden`; ssl.SSLError or ValueError where a PEM is none."""
        route = request.extensions.get(EXTENSION)
        if route is None or route == Route():
            return await self._plain.handle_async_request(request)
        self._busy[route] = self._busy.get(route, 0) + 1
        try:
            return await (await self._transport(route)).handle_async_request(request)
        finally:
            self._busy[route] -= 1

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in (self._plain, *self._others.values()):
            await transport.aclose()

    async def _transport(self, route: Route) -> httpx.AsyncHTTPTransport:
        found = self._others.pop(route, None) or _open(route)
        self._others[route] = found  # the last one used stands at the end
        if len(self._others) > MAX_ROUTES:
            idle = next((one for one in self._others if not self._busy.get(one)), None)
            if idle is not None:
                self._busy.pop(idle, None)
                await self._others.pop(idle).aclose()
        return found


def _open(route: Route) -> httpx.AsyncHTTPTransport:
    context = _context(route.tls) if route.tls is not None else ssl.create_default_context()
    transport = httpx.AsyncHTTPTransport(verify=context, limits=_LIMITS, trust_env=False, proxy=route.proxy)
    if route.guarded:
        # httpx has no door for a network backend, its transport is a thin coat around this pool
        transport._pool = httpcore.AsyncConnectionPool(  # noqa: SLF001
            ssl_context=context,
            max_connections=_LIMITS.max_connections,
            max_keepalive_connections=_LIMITS.max_keepalive_connections,
            keepalive_expiry=_LIMITS.keepalive_expiry,
            network_backend=GuardedBackend(),
        )
    return transport


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name once, refuses it where any of its addresses is not public, and connects to what it checked."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect. Raises PermanentFailure `target.forbidden`."""
        name = host.rstrip(".").lower()
        here = name == "localhost" or name.endswith(".localhost")  # RFC 6761, whatever a resolver makes of it
        addresses = checked(["127.0.0.1"] if here else await _resolve(name, port), host, port)
        last: Exception | None = None
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last or httpcore.ConnectError("the name has no address")

    async def sleep(self, seconds: float) -> None:
        """Wait, as the pool asks."""
        await self._inner.sleep(seconds)


def checked(addresses: list[str], host: str, port: int) -> list[str]:
    """Return the addresses where all may be called. Raises PermanentFailure `target.forbidden`."""
    for address in addresses:
        reason = refusal(address, port)
        if reason is not None:
            raise PermanentFailure(
                ErrorCode.TARGET_FORBIDDEN,
                f"the event names the host {host} ({address}), and {reason}; `allow_hosts` or"
                " `dangerous_allow_private_addresses` of the trigger permit it",
            )
    return addresses


async def _resolve(host: str, port: int) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"the name cannot be resolved: {type(error).__name__}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=tls.ca)
    if tls.cert is not None and tls.key is not None:
        _load(context, tls.cert + "\n" + tls.key)
    return context


def _load(context: ssl.SSLContext, pem: str) -> None:
    """Load a certificate with its key; the library reads files only, so one in memory where the system has such."""
    if not hasattr(os, "memfd_create"):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(file.name)
        return
    with os.fdopen(os.memfd_create("client-certificate"), "wb") as file:
        file.write(pem.encode())
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")


def extensions(route: Route) -> Mapping[str, Any]:
    """Return what a request needs to take a route."""
    return {} if route == Route() else {EXTENSION: route}
