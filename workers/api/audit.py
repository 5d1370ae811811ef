"""`/v1/audit`: who did what over this API. Flow: desk → stream AUDIT, the newest first."""

from typing import Annotated

from fastapi import Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from holdfast.bus.audit import AuditFilter, newest_entries
from holdfast.contracts.audit import AuditEntry
from holdfast.domain.access import Scope
from workers.api.desk import Desk
from workers.api.queries import moment
from workers.api.routing import Routes, answer


class AuditPage(BaseModel):
    """The newest first."""

    items: list[AuditEntry]


def declare(routes: Routes, desk: Desk) -> None:
    """Add the route."""

    @routes.look("/v1/audit", "audit.list", "audit", scope=Scope.ADMIN, model=AuditPage)
    async def audit(
        since: Annotated[str, Query(max_length=64, description="How far to look back, or a time with zone.")] = "7d",
        by: Annotated[str | None, Query(max_length=200, description="Only of the token of this name.")] = None,
        action: Annotated[
            str | None, Query(max_length=64, description="Only this action, or its first word: schedule.")
        ] = None,
        target: Annotated[str | None, Query(max_length=1_000, description="Only on this.")] = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> JSONResponse:
        """List operations, each with its outcome; `started`: the worker ended before it could say how it ended."""
        wanted = AuditFilter(since=moment(since, desk.clock.now()), by=by, action=action, target=target)
        found = await newest_entries(desk.bus, wanted, limit=limit)
        return answer({"items": [entry.model_dump(mode="json") for entry in found]})
