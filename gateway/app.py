"""Composes the gateway's two HTTP applications: webhooks with health (public), metrics with health (operators).

`/hooks/…` goes to `hooks.py` before FastAPI sees it; FastAPI serves the rest and the OpenAPI document of both.
"""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.health import health_router
from gateway.hooks import Hooks, Send
from gateway.openapi import document
from gateway.problems import problem_of
from gateway.readiness import Readiness
from gateway.receive import Receive, Scope
from gateway.routes import Routes
from gateway.status import Status, status_router
from holdfast import __version__
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.telemetry.metrics import Metrics


class WebhookApp:
    """The application on the public port."""

    def __init__(self, hooks: Hooks, routes: Routes, readiness: Readiness, status: Status) -> None:
        self._hooks = hooks
        self.rest = _fastapi("Holdfast")
        self.rest.include_router(health_router(readiness))
        self.rest.include_router(status_router(status))
        self.describe(routes)

    def describe(self, routes: Routes) -> None:
        """Have the OpenAPI document tell of these routes."""
        self.rest.openapi_schema = None
        described = document(self.rest, routes)
        self.rest.openapi = lambda: described  # type: ignore[method-assign]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch one request."""
        if scope["type"] == "http" and scope["raw_path"].startswith(b"/hooks/"):
            await self._hooks(scope, receive, send)
        else:
            await self.rest(scope, receive, send)


def ops_app(readiness: Readiness, metrics: Metrics) -> FastAPI:
    """Return the application on the operators' port."""
    app = _fastapi("Holdfast gateway, for operators")
    app.include_router(health_router(readiness))

    text: dict[int | str, dict[str, Any]] = {
        200: {"description": "The exposition format of Prometheus.", "content": {"text/plain": {}}}
    }

    @app.get("/metrics", summary="Prometheus metrics", tags=["metrics"], response_class=Response, responses=text)
    async def exposition() -> Response:
        body, content_type = metrics.exposition()
        return Response(body, media_type=content_type)

    return app


def _fastapi(title: str) -> FastAPI:
    # no interactive pages: they load scripts from elsewhere
    app = FastAPI(title=title, version=__version__, docs_url=None, redoc_url=None)

    @app.exception_handler(HTTPException)
    async def translate(_: Request, error: HTTPException) -> Response:
        if error.status_code == 405:
            allow = (error.headers or {}).get("Allow", "GET").split(", ")
            problem = RejectedInput(ErrorCode.REQUEST_METHOD_NOT_ALLOWED, f"Use {' or '.join(allow)}.")
            answer = problem_of(problem, allow=allow)
        else:
            answer = problem_of(RejectedInput(ErrorCode.NOT_FOUND, "There is nothing here."))
        return Response(answer.body, answer.status, {name.decode(): value.decode() for name, value in answer.headers})

    return app
