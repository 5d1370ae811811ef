"""Reading what came from outside: every payload, whatever it is, becomes a model or an `Unreadable`.

Flow: **read** → act. The SDK would retry a failed decoding for ever; here it is a value.
"""

import base64
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from holdfast.errors import bounded

MAX_RAW = 262_144  # bytes of an unreadable input that its dead letter keeps; Temporal warns at 512 KiB
NOTHING: Final = RawValue(Payload())
"""Stands for an argument that was not given."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An input that is not what it must be: why, and the bytes as they came (at most MAX_RAW)."""

    reason: str
    raw_base64: str


def read(model: type[Model], raw: Any) -> Model | Unreadable:
    """Read `raw` as `model`; never raises."""
    if not isinstance(raw, RawValue):  # the SDK drops the type where the number of arguments is wrong
        return Unreadable("more than one argument was given", "")
    payload = raw.payload
    kept = base64.b64encode(payload.data[:MAX_RAW]).decode("ascii")
    if not payload.metadata and not payload.data:
        return Unreadable(f"no input was given; expected {model.__name__}", kept)
    try:
        value = workflow.payload_converter().from_payload(payload, model)
    except ValidationError as error:
        return Unreadable(f"not a {model.__name__}: {_fields(error)}", kept)
    except Exception as error:  # noqa: BLE001 - converters raise what they like; all of it means the same here
        return Unreadable(f"not a {model.__name__}: {bounded(str(error) or type(error).__name__, 200)}", kept)
    if not isinstance(value, model):  # encodings other than JSON pass the wanted type over
        return Unreadable(f"not a {model.__name__}: the payload is {type(value).__name__}, not JSON", kept)
    return value


def read_or_default(model: type[Model], raw: Any) -> Model | Unreadable:
    """Read `raw`; no input and JSON null stand for the model's defaults."""
    if isinstance(raw, RawValue) and raw.payload.data.strip() in {b"", b"null"}:
        try:
            return model.model_validate({})
        except ValidationError as error:
            return Unreadable(f"not a {model.__name__}: {_fields(error)}", "")
    return read(model, raw)


def _fields(error: ValidationError) -> str:
    """Say which fields are wrong and how, without the values: they may hold secrets."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'input'}: {p['msg']}" for p in problems[:5])
