"""The envelope: one accepted webhook as it travels on the bus and into Temporal, byte for byte.

It carries the attributes of a CloudEvent 1.0, the raw body with its hash, and the request headers that the source
allows. Flow: normalise → identify → **Envelope** → publish → decide → deliver.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from holdfast.clock import rfc3339
from holdfast.domain.bodies import is_json, read_data
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.ids import sha256_hex

MAX_TEXT_BODY = 1_500_000  # bytes, escaped; the message limit is 2 MiB, headers and attributes take their share
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class BodyReference(BaseModel):
    """Where a body lies that is too large for the message: an object of a JetStream object store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: str = Field(min_length=1, max_length=64)
    name: str = Field(min_length=1, max_length=256)
    size: int = Field(ge=0)  # bytes


class CloudEventOrigin(BaseModel):
    """What a CloudEvent said of itself beyond the attributes of every envelope; present only where it was one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    source: str
    dataschema: str | None = None
    extensions: dict[str, bool | int | str] = Field(default_factory=dict)


class Envelope(BaseModel):
    """One event. `body` is text where the bytes are plain UTF-8 (readable in the Temporal UI), else base64."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    holdfast: Literal[1] = 1  # version of this record
    specversion: Literal["1.0"] = "1.0"
    id: str = Field(min_length=1, max_length=256)
    source: str = Field(min_length=1, max_length=256)
    type: str = Field(min_length=1, max_length=256)
    time: AwareDatetime
    subject: str | None = None
    datacontenttype: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    received_at: AwareDatetime
    headers: dict[str, str] = Field(default_factory=dict)  # names in lower case
    path: dict[str, str] = Field(default_factory=dict)  # path parameters of the source's route
    query: dict[str, str] = Field(default_factory=dict)
    body_encoding: Literal["text", "base64"] = "text"
    body: str = ""
    body_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    cloudevent: CloudEventOrigin | None = None
    body_ref: BodyReference | None = None  # then `body` is empty, and whoever loads the object checks body_sha256

    @model_validator(mode="after")
    def _body_is_whole(self) -> Self:
        if self.body_ref is not None:
            if self.body:
                raise ValueError("the body is both here and elsewhere")
            return self
        if sha256_hex(self.raw_body) != self.body_sha256:
            raise ValueError("the body does not match body_sha256")
        return self

    @property
    def raw_body(self) -> bytes:
        """The request body, byte for byte as it was received; empty where `body_ref` says where it is."""
        if self.body_encoding == "text":
            return self.body.encode("utf-8", "surrogatepass")
        try:
            return base64.b64decode(self.body, validate=True)
        except binascii.Error as error:
            raise ValueError("the body is not base64") from error

    def encode(self) -> bytes:
        """Return the record as it lies on the bus: JSON, UTF-8."""
        return self.model_dump_json(exclude_defaults=False, exclude_none=True).encode()

    def view(self, data: "Data | None" = None) -> dict[str, Any]:
        """What an expression sees as `event`; what is absent here is absent there.

        A body that lies elsewhere is shown as `body` (bucket, name, size, sha256), and as what is handed in as `data`.
        Else `data` is the parsed body: JSON, the fields of a form, or text; absent where the body is none of these, and
        `data_error` says so where a CloudEvent's data is not the JSON it claims to be.
        """
        seen: dict[str, Any] = {
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "time": rfc3339(self.time),
            "headers": dict(self.headers),
            "path": dict(self.path),
            "query": dict(self.query),
        }
        optional = {"subject": self.subject, "datacontenttype": self.datacontenttype}
        seen.update({name: value for name, value in optional.items() if value is not None})
        if self.body_ref is not None:
            seen["body"] = {**self.body_ref.model_dump(), "sha256": self.body_sha256}
        shown = data or (Data() if self.body_ref is not None else Data(*read_data(self.raw_body, self.datacontenttype)))
        found = shown.found
        if found:
            seen["data"] = shown.value
        if self.cloudevent is not None:
            seen.update(cloudevent_view(self.cloudevent))
            if not found and self.body and is_json(self.datacontenttype):
                seen["data_error"] = "the data is not the JSON it claims to be"
        return seen


@dataclass(frozen=True, slots=True)
class Data:
    """A body as data; `found` is False where it is none, or was not looked into."""

    found: bool = False
    value: Any = None


def cloudevent_view(origin: CloudEventOrigin) -> dict[str, Any]:
    """What an expression sees of a CloudEvent as `event.cloudevent` and `event.extensions`."""
    seen = {"id": origin.id, "source": origin.source, "dataschema": origin.dataschema}
    return {
        "cloudevent": {name: value for name, value in seen.items() if value is not None},
        "extensions": dict(origin.extensions),
    }


def pack_body(body: bytes) -> tuple[Literal["text", "base64"], str]:
    """`body` as (encoding, text): exact both ways, readable where it can be."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return "base64", base64.b64encode(body).decode("ascii")
    # control characters take six bytes each in JSON, so base64 is both smaller and safer for them
    if _CONTROL.search(text) or _outgrows(text, len(body)):
        return "base64", base64.b64encode(body).decode("ascii")
    return "text", text


def decode_envelope(raw: bytes) -> Envelope:
    """Read a record from the bus. Raises RejectedInput `envelope.invalid`, whatever the bytes are."""
    try:
        return Envelope.model_validate_json(raw)
    except ValidationError as error:
        raise RejectedInput(ErrorCode.ENVELOPE_INVALID, _summary(error)) from error


def read_envelope(value: Any) -> Envelope:
    """Read a record that is already JSON data. Raises RejectedInput `envelope.invalid`."""
    try:
        return Envelope.model_validate(value)
    except ValidationError as error:
        raise RejectedInput(ErrorCode.ENVELOPE_INVALID, _summary(error)) from error


def _summary(error: ValidationError) -> str:
    """Say which fields are wrong and how, without the values: they may hold secrets."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'message'}: {p['msg']}" for p in problems[:5])


def _outgrows(text: str, size: int) -> bool:
    """Whether the escapes of JSON would double a large body past the message limit, where base64 adds a third."""
    return size > MAX_TEXT_BODY // 2 and size + sum(map(text.count, '"\\\n\r\t')) > MAX_TEXT_BODY
