"""Reads a request's body as raw bytes, within the source's cap, a deadline and the memory of the process.

Flow: **receive** → authenticate → normalise → identify → publish.
"""

import asyncio
import io
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.limits import BODY_WITHIN, MAX_BUFFERED
from gateway.requests import RawRequest
from holdfast.clock import Clock
from holdfast.domain.schemes import SignedRequest
from holdfast.errors import ErrorCode, RejectedInput, Unavailable

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Disconnected(Exception):  # noqa: N818 - a fact, not an error: nobody is there to answer
    """The sender went away before the body was whole."""


def check_head(headers: list[tuple[bytes, bytes]], cap: int) -> None:
    """Refuse by the headers alone: 413 by Content-Length, 415 by Content-Encoding."""
    for name, value in headers:
        if name == b"content-length":
            if _length(value) > cap:
                raise too_large(cap)
        elif name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            raise RejectedInput(
                ErrorCode.REQUEST_UNSUPPORTED_MEDIA_TYPE,
                "Content-Encoding must be absent: send the body uncompressed, as it was signed.",
            )


class Receiver:
    """Reads bodies, and counts the bytes of all that are held, so that many at once cannot exhaust the memory.

    What has arrived is counted, not what is announced: otherwise a few senders that only announce could shut out all.
    """

    def __init__(self, clock: Clock, limit: int = MAX_BUFFERED) -> None:
        self._clock = clock
        self._limit = limit  # bytes
        self.held = 0

    async def receive(self, scope: Scope, receive_event: Receive, cap: int, path_params: dict[str, str]) -> RawRequest:
        """Read one whole request, which is held until `release`; `cap` in bytes. `check_head` comes before it.

        Raises RejectedInput `request.too_large`, `request.too_slow`; Unavailable `not_ready`; or Disconnected.
        """
        try:
            async with asyncio.timeout(BODY_WITHIN.total_seconds()):
                body = await self._read(receive_event, cap)
        except TimeoutError as error:
            seconds = BODY_WITHIN.total_seconds()
            raise RejectedInput(ErrorCode.REQUEST_TOO_SLOW, f"The body did not arrive within {seconds:g} s.") from error
        headers = scope["headers"]
        path: str = scope["raw_path"].decode("latin-1")
        query: bytes = scope["query_string"]
        urls = _urls(headers, path, query)
        signed = SignedRequest(tuple(headers), body, scope["method"], path, urls, query.decode("latin-1"), _peer(scope))
        return RawRequest(signed, path_params, query, self._clock.now())

    def release(self, raw: RawRequest) -> None:
        """Forget a request's body."""
        self.held -= len(raw.body)

    async def _read(self, receive_event: Receive, cap: int) -> bytes:
        whole: io.BytesIO | None = None  # it grows in place: a list of chunks and their sum would be twice the body
        size = 0
        try:
            while True:
                event = await receive_event()
                chunk: bytes = event.get("body", b"")
                size += len(chunk)
                self.held += len(chunk)
                self._check(event, size, cap)
                if not event.get("more_body", False):
                    if whole is None:
                        return chunk
                    whole.write(chunk)
                    return whole.getvalue()
                whole = whole or io.BytesIO()
                whole.write(chunk)
        except BaseException:
            self.held -= size
            raise

    def _check(self, event: MutableMapping[str, Any], size: int, cap: int) -> None:
        if event["type"] == "http.disconnect":
            raise Disconnected
        if size > cap:
            raise too_large(cap)
        if self.held > self._limit:
            raise Unavailable(ErrorCode.NOT_READY, "too many large requests at once")


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _length(value: bytes) -> int:
    """Read a Content-Length, bytes; the parser of the server has refused what is no number."""
    if not value.isdigit():
        return 0
    return int(value) if len(value) <= 18 else 10**18  # Python refuses to read numbers of thousands of digits


def too_large(cap: int) -> RejectedInput:
    """413, with the cap in bytes."""
    return RejectedInput(ErrorCode.REQUEST_TOO_LARGE, f"The body is larger than {cap} bytes.")


def _urls(headers: list[tuple[bytes, bytes]], path: str, query: bytes) -> tuple[str, ...]:
    """Spell the address as the sender may have: which scheme it used is not known behind a proxy that ends TLS."""
    host = next((value.decode("latin-1") for name, value in headers if name == b"host"), "")
    tail = f"{host}{path}{'?' + query.decode('latin-1') if query else ''}"
    return (f"https://{tail}", f"http://{tail}")
