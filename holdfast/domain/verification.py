"""How a source says that its sender is verified: a preset, its secrets, or a scheme described field by field."""

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from holdfast.domain.quantities import Duration
from holdfast.domain.schemes import PARTS, Place, stray_places
from holdfast.domain.secretrefs import SecretRef

PresetName = Literal[
    "standard-webhooks",
    "svix",
    "bearer",
    "basic",
    "cloudevents",
    "github",
    "gitlab",
    "gitlab-token",
    "bitbucket",
    "jira",
    "gitea",
    "forgejo",
    "vercel",
    "sentry",
    "linear",
    "stripe",
    "paddle",
    "square",
    "paypal",
    "adyen",
    "adyen-payload",
    "razorpay",
    "shopify",
    "xero",
    "slack",
    "discord",
    "twilio",
    "sendgrid",
    "mailgun",
    "messagebird",
    "line",
    "meta",
    "twitter",
    "intercom",
    "zoom",
    "pagerduty",
    "zendesk",
    "hubspot-v1",
    "hubspot-v2",
    "hubspot-v3",
    "typeform",
    "dropbox",
    "notion",
    "mux",
    "asana",
    "netlify",
    "aws-sns",
    "eventgrid",
    "msgraph",
    "okta",
    "hmac",
    "custom",
    "convoy",
    "api-key",
    "jwt",
]
"""Every preset; a test keeps it equal to the tables of `presets.py`."""

SignatureAlgorithm = Literal[
    "sha1",
    "sha256",
    "sha512",
    "plain-sha1",
    "plain-sha256",
    "plain-sha512",
    "ed25519",
    "ecdsa-p256",
    "rsa-sha1",
    "rsa-sha256",
    "rsa-sha512",
]

_DESCRIBED = frozenset(
    {"header", "algorithm", "encoding", "prefix", "signed", "timestamp", "id_header", "separator", "key_format"}
)
_JWT = frozenset({"header", "algorithms", "issuers", "audiences", "body_claim"})
_OWN: dict[str, frozenset[str]] = {
    "hmac": _DESCRIBED,
    "custom": _DESCRIBED,
    "convoy": frozenset({"header", "algorithm", "encoding"}),
    "api-key": frozenset({"header"}),
    "jwt": _JWT,
    "aws-sns": frozenset({"topics"}),
}
"""Which fields a preset takes beyond those that all take."""

_NEEDS_HEADER = {"hmac", "custom", "api-key"}
_BODY = ("{body}", "{form}", "{crc32}")


