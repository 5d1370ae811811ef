"""A source: who may send events to `POST /hooks/{source}`, how that is verified, and what identifies an event."""

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from holdfast.domain.handshakes import HandshakeName
from holdfast.domain.quantities import Duration, Size
from holdfast.domain.schemes import PARTS, stray_places
from holdfast.domain.secretrefs import SecretRef

DEFAULT_HEADERS = ("content-type", "user-agent", "x-request-id", "x-correlation-id")
"""Request headers every source keeps; presets add the provider's own."""

MAX_BODY = 1_048_576  # bytes; a body must fit the message (2 MiB) and Temporal's blob limit (2 MiB) after encoding


class TimestampConfig(BaseModel):
    """Where the sender's clock stands and how it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    header: str = Field(description="Header that carries the time of signing.")
    unit: Literal["s", "ms", "rfc3339"] = Field(default="s", description="Unix seconds, Unix milliseconds or RFC 3339.")


class VerifyConfig(BaseModel):
    """How a request proves that it comes from the sender."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Literal["github", "standard-webhooks", "hmac", "bearer"] = Field(
        description="The scheme: github, standard-webhooks (also Svix), hmac (described by the fields below) or bearer."
    )
    secrets: tuple[SecretRef, ...] = Field(
        min_length=1,
        description="One or more secrets as env:NAME or file:PATH. Any of them may match, so that a secret can be"
        " changed without a gap: add the new one, switch the sender, remove the old one.",
    )
    tolerance: Duration = Field(
        default=timedelta(minutes=5),
        description="How far a signed timestamp may be from now, either way. Longer lets recordings be replayed.",
    )
    header: str | None = Field(default=None, description="hmac: header that carries the signature.")
    algorithm: Literal["sha1", "sha256", "sha512"] = Field(default="sha256", description="hmac: hash function.")
    encoding: Literal["hex", "base64"] = Field(default="hex", description="hmac: how the signature is written.")
    prefix: str = Field(default="", description="hmac: text before the signature, like sha256=")
    signed: str = Field(
        default="{body}",
        description="hmac: what is signed, a template over {body}, {timestamp}, {id}, {method}, {path} and {url}."
        " It must contain {body}.",
    )
    timestamp: TimestampConfig | None = Field(
        default=None, description="hmac: the timestamp header, where {timestamp} is signed."
    )
    id_header: str | None = Field(default=None, description="hmac: the header that {id} stands for.")

    @model_validator(mode="after")
    def _fields_belong_to_hmac(self) -> "VerifyConfig":
        own = {"header", "algorithm", "encoding", "prefix", "signed", "timestamp", "id_header"}
        if self.preset != "hmac":
            stray = sorted(own & self.model_fields_set)
            if stray:
                raise ValueError(f"{', '.join(stray)}: only preset hmac takes these; {self.preset} fixes them itself")
            return self
        if not self.header:
            raise ValueError("preset hmac needs `header`, the header that carries the signature")
        if "{body}" not in self.signed:
            raise ValueError("`signed` must contain {body}, or the body could be exchanged unnoticed")
        if strays := stray_places(self.signed):
            raise ValueError(f"`signed` names {', '.join(strays)}; known are {', '.join(PARTS)}")
        if ("{timestamp}" in self.signed) != (self.timestamp is not None):
            raise ValueError("`timestamp` and {timestamp} in `signed` go together: an unsigned time proves nothing")
        if ("{id}" in self.signed) != (self.id_header is not None):
            raise ValueError("`id_header` and {id} in `signed` go together")
        return self


class EventConfig(BaseModel):
    """What the event is called: CEL expressions over `event` (headers, path, query, data). Presets know theirs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str | None = Field(
        default=None,
        description="What identifies an event, as CEL. Two requests with one id are one event, so it must come from"
        " signed material; where it comes from an unsigned header, the hash of the body is added to it.",
    )
    type: str | None = Field(default=None, description="The event's type, as CEL.")
    subject: str | None = Field(default=None, description="What the event is about, as CEL.")

    cloudevents: Literal["off", "optional", "required"] | None = Field(
        default=None,
        description="Whether requests are CloudEvents 1.0, in binary, structured or batched mode: `required` refuses"
        " everything else, `optional` takes other requests as they are. A CloudEvent brings its own identity (source"
        " and id), type, subject and time. Default: required for preset cloudevents, else off.",
    )


class RespondConfig(BaseModel):
    """The answer to an accepted event, where the sender insists on one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: int = Field(default=202, ge=200, le=299, description="A 2xx status.")
    body: str | None = Field(default=None, max_length=4_096, description="Text instead of the JSON receipt.")


class SourceConfig(BaseModel):
    """One sender of webhooks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = Field(
        default=None,
        pattern=r"^/hooks/[A-Za-z0-9._~{}/-]+$",
        description="The route, default /hooks/{name of the source}. {name} parts become event.path.name.",
    )
    methods: tuple[Literal["POST", "PUT"], ...] = Field(
        default=("POST",), min_length=1, description="HTTP methods that carry events."
    )
    verify: VerifyConfig | None = Field(default=None, description="How the sender is verified.")
    dangerous_unverified: bool = Field(
        default=False, description="Accept from anybody who can reach the port. Only for senders that cannot sign."
    )
    event: EventConfig = Field(default=EventConfig(), description="Identity, type and subject of the event.")
    handshake: HandshakeName | Literal["none"] | None = Field(
        default=None,
        description="Whose questions are answered before events come; they never become events. Default: those of the"
        " preset's provider.",
    )
    handshake_token: SecretRef | None = Field(
        default=None, description="The token that Meta sends back in its question (`hub.verify_token`)."
    )
    headers: tuple[str, ...] = Field(
        default=(), description="Further request headers to keep with the event. Never list one that carries a secret."
    )
    max_body: Size = Field(
        default=Size(524_288), gt=0, le=MAX_BODY, description="Largest body, bytes. Larger ones are answered 413."
    )
    respond: RespondConfig = Field(default=RespondConfig(), description="The answer to an accepted event.")

    @model_validator(mode="after")
    def _verified_or_declared_dangerous(self) -> "SourceConfig":
        if self.verify is None and not self.dangerous_unverified:
            raise ValueError("needs `verify`; or, to accept events from anybody, `dangerous_unverified: true`")
        if self.verify is not None and self.dangerous_unverified:
            raise ValueError("has both `verify` and `dangerous_unverified: true`; remove one")
        if self.handshake == "meta" and self.handshake_token is None:
            raise ValueError("handshake meta needs `handshake_token`, or anybody could subscribe")
        secret = {"authorization", "cookie", "proxy-authorization"} & {name.lower() for name in self.headers}
        if secret:
            raise ValueError(
                f"headers: {', '.join(sorted(secret))} carries a secret and would be stored with the event"
            )
        return self
