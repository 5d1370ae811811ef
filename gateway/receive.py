"""Reads a request's body as raw bytes, within the source's cap, a deadline and the memory of the process.

Flow: **receive** → authenticate → normalise → identify → publish.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.limits import BODY_WITHIN, BUFFER_STEP, MAX_BUFFERED
from gateway.requests import RawRequest
from holdfast.clock import Clock
from holdfast.domain.schemes import SignedRequest
from holdfast.errors import ErrorCode, RejectedInput, Unavailable

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Disconnected(Exception):  # noqa: N818 - a fact, not an error: nobody is there to answer
    """The sender went away before the body was whole."""


class Buffers:
    """Counts the bytes of all bodies in progress, so that many large ones at once cannot exhaust the memory."""

    def __init__(self, limit: int = MAX_BUFFERED) -> None:
        self._limit = limit
        self._held = 0

    def take(self, size: int) -> None:
        """Count `size` more bytes. Raises Unavailable `not_ready` where there is no room."""
        if self._held + size > self._limit:
            raise Unavailable(ErrorCode.NOT_READY, "too many large requests at once")
        self._held += size

    def give_back(self, size: int) -> None:
        """Forget `size` bytes."""
        self._held -= size


def check_head(headers: list[tuple[bytes, bytes]], cap: int) -> None:
    """Refuse by the headers alone: 413 by Content-Length, 415 by Content-Encoding."""
    for name, value in headers:
        if name == b"content-length":
            if _length(value) > cap:
                raise too_large(cap)
        elif name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            raise RejectedInput(
                ErrorCode.REQUEST_UNSUPPORTED_MEDIA_TYPE, "Content-Encoding must be absent: send the body uncompressed."
            )


async def receive(
    scope: Scope, receive_event: Receive, cap: int, path_params: dict[str, str], clock: Clock
) -> RawRequest:
    """Read one whole request; `cap` in bytes.

    Raises RejectedInput `request.too_large`, `request.too_slow`, or Disconnected. `check_head` comes before it.
    """
    headers = scope["headers"]
    try:
        async with asyncio.timeout(BODY_WITHIN.total_seconds()):
            body = await _read(receive_event, cap)
    except TimeoutError as error:
        seconds = BODY_WITHIN.total_seconds()
        raise RejectedInput(ErrorCode.REQUEST_TOO_SLOW, f"The body did not arrive within {seconds:g} s.") from error
    path: str = scope["raw_path"].decode("latin-1")
    query: bytes = scope["query_string"]
    signed = SignedRequest(tuple(headers), body, scope["method"], path, _urls(headers, path, query))
    return RawRequest(signed, path_params, query, clock.now())


async def _read(receive_event: Receive, cap: int) -> bytes:
    event = await receive_event()
    first: bytes = event.get("body", b"")
    if event["type"] == "http.disconnect":
        raise Disconnected
    if not event.get("more_body", False):  # the common case: the whole body in one piece
        if len(first) > cap:
            raise too_large(cap)
        return first
    chunks, size = [first], len(first)
    while event.get("more_body", False):
        if size > cap:
            raise too_large(cap)
        event = await receive_event()
        if event["type"] == "http.disconnect":
            raise Disconnected
        chunk = event.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
    if size > cap:
        raise too_large(cap)
    return b"".join(chunks)


def reserve(headers: list[tuple[bytes, bytes]], cap: int) -> int:
    """Bytes to count for a request before it is read: what it announces, else all it may send."""
    for name, value in headers:
        if name == b"content-length":
            return max(BUFFER_STEP, min(_length(value), cap))
        if name == b"transfer-encoding":
            return max(BUFFER_STEP, cap)
    return BUFFER_STEP


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
