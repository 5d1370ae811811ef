"""Composes the admin API: one application out of its resources, and the server that the worker runs for it."""

from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from holdfast.domain.access import Access
from holdfast.errors import ErrorCode, HoldfastError, RejectedInput
from holdfast.settings.process import ProcessSettings
from holdfast.telemetry.metrics import Metrics
from workers.api import audit, dead_letters, escalations, events, operations, schedules
from workers.api.desk import Desk
from workers.api.door import Door
from workers.api.guard import Guard
from workers.api.openapi import document
from workers.api.problems import problem
from workers.api.routing import Routes
from workers.health import OpsServer

KEEP_ALIVE = 5  # s
CONNECTIONS = 128
SHOWN_PROBLEMS = 5


def api_app(desk: Desk, access: Access, settings: ProcessSettings, metrics: Metrics) -> Door:
    """Return the application."""
    app = rest(desk, access)
    names = {name.strip() for name in settings.worker_api_names.split(",") if name.strip()}
    host = settings.worker_api_host
    names.add(f"[{host}]" if ":" in host else host)
    return Door(app, frozenset(names - {"0.0.0.0", "[::]"}), metrics)  # noqa: S104 - compared, not bound


def rest(desk: Desk, access: Access) -> FastAPI:
    """Return the routes behind the door."""
    app = FastAPI(title="Holdfast admin API", docs_url=None, redoc_url=None)  # such pages load scripts from elsewhere
    routes = Routes(Guard(access, desk.refuse))
    for resource in (dead_letters, operations, events, schedules, escalations, audit):
        resource.declare(routes, desk)
    app.include_router(routes.router)
    _translate(app)
    described = document(app, routes.scopes)
    app.openapi = lambda: described  # type: ignore[method-assign]
    return app


def api_server(app: Door) -> OpsServer:
    """Return the server; sockets are given to `serve`."""
    return OpsServer(
        uvicorn.Config(
            app,
            interface="asgi3",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=2,
        )
    )


def _translate(app: FastAPI) -> None:
    @app.exception_handler(HoldfastError)
    async def ours(request: Request, error: HoldfastError) -> Response:
        return problem(error, request.state.request_id)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        shown = "; ".join(_said(one) for one in error.errors()[:SHOWN_PROBLEMS])
        return problem(RejectedInput(ErrorCode.INPUT_INVALID, shown), request.state.request_id)

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> JSONResponse:
        request_id = request.state.request_id
        if error.status_code == 405:
            allow = (error.headers or {}).get("Allow", "GET")
            return problem(
                RejectedInput(ErrorCode.REQUEST_METHOD_NOT_ALLOWED, f"Use {allow}."), request_id, allow=allow
            )
        if error.status_code == 400:
            return problem(RejectedInput(ErrorCode.INPUT_INVALID, "The body is no JSON."), request_id)
        return problem(RejectedInput(ErrorCode.NOT_FOUND, "There is nothing here."), request_id)


def _said(one: dict[str, Any]) -> str:
    """Name the field and what is wrong with it, without its value."""
    place = ".".join(str(part) for part in one["loc"] if part not in {"body", "query", "path"})
    return f"{place or 'body'}: {one['msg']}"
