"""The OpenAPI description of the webhook routes, written by hand because no framework handles them."""

from typing import Any

from fastapi import FastAPI

from gateway.routes import Route, Routes

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; branch on it."},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
    },
}

_RECEIPT: dict[str, Any] = {
    "type": "object",
    "required": ["id", "status", "duplicate"],
    "properties": {
        "id": {"type": "string", "description": "The event's id."},
        "status": {"const": "accepted"},
        "duplicate": {"type": "boolean", "description": "The event was stored before, under the same id."},
        "spooled": {
            "const": True,
            "description": "The bus is away: the event is on the gateway's own disk and goes to the bus by itself.",
        },
    },
}

_BATCH_RECEIPT: dict[str, Any] = {
    "type": "object",
    "description": "The answer to a batch of CloudEvents, in its order.",
    "required": ["status", "events"],
    "properties": {
        "status": {"const": "accepted"},
        "events": {"type": "array", "items": {"$ref": "#/components/schemas/Receipt"}},
    },
}

_REFUSALS = {
    "400": "The body is not what its Content-Type says, or the event has no id.",
    "401": "The signature is missing, wrong or too old.",
    "403": "The signature holds, but the source does not take it from this address.",
    "404": "There is no such source.",
    "405": "The source does not take this method; see Allow.",
    "408": "The body did not arrive in time.",
    "413": "The body is larger than the source accepts.",
    "415": "The body is compressed.",
    "429": "The source sends more than its limits allow. Send it again, after Retry-After seconds.",
    "500": "A bug; the log holds it under the problem's instance.",
    "503": "The event is not stored, or it is unknown whether it is. Send it again, after Retry-After seconds.",
}


_LATER = {"429", "503"}
_AGAIN = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


def document(app: FastAPI, routes: Routes) -> dict[str, Any]:
    """Return the whole document: what FastAPI knows of `app`, and one path for every source."""
    described = dict(FastAPI.openapi(app))
    described["paths"] = {**_paths(routes), **described.get("paths", {})}
    components = described.setdefault("components", {})
    schemas = {"Problem": _PROBLEM, "Receipt": _RECEIPT, "BatchReceipt": _BATCH_RECEIPT}
    components.setdefault("schemas", {}).update(schemas)
    return described


def _paths(routes: Routes) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for route in routes:
        operation = {
            "tags": ["webhooks"],
            "summary": f"Send an event of {route.source}",
            "requestBody": {"required": True, "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}},
            "responses": {**_greeted(route, "POST"), **_accepted(route), **_refused()},
        }
        params = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in route.path_names
        ]
        paths[route.path] = {method.lower(): {**operation, "parameters": params} for method in sorted(route.methods)}
        for method in sorted(route.greeter.methods - route.methods):
            paths[route.path][method.lower()] = {
                "tags": ["webhooks"],
                "summary": f"Ask before events of {route.source} are sent",
                "responses": {**_greeted(route, method), **_refused()},
                "parameters": params,
            }
    return paths


def _greeted(route: Route, method: str) -> dict[str, Any]:
    """Describe the answers to handshakes; an event's own answer of the same status comes over it."""
    described = "What the provider asks before it sends events; nothing is stored."
    asked = (*route.greeter.open, *route.greeter.proven)
    return {str(each.status): {"description": described} for each in asked if each.method == method}


def _accepted(route: Route) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": "#/components/schemas/Receipt"}
    if route.cloudevents != "off":
        schema = {"oneOf": [schema, {"$ref": "#/components/schemas/BatchReceipt"}]}
    content = {"text/plain": {}} if route.respond is not None else {"application/json": {"schema": schema}}
    location = {"description": "Where the event is found; not for a batch.", "schema": {"type": "string"}}
    return {str(route.status): {"description": "Stored.", "headers": {"Location": location}, "content": content}}


def _refused() -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": text, "content": content, **({"headers": _AGAIN} if status in _LATER else {})}
        for status, text in _REFUSALS.items()
    }
