"""The OpenAPI description of what an access token may ask: where an event is, and what was refused."""

from typing import Any

from pydantic.json_schema import models_json_schema

from holdfast.contracts.rejections import Rejection
from holdfast.contracts.status import EventStatus

_SECURITY = [{"token": list[str]()}]


def status_schemas() -> dict[str, Any]:
    """Return the schemas of the answers, from the models that make them."""
    models = [(EventStatus, "serialization"), (Rejection, "serialization")]
    _, document = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    schemas: dict[str, Any] = document["$defs"]
    return schemas


def status_paths() -> dict[str, Any]:
    """Return the paths."""
    event = {
        "tags": ["status"],
        "summary": "Where an event is",
        "description": "Received, stored or spooled, each delivery with its attempts, dead letters with their cases."
        " Where no worker answers, `deliveries` is `unknown` and `trouble` says why.",
        "security": _SECURITY,
        "parameters": [
            _parameter("source", "path", "Name of the source."),
            _parameter("id", "path", "The event's id, percent-encoded."),
        ],
        "responses": {
            "200": _answer("What is known.", {"$ref": "#/components/schemas/EventStatus"}),
            **_problems({"404": "Nothing is known of such an event."}),
        },
    }
    listed = {"type": "array", "items": {"$ref": "#/components/schemas/Rejection"}}
    rejected = {
        "tags": ["status"],
        "summary": "Requests that were refused, the newest first",
        "security": _SECURITY,
        "parameters": [
            _parameter("source", "query", "Only of this source; `_unknown`: of paths of no source."),
            _parameter("since", "query", "How far to look back, like 1h. Default: 24h."),
            _parameter("code", "query", "Only with this code."),
            {**_parameter("limit", "query", "At most this many."), "schema": {"type": "integer", "default": 100}},
        ],
        "responses": {
            "200": _answer("The list.", {"type": "object", "properties": {"rejected": listed}}),
            **_problems({"400": "A parameter is not as described."}),
        },
    }
    return {"/events/{source}/{id}": {"get": event}, "/rejected": {"get": rejected}}


def _parameter(name: str, place: str, text: str) -> dict[str, Any]:
    required = place == "path"
    return {"name": name, "in": place, "required": required, "description": text, "schema": {"type": "string"}}


def _answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _problems(more: dict[str, str]) -> dict[str, Any]:
    every = {
        **more,
        "401": "There is no access token, or an unknown one.",
        "503": "The bus does not answer, or too much is asked at once.",
    }
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": text, "content": content} for status, text in every.items()}
