"""A source: who may send events to `POST /hooks/{source}`, how that is verified, and what identifies an event."""

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from holdfast.domain.answers import RespondConfig
from holdfast.domain.handshakes import HandshakeName, handshakes_of
from holdfast.domain.limits import SourceLimits
from holdfast.domain.quantities import Duration, Size
from holdfast.domain.secretrefs import SecretRef
from holdfast.domain.streams import DEFAULT_STREAM
from holdfast.domain.verification import TimestampConfig, VerifyConfig

__all__ = ["DEFAULT_HEADERS", "MAX_BODY", "EventConfig", "RespondConfig", "SourceConfig", "TimestampConfig"]
__all__ += ["VerifyConfig"]

DEFAULT_HEADERS = ("content-type", "user-agent", "x-request-id", "x-correlation-id")
"""Request headers every source keeps; presets add the provider's own."""

MAX_BODY = 26_214_400  # bytes; GitHub sends up to 25 MB. Over 128 KiB a body is stored apart from its event


MAX_WAIT = timedelta(seconds=30)
"""The longest that a sender may have its connection held for an outcome."""


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


class SourceConfig(BaseModel):
    """One sender of webhooks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = Field(
        default=None,
        pattern=r"^/hooks/[A-Za-z0-9._~{}/-]+$",
        description="The route, default /hooks/{name of the source}. {name} parts become event.path.name.",
    )
    methods: tuple[Literal["POST", "PUT", "GET"], ...] = Field(
        default=("POST",),
        min_length=1,
        description="HTTP methods that carry events. GET is for the few senders that put them into the query.",
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
    stream: str = Field(
        default=DEFAULT_STREAM,
        description="The stream of `bus.streams` that takes this source's events. Another one has its own space and"
        " promise: a full one refuses its own sources only.",
    )
    headers: tuple[str, ...] = Field(
        default=(), description="Further request headers to keep with the event. Never list one that carries a secret."
    )
    max_body: Size = Field(
        default=Size(MAX_BODY),
        gt=0,
        le=MAX_BODY,
        description="Largest body, bytes, at most 25 MiB. Larger ones are answered 413 before they are read. Lower it"
        " for senders whose events are small: the gateway holds 64 MiB of bodies at once, and asks further senders to"
        " come again (503).",
    )
    respond: RespondConfig = Field(default=RespondConfig(), description="The answer to an accepted event.")
    priority: int = Field(
        default=3,
        ge=1,
        le=5,
        description="Order in which deliveries are taken up when there are more than the workers manage: 1 first, 5"
        " last. The danger: what has 5 waits as long as anything else comes.",
    )
    weight: float = Field(
        default=1.0,
        ge=0.001,
        le=1_000,
        description="Share among sources of the same priority when there is more than the workers manage: 2 gets twice"
        " as much as 1. A source that sends much delays itself, not the others.",
    )
    limits: SourceLimits = Field(default=SourceLimits(), description="How much of this source is taken in.")
    wait: Duration | None = Field(
        default=None,
        ge=timedelta(0),
        le=MAX_WAIT,
        description="The longest that a request with `Prefer: wait=N` is held for the result of its deliveries, at most"
        " 30s; 0s: it is answered at once, as without the header. Each such request holds a connection. Default: 30s,"
        " and 0s with dangerous_unverified.",
    )

    @model_validator(mode="after")
    def _verified_or_declared_dangerous(self) -> "SourceConfig":
        if self.verify is None and not self.dangerous_unverified:
            raise ValueError("needs `verify`; or, to accept events from anybody, `dangerous_unverified: true`")
        if self.verify is not None and self.dangerous_unverified:
            raise ValueError("has both `verify` and `dangerous_unverified: true`; remove one")
        if self.handshake == "meta" and self.handshake_token is None:
            raise ValueError("handshake meta needs `handshake_token`, or anybody could subscribe")
        if self.handshake is not None and self.verify is None and any(h.hashes for h in handshakes_of(self.handshake)):
            raise ValueError(f"handshake {self.handshake} is answered with the secret of `verify`, which is missing")
        secret = {"authorization", "cookie", "proxy-authorization"} & {name.lower() for name in self.headers}
        if secret:
            raise ValueError(
                f"headers: {', '.join(sorted(secret))} carries a secret and would be stored with the event"
            )
        return self
