"""`/v1/escalations`: who is being told of failures, and quieting it. Flow: desk → holdfast/temporal/escalations.py."""

from typing import Annotated

from fastapi import Body, Query, Request
from fastapi.responses import JSONResponse

from holdfast.contracts.escalation_runs import EscalationView
from holdfast.contracts.moves import AcknowledgeInput
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.temporal import escalations
from workers.api.desk import Desk, Operation, signed, update_id
from workers.api.routing import Routes, answer

TAG = "escalations"


def declare(routes: Routes, desk: Desk) -> None:
    """Add the routes."""

    @routes.look("/v1/escalations", "escalation.list", TAG)
    async def listed(
        all: Annotated[bool, Query(description="Also those that have recovered.")] = False,  # noqa: A002
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> JSONResponse:
        """List groups of failures that are not settled, the newest first."""
        found = await escalations.list_escalations(desk.client(), everything=all, limit=limit)
        return answer({"items": [one.plain() for one in found]})

    @routes.look("/v1/escalations/{group:path}", "escalation.show", TAG, 404, model=EscalationView)
    async def show(group: str) -> JSONResponse:
        """Show one group: how many failures, who was told when, and what comes next."""
        return answer(await escalations.show_escalation(desk.client(), _known(group)))

    nothing = AcknowledgeInput()

    @routes.act(
        "/v1/escalations/{group:path}/acknowledge",
        "escalation.acknowledge",
        TAG,
        404,
        409,
        model=EscalationView,
        keyed=True,
    )
    async def acknowledge(
        request: Request, group: str, given: Annotated[AcknowledgeInput, Body()] = nothing
    ) -> JSONResponse:
        """Say that somebody looks after it: nobody else is told of what has failed until now."""
        key, by = update_id(request, given), signed(request, given)

        async def work() -> EscalationView:
            return await escalations.acknowledge_escalation(desk.client(), _known(group), by, update_id=key)

        return answer(await desk.carry_out(request, Operation("escalation.acknowledge", group), work))


def _known(group: str) -> str:
    if not (0 < len(group) <= 1_000 and group.isascii() and group.isprintable()):
        raise RejectedInput(ErrorCode.NOT_FOUND, "There is no such escalation.")
    return group
