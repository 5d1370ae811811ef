"""`/v1/events`, `/v1/rejected`, `/v1/triggers`: where an event is, what was refused, what is done with events."""

import re
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from holdfast.bus.rejections import newest_rejections
from holdfast.bus.whereabouts import whereabouts
from holdfast.contracts.rejections import Rejection
from holdfast.contracts.status import DeliveriesAnswer, DeliveriesQuestion, EventStatus
from holdfast.domain.triggers import TriggerConfig
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.ids import NAME
from holdfast.temporal.whereabouts import Whereabouts
from workers.api.desk import Desk
from workers.api.queries import moment
from workers.api.routing import Routes, answer

MAX_ID = 1_000  # characters
MAX_LIMIT = 1_000
_ACTIONS = ("workflow", "http", "nats", "activity", "log")
_CODE = re.compile(r"[a-z0-9_.]{1,64}")


class RejectionList(BaseModel):
    """The newest first."""

    items: list[Rejection]


class TriggerView(BaseModel):
    """One trigger, without what it sends."""

    name: str
    on: list[str]
    when: str | None
    action: str
    hash: str  # of its configuration, as dead letters have it


def declare(routes: Routes, desk: Desk) -> None:
    """Add the routes."""

    @routes.look("/v1/events/{source}/{event_id:path}", "event.show", "events", 404, model=EventStatus)
    async def event(source: str, event_id: str) -> JSONResponse:
        """Say where an event is now. What still lies in a gateway's outbox is known to that gateway alone."""
        plain = event_id.isascii() and event_id.isprintable() and 0 < len(event_id) <= MAX_ID
        if not plain or NAME.fullmatch(source) is None:
            raise RejectedInput(ErrorCode.NOT_FOUND, "Nothing is known of such an event.")
        names = [trigger.name for trigger in desk.loaded.triggers.listening(source)]

        async def ask(question: DeliveriesQuestion) -> DeliveriesAnswer:
            return await Whereabouts(desk.client(), desk.ui).find(question, names)

        found = await whereabouts(desk.bus, source, event_id, ask)
        if not found.known:
            raise RejectedInput(ErrorCode.NOT_FOUND, "Nothing is known of such an event.")
        return answer(found)

    @routes.look("/v1/rejected", "rejected.list", "events", model=RejectionList)
    async def rejected(
        source: Annotated[str | None, Query(max_length=200, description="`_unknown`: of paths of no source.")] = None,
        since: Annotated[str, Query(max_length=64, description="How far to look back, or a time with zone.")] = "24h",
        code: Annotated[str | None, Query(max_length=64, description="Only with this code.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
    ) -> JSONResponse:
        """List requests that the gateways refused, the newest first."""
        if code is not None and not _CODE.fullmatch(code):
            raise RejectedInput(ErrorCode.INPUT_INVALID, "code: an error code, like signature.invalid")
        begin = moment(since, desk.clock.now())
        found = await newest_rejections(desk.bus, since=begin, source=source, code=code, limit=limit)
        return answer({"items": [each.model_dump(mode="json") for each in found]})

    @routes.look("/v1/triggers", "trigger.list", "triggers")
    async def triggers() -> JSONResponse:
        """List the triggers that this worker was started with."""
        config = desk.loaded.config.triggers
        return answer({"items": [_view(desk, name, one) for name, one in sorted(config.items())]})

    @routes.look("/v1/triggers/{name}", "trigger.show", "triggers", 404, model=TriggerView)
    async def trigger(name: str) -> JSONResponse:
        """Show one trigger."""
        config = desk.loaded.config.triggers.get(name)
        if config is None:
            raise RejectedInput(ErrorCode.NOT_FOUND, "There is no such trigger.")
        return answer(_view(desk, name, config))


def _view(desk: Desk, name: str, config: TriggerConfig) -> dict[str, Any]:
    compiled = desk.loaded.triggers.get(name)
    action = next((kind for kind in _ACTIONS if getattr(config.run, kind, None) is not None), "")
    digest = compiled.hash if compiled is not None else ""
    return {"name": name, "on": list(config.on), "when": config.when, "action": action, "hash": digest}
