"""What people and programmes with an access token may ask on the public port: where an event is, and what was refused.

Everybody else is told 401, whatever they ask for. Flow: token → **status** → bus, outbox, workers → EventStatus.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from gateway.identify import MAX_ID
from gateway.limits import MAX_STATUS, STATUS_WITHIN
from gateway.outbox_peek import peek
from gateway.problems import problem_of
from gateway.spool import spool_file
from holdfast.bus.asking import ask
from holdfast.bus.connect import Bus
from holdfast.bus.rejections import newest_rejections
from holdfast.bus.whereabouts import spooled, whereabouts
from holdfast.clock import Clock
from holdfast.contracts.rejections import Rejection
from holdfast.contracts.status import DeliveriesAnswer, DeliveriesQuestion, EventStatus
from holdfast.domain.access import Access, Scope
from holdfast.domain.quantities import parse_duration
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput, Unavailable
from holdfast.ids import NAME
from holdfast.settings.process import ProcessSettings

MAX_LISTED = 1_000
NOTHING_KNOWN = "Nothing is known of such an event."
_CODE = re.compile(r"[a-z0-9_.]{1,64}")


class Status:
    """Answers both questions."""

    def __init__(self, bus: Bus, settings: ProcessSettings, access: Access, clock: Clock) -> None:
        self._bus = bus
        self._outbox = spool_file(settings.data_dir)
        self._access = access
        self._clock = clock
        self._room = asyncio.Semaphore(MAX_STATUS)

    async def event(self, source: str, event_id: str) -> EventStatus:
        """Return where an event is. Raises RejectedInput `not_found`, Unavailable."""
        if not _possible(source, event_id):
            raise RejectedInput(ErrorCode.NOT_FOUND, NOTHING_KNOWN)
        status: EventStatus | None = None
        trouble: Unavailable | None = None
        try:
            async with asyncio.timeout(STATUS_WITHIN.total_seconds()):
                status = await whereabouts(self._bus, source, event_id, self._ask)
        except TimeoutError:
            trouble = Unavailable(ErrorCode.BUS_TIMEOUT, "the bus did not answer in time")
        except Unavailable as error:
            trouble = error
        if status is not None and status.known:
            return status
        kept = await asyncio.to_thread(peek, self._outbox, source, event_id)
        if kept is not None:
            return spooled(kept, trouble.message if trouble is not None else "")
        if trouble is not None:
            raise trouble
        if status is not None and status.deliveries == "unknown":  # it may be known to Temporal alone
            raise Unavailable(ErrorCode.NOT_READY, status.trouble or "the deliveries cannot be asked for")
        raise RejectedInput(ErrorCode.NOT_FOUND, NOTHING_KNOWN)

    async def rejected(self, query: dict[str, str]) -> list[Rejection]:
        """Return the newest refused requests. Raises RejectedInput `input.invalid`, Unavailable."""
        unknown = query.keys() - {"source", "since", "code", "limit"}
        if unknown:
            raise RejectedInput(ErrorCode.INPUT_INVALID, "Known here: source, since, code, limit.")
        limit, code = query.get("limit", "100"), query.get("code")
        if not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= MAX_LISTED):
            raise RejectedInput(ErrorCode.INPUT_INVALID, f"limit is a number from 1 to {MAX_LISTED}.")
        if code is not None and not _CODE.fullmatch(code):
            raise RejectedInput(ErrorCode.INPUT_INVALID, "code is an error code, like signature.invalid.")
        since = self._clock.now() - since_of(query.get("since", "24h"))
        return await newest_rejections(self._bus, since=since, source=query.get("source"), code=code, limit=int(limit))

    async def answer(self, request: Request, work: Callable[[], Awaitable[Response]]) -> Response:
        """Let a request through whose token may read; translate what is raised."""
        try:
            authorization = [value for name, value in request.scope["headers"] if name == b"authorization"]
            self._access.admit(tuple(authorization), Scope.READ)
            if self._room.locked():
                raise Unavailable(ErrorCode.NOT_READY, "too many questions at once")
            async with self._room:
                response = await work()
        except HoldfastError as error:
            answer = problem_of(error, detail=_detail(error))
            response = Response(answer.body, answer.status, {n.decode(): v.decode() for n, v in answer.headers})
        response.headers["cache-control"] = "no-store"
        return response

    async def _ask(self, question: DeliveriesQuestion) -> DeliveriesAnswer:
        return await ask(self._bus, question)


def status_router(status: Status) -> APIRouter:
    """Routes of the public port."""
    router = APIRouter(tags=["status"], include_in_schema=False)  # described in gateway/openapi.py

    @router.get("/events/{source}/{event_id:path}")
    async def event(request: Request, source: str, event_id: str) -> Response:
        async def work() -> Response:
            found = await status.event(source, event_id)
            return JSONResponse(found.model_dump(mode="json"))

        return await status.answer(request, work)

    @router.get("/rejected")
    async def rejected(request: Request) -> Response:
        async def work() -> Response:
            found = await status.rejected(dict(request.query_params))
            return _json({"rejected": [each.model_dump(mode="json", exclude_none=True) for each in found]})

        return await status.answer(request, work)

    return router


def _possible(source: str, event_id: str) -> bool:
    """Whether there can be such an event: what the gateway names is plain, so nobody is asked about anything else."""
    plain = event_id.isascii() and event_id.isprintable() and 0 < len(event_id) <= MAX_ID
    return plain and NAME.fullmatch(source) is not None


def since_of(text: str) -> timedelta:
    """Read `1h` as how far to look back. Raises RejectedInput `input.invalid`."""
    try:
        found: timedelta = parse_duration(text)
    except ValueError as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"since: {error}") from error
    return min(found, timedelta(days=3_650))


def _detail(error: HoldfastError) -> str | None:
    """Tell whoever has a token what is away; the default text speaks of an event that was not stored."""
    return error.message if isinstance(error, Unavailable) else None


def _json(value: Any) -> Response:
    return Response(json.dumps(value, ensure_ascii=False).encode(), media_type="application/json")
