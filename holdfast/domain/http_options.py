"""What an HTTP call may be given beyond address and body: credentials, TLS, a signature, what an answer means.

Secrets are references here, in the configuration as in a delivery: they are read for each call (activities/http.py).
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from holdfast.domain.secretrefs import SecretRef, is_reference

_FROZEN = ConfigDict(frozen=True, extra="forbid")
_CLASS = re.compile(r"[1-5]xx")
_TOKEN = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"  # noqa: S105 - what a header's name is made of


def _status(value: Any) -> Any:
    text = str(value).strip().lower()
    if _CLASS.fullmatch(text) or (re.fullmatch(r"[1-5][0-9]{2}", text) and not isinstance(value, bool)):
        return text
    raise ValueError(f"{value!r} is no status: write 404 or 4xx")


def _many(value: Any) -> Any:
    return (value,) if isinstance(value, int | str) else value


Statuses = Annotated[
    tuple[Annotated[str | int, AfterValidator(_status)], ...], BeforeValidator(_many), Field(min_length=1)
]
"""Statuses like 404, and classes of them like 5xx; one or a list."""


def contains(statuses: tuple[str | int, ...], status: int) -> bool:
    """Whether a status is among them."""
    return str(status) in statuses or f"{status // 100}xx" in statuses


class BasicAuth(BaseModel):
    """HTTP Basic (RFC 7617)."""

    model_config = _FROZEN

    username: str = Field(min_length=1, description="The name; may be env:NAME or file:PATH.")
    password: SecretRef = Field(description="The password: env:NAME or file:PATH.")


class HeaderAuth(BaseModel):
    """A key in a header of the target's own choosing."""

    model_config = _FROZEN

    name: str = Field(pattern=_TOKEN, max_length=100, description="Name of the header, e.g. X-Api-Key.")
    value: SecretRef = Field(description="The key: env:NAME or file:PATH.")
    prefix: str = Field(default="", max_length=50, description="Text in front of the key, e.g. `Token `.")


class OAuth2Auth(BaseModel):
    """OAuth2 client credentials (RFC 6749 §4.4): a token is fetched, kept in memory, and renewed on a 401."""

    model_config = _FROZEN

    token_url: str = Field(
        pattern=r"^https?://[^\s/?#@\\]+([/?][^\s#]*)?$", description="The token endpoint, without credentials in it."
    )
    client_id: str = Field(min_length=1, description="The client; may be env:NAME or file:PATH.")
    client_secret: SecretRef = Field(description="Its secret: env:NAME or file:PATH.")
    scopes: tuple[str, ...] = Field(default=(), description="Scopes to ask for.")
    audience: str | None = Field(default=None, description="`audience` of the request, where the server wants one.")
    params: dict[str, str] = Field(default_factory=dict, max_length=20, description="Further fields of the request.")
    credentials_in: Literal["header", "body"] = Field(
        default="header", description="How the client shows its secret: HTTP Basic, or client_secret in the form."
    )

    @model_validator(mode="after")
    def _not_ours(self) -> "OAuth2Auth":
        ours = {"grant_type", "client_id", "client_secret", "scope", "audience"} & self.params.keys()
        if ours:
            raise ValueError(f"params: {', '.join(sorted(ours))} have fields of their own")
        return self


