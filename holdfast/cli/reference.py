"""The reference of holdfast.yaml and of the environment, rendered from the pydantic models: it cannot fall behind."""

import json
import types
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, ByteSize, SecretStr
from pydantic.fields import FieldInfo

from holdfast.domain.quantities import RatePerTime, format_duration
from holdfast.settings.file import HoldfastConfig
from holdfast.settings.process import ProcessSettings

HEAD = """# Configuration

Generated from the models by `make docs`; do not edit.

Holdfast reads one file, `holdfast.yaml`, which is the same on every machine, and the environment, which says where
the servers are. `holdfast check` reports every error of the file at once, with its line. Unknown keys are errors.
Editors that are pointed at `docs/holdfast.schema.json` complete and explain it.

Durations are written with a unit: `500ms`, `30s`, `5m`, `1h30m`, `7d`. Sizes: `128KiB`, `10GiB`, or plain bytes.
Rates: `100/s`, `50/m`.
A secret is never written into the file: `env:NAME` is read from the environment, `file:PATH` from a file (relative
to holdfast.yaml). CEL is the Common Expression Language; `event` has `id`, `source`, `type`, `time`, `subject`,
`headers`, `path`, `query` and `data` (the parsed body); where it was a CloudEvent also `cloudevent` and
`extensions` ([cloudevents.md](cloudevents.md)).
"""

_SIMPLE = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    timedelta: "duration",
    ByteSize: "size",
    RatePerTime: "rate",
    datetime: "time with zone",
    Path: "path",
    SecretStr: "secret",
}


def render_reference() -> str:
    """Return docs/configuration.md."""
    parts = [HEAD, "## holdfast.yaml\n"]
    for path, model in _walk(HoldfastConfig, ""):
        if path:
            parts.append(f"### `{path}`\n")
        parts += [f"{_doc(model)}\n", *_table(model, path)]
    parts += ["## Environment\n", "Read by every process at its start. An empty variable counts as not set.\n"]
    parts += [*_environment()]
    return "\n".join(parts)


def render_schema() -> str:
    """Return docs/holdfast.schema.json, for editors."""
    schema = HoldfastConfig.model_json_schema(mode="validation")
    for model, name in (
        ("TriggerConfig", "on"),
        ("ScheduleConfig", "cron"),
        ("TierConfig", "notify"),
        ("EmailNotifier", "to"),
    ):
        # one text stands for a list of one; the model reads it so before it validates, and the schema cannot know
        properties = schema["$defs"][model]["properties"]
        many = {key: properties[name].pop(key) for key in ("type", "items", "minItems") if key in properties[name]}
        properties[name]["anyOf"] = [{"type": "string"}, many]
    tiers = schema["$defs"]["EscalationConfig"]["properties"]
    tiers["quiet"]["anyOf"] = [
        tiers["quiet"]["items"],
        {"type": tiers["quiet"].pop("type"), "items": tiers["quiet"].pop("items")},
    ]
    notifier = schema["properties"]["notifiers"]["additionalProperties"]
    schema["properties"]["notifiers"]["additionalProperties"] = {"anyOf": [{"const": "log"}, notifier]}
    named = schema["properties"]["escalations"]["additionalProperties"]
    short = {"type": "array", "items": tiers["tiers"]["items"], "minItems": 1}
    schema["properties"]["escalations"]["additionalProperties"] = {"anyOf": [short, named]}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "holdfast.yaml"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _walk(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Every model of the tree, once, with the place it is configured at; NAME stands for a name of one's own."""
    yield path, model
    for name, field in model.model_fields.items():
        inner, keyed = _model_in(field.annotation)
        if inner is not None:
            yield from _walk(inner, f"{path}.{name}".lstrip(".") + (".NAME" if keyed else ""))


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """Return the model inside an annotation, and whether it stands in a mapping by name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for argument in get_args(annotation):
        found, keyed = _model_in(argument)
        if found is not None:
            return found, keyed or get_origin(annotation) is dict
    return None, False


def _table(model: type[BaseModel], path: str) -> Iterator[str]:
    yield "| key | type | default | |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        inner, keyed = _model_in(field.annotation)
        key = field.alias or name  # `from` is no name in Python
        place = f"{path}.{key}".lstrip(".") + (".NAME" if keyed else "")
        kind = f"[{'named entries' if keyed else 'section'}](#{_anchor(place)})" if inner else _kind(field)
        yield f"| `{key}` | {kind} | {_default(field, section=inner is not None)} | {_cell(field.description or '')} |"
    yield ""


def _environment() -> Iterator[str]:
    yield "| variable | type | default | |"
    yield "|---|---|---|---|"
    for name, field in ProcessSettings.model_fields.items():
        variable = field.validation_alias if isinstance(field.validation_alias, str) else f"HOLDFAST_{name.upper()}"
        default = _default(field, section=False)
        yield f"| `{variable}` | {_kind(field)} | {default} | {_cell(field.description or '')} |"
    yield ""


def _kind(field: FieldInfo) -> str:
    """Return the type, with its bounds where it has some."""
    bounds = {type(limit): limit for limit in field.metadata}
    low, high = bounds.get(Ge), bounds.get(Le)
    kind = _type(field.annotation)
    if low is not None and high is not None:
        return f"{kind}, {_bound(low.ge)} to {_bound(high.le)}"
    return f"{kind}, at least {_bound(low.ge)}" if low is not None else kind


def _bound(value: Any) -> str:
    """Return a bound as people write it in the file."""
    return format_duration(value) if isinstance(value, timedelta) else str(value)


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), [a for a in get_args(annotation) if a is not type(None)]
    if origin is Literal:
        return " or ".join(f"`{_plain(choice)}`" for choice in arguments)
    if origin in {Union, types.UnionType}:
        return " or ".join(_type(argument) for argument in arguments)
    if origin is Annotated:
        return _type(arguments[0])
    if origin in {tuple, list}:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"mapping to {_type(arguments[1])}"
    return _SIMPLE.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(field: FieldInfo, *, section: bool) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if section or value is None or value in ((), {}, ""):
        return ""
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, ByteSize):
        return value.human_readable().replace(".0", "")
    if isinstance(value, tuple):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    return str(value)


def _doc(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _anchor(place: str) -> str:
    """Return the anchor that a heading with this text gets."""
    return place.lower().replace(".", "")
