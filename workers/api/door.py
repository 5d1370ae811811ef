"""What every request to the admin API must be before anybody reads it: meant for us, of no web page, small, in time.

There is no cookie and no CORS header, so a browser has nothing to send and may read nothing; beyond that a request that
a page makes is refused as such, and a Host that is not ours too, so that no page gets here by rebinding its own name.
Flow: uvicorn → **door** → guard → resource.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import timedelta
from typing import Any

from holdfast.errors import ErrorCode, HoldfastError, RejectedInput, Unavailable
from holdfast.telemetry.metrics import Metrics
from holdfast.telemetry.names import UNKNOWN
from workers.api.problems import problem

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 4_194_304  # bytes; an edited body of 1 MiB as JSON, escapes and all. An Update's input ends at 2 MiB anyway
BODY_WITHIN = timedelta(seconds=10)
ANSWER_WITHIN = timedelta(seconds=45)  # three calls of at most 15 s
AT_ONCE = 32  # requests under way
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_OWN_SITE = frozenset({b"none", b"same-origin"})  # of Sec-Fetch-Site: typed by a person, or by a page of ours


class Door:
    """Refuses what must not get in, bounds what may, and gives every request an id and every answer its headers."""

    def __init__(self, app: App, names: frozenset[str], metrics: Metrics) -> None:
        """`names` are hosts, without port, under which we may be called, besides LOCAL_NAMES."""
        self._app = app
        self._names = LOCAL_NAMES | {name.lower() for name in names}
        self._metrics = metrics
        self._room = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        began, request_id = time.monotonic(), uuid.uuid4()
        scope["state"] = {"request_id": str(request_id), "by": "", "operation": ""}
        answer = _Answer(send, str(request_id))
        try:
            await self._serve(scope, receive, answer)
        except HoldfastError as error:
            await self._refuse(scope, answer, error)
        except Exception:
            log.exception("api.failed", extra=_facts(scope, "operation", "request_id"))
            if not answer.begun:
                await self._refuse(scope, answer, RuntimeDefect())
        finally:
            state = scope["state"]
            self._metrics.api_request(state["operation"] or UNKNOWN, answer.status)
            took = round((time.monotonic() - began) * 1_000)
            facts = {"status": answer.status, "took_ms": took} | _facts(scope, "operation", "by", "request_id")
            log.info("api.request", extra=facts)

    async def _serve(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._check_host([value for name, value in headers if name == b"host"])
        _check_origin(headers)
        if self._room.locked():
            raise Unavailable(ErrorCode.NOT_READY, "too many requests at once")
        async with self._room:
            body = await _body(scope["method"], headers, receive)
            try:
                async with asyncio.timeout(ANSWER_WITHIN.total_seconds()):
                    await self._app(scope, _replay(body, receive), answer)
            except TimeoutError as error:
                if answer.begun:
                    raise
                raise Unavailable(
                    ErrorCode.NOT_READY, "no answer in time; whether it was done is unknown: look before you repeat it"
                ) from error

    def _check_host(self, given: list[bytes]) -> None:
        host = given[0].decode("latin-1").lower() if len(given) == 1 else ""
        bare, _, port = host.rpartition(":")
        name = bare if bare and port.isdigit() else host
        if name not in self._names:
            raise RejectedInput(
                ErrorCode.REQUEST_MISDIRECTED,
                "The admin API is not called by this Host; allow it with HOLDFAST_WORKER_API_NAMES.",
            )

    @staticmethod
    async def _refuse(scope: Scope, answer: "_Answer", error: HoldfastError) -> None:
        async def nothing() -> MutableMapping[str, Any]:
            return {"type": "http.disconnect"}

        await problem(error, scope["state"]["request_id"])(scope, nothing, answer)


class RuntimeDefect(HoldfastError):  # noqa: N818 - the family is named for verdicts
    """A bug of the API's own code."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.DEFECT, "a bug")


class _Answer:
    """Sends an answer, with the headers that all have."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.begun = False
        self.status = 499  # where the client left first

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.begun, self.status = True, message["status"]
            message["headers"] = [
                *message.get("headers", ()),
                (b"cache-control", b"no-store"),
                (b"x-content-type-options", b"nosniff"),
                (b"x-request-id", self._request_id.encode()),
            ]
        await self._send(message)


def _check_origin(headers: list[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        if name == b"origin" or (name == b"sec-fetch-site" and value not in _OWN_SITE):
            raise RejectedInput(ErrorCode.REQUEST_CROSS_ORIGIN, "The admin API does not answer web pages.")


async def _body(method: str, headers: list[tuple[bytes, bytes]], receive: Receive) -> bytes:
    """Read the whole body. Only JSON is taken, so that no form can post here."""
    if method not in {"GET", "HEAD"}:
        kinds = [value.partition(b";")[0].strip().lower() for name, value in headers if name == b"content-type"]
        if kinds != [b"application/json"]:
            raise RejectedInput(ErrorCode.REQUEST_UNSUPPORTED_MEDIA_TYPE, "Send Content-Type: application/json.")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN.total_seconds()):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RejectedInput(ErrorCode.REQUEST_TOO_SLOW, "The request ended before its body did.")
                body += message.get("body", b"")
                if len(body) > MAX_BODY:
                    raise RejectedInput(ErrorCode.REQUEST_TOO_LARGE, f"A body may have {MAX_BODY} bytes.")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError as error:
        raise RejectedInput(ErrorCode.REQUEST_TOO_SLOW, "The body did not arrive in time.") from error


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _facts(scope: Scope, *names: str) -> dict[str, Any]:
    return {name: scope["state"][name] for name in names}
