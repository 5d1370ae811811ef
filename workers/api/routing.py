"""How a resource declares its routes: each with the scope it needs, which also stands in the description of the API."""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from holdfast.domain.access import Scope
from workers.api.guard import Guard
from workers.api.openapi import KEYED, described

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Routes:
    """Collects routes; `scopes` says by operation id what each needs."""

    def __init__(self, guard: Guard) -> None:
        self.router = APIRouter()
        self.scopes: dict[str, Scope] = {}
        self._guard = guard

    def look(
        self, path: str, name: str, tag: str, *more: int, scope: Scope = Scope.READ, model: Any = None
    ) -> Callable[[Handler], Handler]:
        """Declare a GET. `more` are statuses that it may answer beside those of all routes."""
        return self._declare(self.router.get, path, name, tag, scope, described(*more, model=model), {})

    def act(  # noqa: PLR0913 - one route has this many parts
        self,
        path: str,
        name: str,
        tag: str,
        *more: int,
        scope: Scope = Scope.OPERATE,
        model: Any = None,
        keyed: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Declare a POST, an operation."""
        extra = dict(KEYED) if keyed else {}
        return self._declare(self.router.post, path, name, tag, scope, described(*more, model=model), extra)

    def _declare(  # noqa: PLR0913, PLR0917
        self, method: Any, path: str, name: str, tag: str, scope: Scope, responses: Any, extra: dict[str, Any]
    ) -> Callable[[Handler], Handler]:
        self.scopes[name] = scope
        made: Callable[[Handler], Handler] = method(
            path,
            operation_id=name,
            tags=[tag],
            responses=responses,
            openapi_extra=extra,
            dependencies=[self._guard.needs(scope)],
        )
        return made


def answer(value: Any) -> JSONResponse:
    """Return a result as the command line's `--json` prints it."""
    return JSONResponse(value.model_dump(mode="json") if isinstance(value, BaseModel) else value)