class AuthConfig(BaseModel):
    """How a call shows who it is: exactly one of basic, bearer, header, oauth2."""

    model_config = _FROZEN

    basic: BasicAuth | None = Field(default=None, description="HTTP Basic.")
    bearer: SecretRef | None = Field(default=None, description="`Authorization: Bearer …`: env:NAME or file:PATH.")
    header: HeaderAuth | None = Field(default=None, description="A key in a header.")
    oauth2: OAuth2Auth | None = Field(default=None, description="OAuth2 client credentials.")

    @model_validator(mode="after")
    def _exactly_one(self) -> "AuthConfig":
        named = [name for name in ("basic", "bearer", "header", "oauth2") if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(f"needs exactly one of basic, bearer, header, oauth2; has {', '.join(named) or 'none'}")
        return self

    @property
    def header_name(self) -> str:
        """The header that it writes, in lower case."""
        return self.header.name.lower() if self.header is not None else "authorization"


class TlsConfig(BaseModel):
    """TLS of a call: whose certificates are believed, and the client's own (mTLS)."""

    model_config = _FROZEN

    ca: SecretRef | None = Field(
        default=None, description="Authorities (PEM) that are believed instead of the system's: env:NAME or file:PATH."
    )
    cert: SecretRef | None = Field(
        default=None, description="The client's certificate and its chain (PEM): env:NAME or file:PATH."
    )
    key: SecretRef | None = Field(default=None, description="Its private key (PEM): env:NAME or file:PATH.")

    @model_validator(mode="after")
    def _together(self) -> "TlsConfig":
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together")
        if self.ca is None and self.cert is None:
            raise ValueError("is empty; give ca, or cert and key")
        return self


def _one_secret(value: Any) -> Any:
    if isinstance(value, str):
        return {"secrets": [value]}
    if isinstance(value, dict) and "secret" in value and "secrets" not in value:
        return {**{name: one for name, one in value.items() if name != "secret"}, "secrets": [value["secret"]]}
    if isinstance(value, dict) and isinstance(value.get("secrets"), str):
        return {**value, "secrets": [value["secrets"]]}
    return value


class SignConfig(BaseModel):
    """A signature by Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature."""

    model_config = _FROZEN

    secrets: tuple[SecretRef, ...] = Field(
        min_length=1,
        max_length=5,
        description="env:NAME or file:PATH, one or a list (to change a secret). `whsec_…` signs `v1` (HMAC-SHA256),"
        " `whsk_…` signs `v1a` (Ed25519).",
    )


class HttpOptions(BaseModel):
    """What stands in `http` beside address, method, headers and body."""

    model_config = _FROZEN

    auth: AuthConfig | None = Field(default=None, description="Who calls.")
    tls: TlsConfig | None = Field(default=None, description="Private authorities, and a certificate of the client.")
    sign: Annotated[SignConfig, BeforeValidator(_one_secret)] | None = Field(
        default=None, description="Sign as Standard Webhooks says; a reference alone is its one secret."
    )
    expect: Statuses | None = Field(
        default=None,
        description="Statuses that mean delivered, e.g. [200, 202, 404] or 2xx. Default: 2xx. What is neither here nor"
        " in `retry_on`: 408, 425, 429 and 5xx are tried again, everything else is refused for good.",
    )
    retry_on: Statuses | None = Field(
        default=None, description="Statuses to try again, beside 408, 425, 429 and 5xx, e.g. [404, 409]."
    )
    success: str | None = Field(
        default=None,
        description="CEL over `response` (status, headers, text, data), asked after the status was found good. true:"
        ' delivered; false: tried again; "refuse": a dead letter at once.',
    )
    result: str | None = Field(
        default=None,
        description="CEL over `response`; its value is the delivery's result, up to 16 KiB. Default: the status.",
    )
    proxy: str | None = Field(
        default=None,
        description="An HTTP proxy, http://host:port, or env:NAME or file:PATH where it holds credentials. The"
        " environment's proxies are never used.",
    )
    allow_hosts: tuple[str, ...] = Field(
        default=(),
        description="Where the whole URL is one `${…}`: the hosts that an event may name, with `*`. They may be"
        " private; every other host is refused. Default: every host with public addresses only.",
    )
    dangerous_allow_private_addresses: bool = Field(
        default=False,
        description="Where the whole URL is one `${…}`: let an event name private addresses too. Danger: whoever sends"
        " the event reaches what only this machine may reach, like metadata services.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "HttpOptions":
        for status in self.expect or ():
            if status in (self.retry_on or ()):
                raise ValueError(f"{status} is in both expect and retry_on")
        if self.proxy is not None and not (is_reference(self.proxy) or re.fullmatch(r"http://[^\s/@]+/?", self.proxy)):
            raise ValueError("proxy: must be http://host:port, env:NAME or file:PATH")
        return self

    @property
    def references(self) -> tuple[str, ...]:
        """Every secret that it refers to."""
        given: list[str | None] = [self.proxy]
        if self.auth is not None:
            auth = self.auth
            given += [auth.bearer, auth.header.value if auth.header is not None else None]
            given += [auth.basic.username, auth.basic.password] if auth.basic else []
            given += [auth.oauth2.client_id, auth.oauth2.client_secret] if auth.oauth2 else []
        given += [self.tls.ca, self.tls.cert, self.tls.key] if self.tls is not None else []
        given += self.sign.secrets if self.sign is not None else ()
        return tuple(one for one in given if one is not None and is_reference(one))
