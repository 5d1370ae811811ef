"""OAuth2 client credentials: one token per client, fetched when it is needed, kept in this process's memory only.

Flow: http → **oauth2** → the token endpoint. A token is never part of a history, a log or an error.
"""

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import httpx

from activities.routes import Route, extensions
from holdfast.clock import Clock
from holdfast.errors import ErrorCode, TransientFailure

MAX_TOKENS = 256
MAX_ANSWER = 65_536  # bytes
LIFETIME = timedelta(minutes=5)  # of a token whose server names none
MARGIN = timedelta(seconds=30)  # renewed that much before its end, or at half of a life shorter than twice this
_ERROR = re.compile(r"[a-z_]{1,60}")  # RFC 6749 §5.2: a word, so nothing else of the answer is shown


@dataclass(frozen=True, slots=True)
class Client:
    """One client at one token endpoint, its secrets read; never shown."""

    token_url: str
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    fields: tuple[tuple[str, str], ...]  # scope, audience, …
    in_header: bool
    route: Route


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    until: datetime


class Tokens:
    """The tokens of this process. One fetch at a time per client; the others wait for it."""

    def __init__(self, http: httpx.AsyncClient, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._known: dict[Client, _Token] = {}
        self._locks: dict[Client, asyncio.Lock] = {}

    async def get(self, client: Client, *, instead_of: str | None = None) -> str:
        """Return a token that is valid, and another than `instead_of`. Raises TransientFailure `target.…`."""
        lock = self._locks.setdefault(client, asyncio.Lock())
        async with lock:
            known = self._known.get(client)
            if known is not None and known.until > self._clock.now() and known.value != instead_of:
                return known.value
            token = await self._fetch(client)
            self._known.pop(client, None)
            self._known[client] = token
            if len(self._known) > MAX_TOKENS:
                oldest = next(iter(self._known))
                del self._known[oldest]
                self._locks.pop(oldest, None)
            return token.value

    async def _fetch(self, client: Client) -> _Token:
        form = {"grant_type": "client_credentials", **dict(client.fields)}
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        if client.in_header:  # RFC 6749 §2.3.1: form-encoded before it becomes HTTP Basic
            pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form |= {"client_id": client.client_id, "client_secret": client.client_secret}
        try:
            request = self._http.build_request(
                "POST", client.token_url, headers=headers, data=form, extensions=dict(extensions(client.route))
            )
            response = await self._http.send(request, stream=True)
            try:
                raw = await _bounded(response)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise TransientFailure(
                ErrorCode.TARGET_UNREACHABLE, f"the token endpoint {client.token_url}: {type(error).__name__}"
            ) from None
        return self._read(client, response.status_code, raw)

    def _read(self, client: Client, status: int, raw: bytes) -> _Token:
        document = _object(raw)
        if status >= 500 or status in {408, 425, 429}:
            raise TransientFailure(
                ErrorCode.TARGET_RETRY_LATER, f"the token endpoint {client.token_url}: HTTP {status}"
            )
        token = document.get("access_token")
        if status != 200 or not isinstance(token, str) or not token.isascii() or not token.isprintable():
            word = document.get("error")
            said = f" {word}" if isinstance(word, str) and _ERROR.fullmatch(word) else ""
            # transient, like a secret that is missing: mending it mends the delivery
            raise TransientFailure(
                ErrorCode.TARGET_MISCONFIGURED, f"the token endpoint {client.token_url} gave no token: {status}{said}"
            )
        life = _lifetime(document.get("expires_in"))
        return _Token(token, self._clock.now() + max(life - MARGIN, life / 2))


async def _bounded(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_raw():
        body += chunk[: MAX_ANSWER - len(body)]
        if len(body) >= MAX_ANSWER:
            break
    return body


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _lifetime(value: Any) -> timedelta:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return LIFETIME
    return timedelta(seconds=min(max(seconds, 0.0), 86_400.0)) if seconds == seconds else LIFETIME  # noqa: PLR0124 - NaN
