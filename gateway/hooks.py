"""The ASGI application behind `/hooks/…`: finds the source, runs the pipeline, answers.

It stands in front of FastAPI and builds no request objects: routing, dependencies and validation by a framework would
cost more than all steps of the pipeline together.
"""

import asyncio
import contextlib
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from gateway.held import Held, in_vain, settled
from gateway.limits import LINGER, LINGER_BYTES
from gateway.pipeline import BatchReceipt, Pipeline, Receipt
from gateway.problems import Answer, problem_of, problem_of_bug
from gateway.receive import Disconnected, Receive, Scope
from gateway.rejections import RejectionLog
from gateway.routes import Route, Routes, method_not_allowed
from holdfast.clock import Clock
from holdfast.errors import ErrorCode, HoldfastError, Unavailable

log = logging.getLogger(__name__)

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

UNKNOWN_SOURCE = "_unknown"  # the label of every path of no source: whoever guesses paths makes no new series


class GatewayMetrics(Protocol):
    """What is counted here: `holdfast.telemetry.metrics.Metrics`."""

    def requests(self, source: str, status: int) -> None:
        """Count an answer."""
        ...

    def accepted(self, source: str, duplicate: bool) -> None:
        """Count a stored event."""
        ...

    def rejected(self, source: str, code: str) -> None:
        """Count a refusal."""
        ...

    def ingest_seconds(self, source: str, seconds: float) -> None:
        """Record how long the answer took."""
        ...


class Hooks:
    """Answers webhooks."""

    def __init__(
        self, routes: Routes, pipeline: Pipeline, metrics: GatewayMetrics, clock: Clock, rejections: RejectionLog
    ) -> None:
        self._routes = routes
        self._pipeline = pipeline
        self._metrics = metrics
        self._clock = clock
        self._rejections = rejections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = self._clock.monotonic()
        found = self._routes.find(scope["raw_path"])
        source = found[0].source if found is not None else UNKNOWN_SOURCE
        try:
            reply = await self._answer(found, scope, receive)
        except Disconnected:
            log.info("request.abandoned", extra={"source": source})
            return
        self._metrics.ingest_seconds(source, self._clock.monotonic() - began)  # stored by now; a wait is no part of it
        answer = await self._outcome(reply, receive) if isinstance(reply, Held) else reply
        self._metrics.requests(source, answer.status)
        await _send(answer, receive, send)

    async def _answer(
        self, found: tuple[Route, dict[str, str]] | None, scope: Scope, receive: Receive
    ) -> Answer | Held:
        source = found[0].source if found is not None else UNKNOWN_SOURCE
        try:
            if found is None:
                return self._refused(None, scope, await self._pipeline.refuse(scope, receive))
            route, path_params = found
            if scope["method"] not in route.reachable_by:
                raise method_not_allowed(route)  # noqa: TRY301 - translated below, like every refusal
            receipt = await self._pipeline.accept(route, path_params, scope, receive)
        except HoldfastError as error:
            only = found[0].methods if found and error.code is ErrorCode.REQUEST_METHOD_NOT_ALLOWED else ()
            return self._refused(found[0] if found else None, scope, error, allow=sorted(only))
        except asyncio.CancelledError:  # the process is going down and will not wait longer
            self._metrics.rejected(source, ErrorCode.NOT_READY)
            return problem_of(Unavailable(ErrorCode.NOT_READY, "The gateway is shutting down."))
        except Disconnected:
            raise
        except Exception:
            correlation_id = str(uuid.uuid4())
            log.exception("request.failed", extra={"source": source, "correlation_id": correlation_id})
            self._metrics.rejected(source, ErrorCode.DEFECT)
            return problem_of_bug(correlation_id)
        return self._accepted(receipt, route)

    async def _outcome(self, held: Held, receive: Receive) -> Answer:
        """Wait for the outcome; also where the process ends meanwhile the event is accepted."""
        ticket = held.ticket
        try:
            outcome = await self._pipeline.waiting.outcome(ticket, receive, duplicate=held.duplicate)
        except asyncio.CancelledError:
            return held.at_once
        finally:
            ticket.close()
        if outcome is not None:
            return settled(held, outcome)
        return in_vain(held) if self._clock.monotonic() >= ticket.deadline else held.at_once

    def _accepted(self, receipt: Receipt | BatchReceipt | Answer, route: Route) -> Answer | Held:
        match receipt:
            case Answer():
                return receipt
            case BatchReceipt(receipts):
                for each in receipts:
                    self._metrics.accepted(route.source, each.duplicate)
                return accepted_batch(receipt, route)
            case Receipt():
                self._metrics.accepted(route.source, receipt.duplicate)
                answer = accepted(receipt, route)
                if receipt.ticket is None:
                    return answer
                return Held(receipt.event_id, receipt.duplicate, _location(receipt), route, receipt.ticket, answer)

    def _refused(self, route: Route | None, scope: Scope, error: HoldfastError, allow: Sequence[str] = ()) -> Answer:
        source = route.source if route is not None else UNKNOWN_SOURCE
        answer = problem_of(error, allow=allow)
        # after the answer is on its way: how long it takes tells nobody anything
        asyncio.get_running_loop().call_soon(self._rejections.note, source, route, scope, error, answer.status)
        self._metrics.rejected(source, error.code)
        facts = {"source": source, "code": str(error.code), "status": answer.status, "reason": error.message}
        log.info("request.rejected", extra=facts)
        return answer


def accepted(receipt: Receipt, route: Route) -> Answer:
    """Answer a stored event: the receipt as JSON, or what the source insists on; always with its Location."""
    location = _location(receipt)
    if route.respond is not None:
        return Answer(route.respond.status, (*route.respond.headers, location), route.respond.body)
    body = _written(receipt).encode()
    headers = ((b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), location)
    return Answer(route.status, (*headers, *route.headers), body)


def accepted_batch(batch: BatchReceipt, route: Route) -> Answer:
    """Answer a stored batch: every receipt in its order, or what the source insists on."""
    if route.respond is not None:
        return route.respond
    body = f'{{"status": "accepted", "events": [{", ".join(map(_written, batch.receipts))}]}}'.encode()
    headers = ((b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)))
    return Answer(route.status, (*headers, *route.headers), body)


def _location(receipt: Receipt) -> tuple[bytes, bytes]:
    return (b"location", f"/events/{receipt.source}/{quote(receipt.event_id, safe='')}".encode())


def _written(receipt: Receipt) -> str:
    # by hand: json.dumps of the whole would cost twice as much
    duplicate = "true" if receipt.duplicate else "false"
    spooled = ', "spooled": true' if receipt.spooled else ""
    return f'{{"id": {json.dumps(receipt.event_id)}, "status": "accepted", "duplicate": {duplicate}{spooled}}}'


async def _send(answer: Answer, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    if not answer.closes:
        await send({"type": "http.response.body", "body": answer.body})
        return
    # The sender may still be writing. Were the connection closed now, its unread bytes would turn the close into a
    # reset, which can destroy the answer before it is read: so it is sent whole, and then the rest is thrown away.
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    await _linger(receive)
    await send({"type": "http.response.body", "body": b""})


async def _linger(receive: Receive) -> None:
    thrown_away = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER.total_seconds()):
            while thrown_away < LINGER_BYTES:
                event = await receive()
                if event["type"] == "http.disconnect" or not event.get("more_body", False):
                    return
                thrown_away += len(event.get("body", b""))
