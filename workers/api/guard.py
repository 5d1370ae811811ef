"""Who asks, and whether they may: a token with a scope for every route but the description of the API itself.

A right token is always let in: failures are bounded in number, so that they cost neither log nor audit more than a few
lines, and nobody can lock another out. Flow: door → **guard** → desk.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from fastapi import Depends, Request
from fastapi.params import Depends as Dependency

from holdfast.domain.access import Access, Principal, Scope
from holdfast.errors import ErrorCode, RejectedInput, Unavailable

log = logging.getLogger(__name__)

BURST = 30  # failed authentications that are answered 401 or 403 at once
EVERY = timedelta(seconds=1)  # and then one in this time; the others are 429


class Failures:
    """A bucket of failures, which fills up again with time."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._left, self._at = float(BURST), now()

    def take(self) -> None:
        """Count one failure. Raises Unavailable `access.throttled` when there were too many."""
        now = self._now()
        self._left = min(float(BURST), self._left + (now - self._at) / EVERY.total_seconds())
        self._at = now
        if self._left < 1:
            raise Unavailable(
                ErrorCode.ACCESS_THROTTLED, "Too many requests without the right to them.", retry_after=EVERY
            )
        self._left -= 1


Refused = Callable[[Request, Principal], Awaitable[None]]
"""Writes down that a known token was refused what it has no scope for."""


class Guard:
    """Judges every request by its Authorization header."""

    def __init__(self, access: Access, refused: Refused) -> None:
        self._access = access
        self._refused = refused
        self._failures = Failures()

    def needs(self, scope: Scope) -> Dependency:
        """Return what a route depends on to let in only tokens of this scope; it leaves who asks in `state`."""

        async def judge(request: Request) -> None:
            state = request.scope["state"]
            state["operation"] = request.scope["route"].operation_id or ""
            given = tuple(value for name, value in request.scope["headers"] if name == b"authorization")
            try:
                principal = self._access.admit(given, Scope.READ)
            except RejectedInput:
                self._count(request, ErrorCode.ACCESS_UNAUTHENTICATED)
                raise
            state["by"], state["principal"] = principal.name, principal
            if not principal.scope.includes(scope):
                self._count(request, ErrorCode.ACCESS_FORBIDDEN)
                if scope is not Scope.READ:
                    await self._refused(request, principal)
                raise RejectedInput(
                    ErrorCode.ACCESS_FORBIDDEN,
                    f"The token {principal.name} has scope {principal.scope}; this needs {scope}.",
                )
            await asyncio.sleep(0)

        found: Dependency = Depends(judge)
        return found

    def _count(self, request: Request, code: ErrorCode) -> None:
        self._failures.take()
        log.warning("api.refused", extra={"code": code, "peer": peer_of(request)})


def peer_of(request: Request) -> str:
    """Return the address that a request came from."""
    return request.client.host if request.client is not None else ""
