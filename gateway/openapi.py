"""The OpenAPI description of the webhook routes, written by hand because no framework handles them."""

from typing import Any

from fastapi import FastAPI

from gateway.openapi_status import status_paths, status_schemas
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

_OUTCOME: dict[str, Any] = {
    "type": "object",
    "description": "The answer to a request with `Prefer: wait=N`, where every delivery ended in time.",
    "required": ["id", "status", "duplicate", "deliveries"],
    "properties": {
        "id": {"type": "string"},
        "status": {"enum": ["delivered", "dead_lettered", "partly_delivered", "unmatched"]},
        "duplicate": {"type": "boolean"},
        "deliveries": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "trigger", "status", "attempts"],
                "properties": {
                    "id": {"type": "string"},
                    "trigger": {"type": "string"},
                    "status": {"enum": ["delivered", "dead_lettered"]},
                    "attempts": {"type": "integer"},
                    "result": {"description": "What the action gave back; up to 64 KiB as JSON."},
                    "result_omitted": {"const": True, "description": "The result is larger than that."},
                    "code": {"type": "string", "description": "Why it is a dead letter."},
                    "dead_letter": {"type": "string", "description": "Id of the dead letter."},
                },
            },
        },
    },
}

_PREFER: dict[str, Any] = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "examples": ["wait=10"]},
    "description": "`wait=N` (RFC 7240): hold the answer for the outcome, for at most N seconds.",
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
    described["paths"] = {**_paths(routes), **status_paths(), **described.get("paths", {})}
    components = described.setdefault("components", {})
    schemas = {"Problem": _PROBLEM, "Receipt": _RECEIPT, "BatchReceipt": _BATCH_RECEIPT, "Outcome": _OUTCOME}
    schemas |= status_schemas()
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
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
        params: list[dict[str, Any]] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in route.path_names
        ]
        taken = [*params, _PREFER] if route.wait else params
        paths[route.path] = {method.lower(): {**operation, "parameters": taken} for method in sorted(route.methods)}
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
    content = {_fixed_type(route): {}} if route.respond is not None else {"application/json": {"schema": schema}}
    own = {name.decode(): {"schema": {"type": "string"}} for name, _ in route.headers if name != b"content-type"}
    location = {"description": "Where the event is found; not for a batch.", "schema": {"type": "string"}}
    headers: dict[str, Any] = {"Location": location, **own}
    stored: dict[str, Any] = {str(route.status): {"description": "Stored.", "headers": headers, "content": content}}
    if not route.wait:
        return stored
    headers = {**headers, "Preference-Applied": {"schema": {"type": "string"}}}
    either: dict[str, Any] = {"$ref": "#/components/schemas/Outcome"}
    if route.status == 200:
        either = {"oneOf": [schema, either]}
    kinds = {**(content if route.status == 200 else {}), "application/json": {"schema": either}}
    text = "Stored; and with `Prefer: wait=N`: every delivery has ended, `status` says how."
    return {**stored, "200": {"description": text, "headers": headers, "content": kinds}}


def _fixed_type(route: Route) -> str:
    """Return the Content-Type of a source's own answer, without parameters."""
    said = next((value.decode() for name, value in route.headers if name == b"content-type"), "text/plain")
    return said.partition(";")[0].strip()


def _refused() -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": text, "content": content, **({"headers": _AGAIN} if status in _LATER else {})}
        for status, text in _REFUSALS.items()
    }