class TimestampConfig(BaseModel):
    """Where the sender's clock stands and how it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    header: str = Field(
        description="Header that carries the time of signing; or kv:HEADER:KEY (for lists like t=…,v1=…), query:NAME,"
        " form:NAME, json:PATH."
    )
    unit: Literal["s", "ms", "rfc3339"] = Field(default="s", description="Unix seconds, Unix milliseconds or RFC 3339.")


class VerifyConfig(BaseModel):
    """How a request proves that it comes from the sender. docs/senders has a page for each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: PresetName = Field(
        description="The sender. Those that no sender owns: standard-webhooks, bearer, basic, api-key, jwt, and hmac or"
        " custom, which are described by the fields below."
    )
    secrets: tuple[SecretRef, ...] = Field(
        default=(),
        description="One or more secrets as env:NAME or file:PATH. Any of them may match, so that a secret can be"
        " changed without a gap: add the new one, switch the sender, remove the old one. Only aws-sns needs none; a"
        " certificate given here is used instead of the fetched one.",
    )
    tolerance: Duration = Field(
        default=timedelta(minutes=5),
        description="How far a signed timestamp may be from now, either way. Longer lets recordings be replayed. Some"
        " presets have another default: linear 1m, aws-sns 1h, mailgun 9h, paypal 3d.",
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s?#]+$",
        description="Address of this source as it was given to the sender, without query; for senders that sign it"
        " (Twilio, Square, HubSpot, MessageBird) where a proxy changes host, port or path. Default: as received.",
    )
    topics: tuple[str, ...] = Field(
        default=(),
        description="aws-sns: the topics (ARNs) that may send, required: anybody with an AWS account can have a message"
        " signed by Amazon.",
    )
    header: str | None = Field(
        default=None,
        description="hmac, custom, api-key, jwt, convoy: header that carries the signature; or query:NAME, form:NAME,"
        " json:PATH.",
    )
    algorithm: SignatureAlgorithm = Field(
        default="sha256",
        description="hmac, custom: sha… is HMAC with it, plain-sha… the plain hash (of material that holds {secret}),"
        " the others are public-key signatures.",
    )
    encoding: Literal["hex", "base64"] = Field(default="hex", description="hmac, custom: how the signature is written.")
    prefix: str = Field(default="", description="hmac, custom: text before the signature, like sha256=")
    separator: str | None = Field(
        default=None,
        min_length=1,
        max_length=4,
        description="hmac, custom: what stands between several signatures, or between the entries of a key=value list.",
    )
    signed: str = Field(
        default="{body}",
        description="hmac, custom: what is signed, a template over {body}, {timestamp}, {id}, {method}, {path},"
        " {query}, {url}, {form} (Twilio's sorted form), {crc32} (of the body), {secret}, {header:NAME} and"
        " {json:PATH}. It must contain {body}, {form} or {crc32}.",
    )
    timestamp: TimestampConfig | None = Field(
        default=None, description="hmac, custom: where the time stands, where {timestamp} is signed."
    )
    id_header: str | None = Field(
        default=None, description="hmac, custom: the header (or kv:, query:, form:, json:) that {id} stands for."
    )
    key_format: Literal["text", "hex", "base64", "standard-webhooks", "public"] | None = Field(
        default=None,
        description="hmac, custom: how the secret is written. Default: text, and for public-key algorithms public,"
        " which is PEM (key or certificate), base64 or hex.",
    )
    algorithms: tuple[Literal["HS256", "RS256", "ES256"], ...] = Field(
        default=("HS256", "RS256", "ES256"), min_length=1, description="jwt: the algorithms that are accepted."
    )
    issuers: tuple[str, ...] = Field(default=(), description="jwt: accepted `iss`; empty accepts any.")
    audiences: tuple[str, ...] = Field(default=(), description="jwt: accepted `aud`; empty accepts any.")
    body_claim: str | None = Field(
        default=None,
        description="jwt: the claim that holds the body's SHA-256 in hex; without it the body is unsigned.",
    )

    @model_validator(mode="after")
    def _fields_belong_to_the_preset(self) -> "VerifyConfig":
        every = frozenset().union(*_OWN.values())
        if stray := sorted((every - _OWN.get(self.preset, frozenset())) & self.model_fields_set):
            owners = " or ".join(name for name, own in _OWN.items() if stray[0] in own)
            raise ValueError(f"{', '.join(stray)}: only preset {owners} takes these; {self.preset} fixes them itself")
        if self.preset == "aws-sns":
            if not self.topics:
                raise ValueError("preset aws-sns needs `topics`, the ARNs of those that may send here")
        elif not self.secrets:
            raise ValueError("needs `secrets`, one or more of env:NAME or file:PATH")
        if self.preset in _NEEDS_HEADER and not self.header:
            raise ValueError(f"preset {self.preset} needs `header`, the header that carries the signature")
        for place in (self.header, self.id_header, self.timestamp.header if self.timestamp else None):
            if place:
                Place.of(place)
        return self

    @model_validator(mode="after")
    def _template_is_sound(self) -> "VerifyConfig":
        if self.preset not in {"hmac", "custom"}:
            return self
        if not any(part in self.signed for part in _BODY):
            raise ValueError("`signed` must contain {body}, or the body could be exchanged unnoticed")
        if strays := stray_places(self.signed):
            raise ValueError(f"`signed` names {', '.join(strays)}; known are {', '.join(PARTS)}")
        if self.algorithm.startswith("plain-") and "{secret}" not in self.signed:
            raise ValueError("a plain hash proves nothing unless `signed` contains {secret}")
        # a time inside a signed body is signed with it
        inside = self.timestamp is not None and self.timestamp.header.startswith("json:") and "{body}" in self.signed
        if ("{timestamp}" in self.signed) != (self.timestamp is not None) and not inside:
            raise ValueError("`timestamp` and {timestamp} in `signed` go together: an unsigned time proves nothing")
        if ("{id}" in self.signed) != (self.id_header is not None):
            raise ValueError("`id_header` and {id} in `signed` go together")
        return self
