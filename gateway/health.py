"""`/healthz/live`: the process answers. `/healthz/ready`: it may get traffic, else 503 with the reason as a problem."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from gateway.problems import problem_of
from gateway.readiness import Readiness
from holdfast.errors import Unavailable


def health_router(readiness: Readiness) -> APIRouter:
    """Routes for both ports."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz/live", summary="Whether the process answers at all")
    async def live() -> JSONResponse:
        return JSONResponse({"status": "live"})

    @router.get(
        "/healthz/ready",
        summary="Whether events can be stored now, on the bus or in the outbox",
        responses={
            503: {"description": "Not ready; the problem says why.", "content": {"application/problem+json": {}}}
        },
    )
    async def ready() -> Response:
        problem = readiness.problem()
        if problem is None:
            return JSONResponse({"status": "ready", **readiness.facts()})
        answer = problem_of(Unavailable(problem.code, problem.message), detail=problem.message)
        headers = {name.decode(): value.decode() for name, value in answer.headers}
        return Response(answer.body, answer.status, headers)

    return router
