"""What a source says of its answers to accepted events: status, headers and body, checked when the file is read."""

import re

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_HEADERS = 20
MAX_VALUE = 1_000  # characters

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", re.ASCII)
_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?", re.ASCII)

_HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    }
)
_OURS = frozenset({"content-encoding", "content-length", "date", "location", "preference-applied"})


class RespondConfig(BaseModel):
    """The answer to an accepted event, where the sender insists on one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: int = Field(default=202, ge=200, le=299, description="A 2xx status.")
    headers: dict[str, str] = Field(
        default_factory=dict,
        max_length=MAX_HEADERS,
        description="Headers of the answer besides Holdfast's own, which are Location, Content-Length, Date and"
        " Preference-Applied. Content-Type goes with `body` (default: text/plain). Never write a secret here.",
    )
    body: str | None = Field(default=None, max_length=4_096, description="Text instead of the JSON receipt.")

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, str]) -> dict[str, str]:
        seen: set[str] = set()
        for name, value in headers.items():
            lower = name.lower()
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a header")
            if lower in _HOP_BY_HOP:
                raise ValueError(f"{name} belongs to the connection and is not the source's to set")
            if lower in _OURS:
                raise ValueError(f"{name} is set by Holdfast itself")
            if lower in seen:
                raise ValueError(f"{name} comes twice")
            if len(value) > MAX_VALUE or not _VALUE.fullmatch(value):
                raise ValueError(f"the value of {name} is not one line of at most {MAX_VALUE} ASCII characters")
            seen.add(lower)
        return headers

    @model_validator(mode="after")
    def _type_of_something(self) -> "RespondConfig":
        if self.body is None and any(name.lower() == "content-type" for name in self.headers):
            raise ValueError("headers: Content-Type goes with `body`; the receipt is application/json")
        return self

    @property
    def sent_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers as they are sent: names in lower case."""
        return tuple((name.lower().encode(), value.encode()) for name, value in self.headers.items())
