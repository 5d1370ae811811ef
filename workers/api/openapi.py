"""What the description at `/openapi.json` says beyond the routes themselves: problems, the token, who may what."""

from typing import Any

from fastapi import FastAPI

from holdfast import __version__
from holdfast.domain.access import Scope

_TEXTS = {
    400: "A parameter, the body or the cursor is not as described.",
    401: "There is no token, or an unknown one.",
    403: "The token's scope does not include this; or the request comes from a web page.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "The case, or the operation, is in a state in which this cannot be done; the code says which.",
    413: "The body is too large.",
    415: "Send Content-Type: application/json.",
    421: "The API is not called by this Host.",
    429: "Too many requests without the right to them.",
    500: "A bug; the log has it under the request id.",
    503: "NATS or Temporal does not answer, no worker runs, or the audit log is full. Try again after Retry-After.",
}
_ALL = (400, 401, 403, 421, 429, 500, 503)
_POSTED = (408, 413, 415)
_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same request with the same key is done once, however often it is sent.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
}

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457.",
    "required": ["type", "title", "status", "code", "detail", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; branch on it."},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "The request id: in X-Request-Id, the log and the audit log."},
    },
}

KEYED = {"x-idempotent": True}
"""`openapi_extra` of a route that takes an Idempotency-Key."""


def described(*more: int, model: Any = None) -> dict[int | str, dict[str, Any]]:
    """Return the answers of a route: 200 with `model`, the problems of all routes, and `more`."""
    answers: dict[int | str, dict[str, Any]] = {200: {"description": "Done; as it is now.", "model": model}}
    if model is None:
        answers = {200: {"description": "As it is now.", "content": {"application/json": {"schema": {}}}}}
    return answers | {status: {"description": _TEXTS[status]} for status in sorted({*_ALL, *more})}


def document(app: FastAPI, scopes: dict[str, Scope]) -> dict[str, Any]:
    """Return the whole description; `scopes` by operation id."""
    found = dict(FastAPI.openapi(app))
    found["info"] = {
        "title": "Holdfast admin API",
        "version": __version__,
        "description": "Dead letters, operations over many, schedules, escalations and events by HTTP. Ids may be sent"
        " as they are or percent-encoded. Every operation (POST) is written to the audit log before it is done.",
    }
    components = found.setdefault("components", {})
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path in found["paths"].values():
        for method, operation in path.items():
            _complete(operation, method, scopes.get(operation.get("operationId", "")))
    return found


def _complete(operation: dict[str, Any], method: str, scope: Scope | None) -> None:
    answers = operation["responses"]
    answers.pop("422", None)  # ours are 400
    if method == "post":
        answers.update({str(status): {"description": _TEXTS[status]} for status in _POSTED})
    for status, answer in answers.items():
        if int(status) >= 400:
            content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
            answer.update(content=content, headers=_RETRY if status in {"429", "503"} else {})
    if operation.pop("x-idempotent", False):
        operation.setdefault("parameters", []).append(_KEY)
    if scope is not None:
        operation["security"] = [{"token": []}]
        operation["description"] = f"{operation.get('description', '')} Scope: `{scope}`.".strip()
