"""How a source says that its sender is verified: a preset, its secrets, or a scheme described field by field."""

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from holdfast.domain.client_certificates import read_fingerprint
from holdfast.domain.clients import Cidr
from holdfast.domain.preset_names import ALIASES, PresetName
from holdfast.domain.quantities import Duration
from holdfast.domain.schemes import PARTS, Place, TimeUnit, stray_places
from holdfast.domain.secretrefs import SecretRef

TokenAlgorithm = Literal["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "EdDSA"]

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
    {
        "header",
        "algorithm",
        "encoding",
        "prefix",
        "signed",
        "timestamp",
        "id_header",
        "separator",
        "key_format",
        "dangerous_unsigned_body",
    }
)
_FETCHED = frozenset({"issuers", "audiences", "claims", "jwks_url", "jwks_hosts"})
_JWT = _FETCHED | {"header", "algorithms", "body_claim", "max_age"}
_OWN: dict[str, frozenset[str]] = {
    "hmac": _DESCRIBED,
    "custom": _DESCRIBED,
    "convoy": frozenset({"header", "algorithm", "encoding"}),
    "api-key": frozenset({"header"}),
    "jwt": _JWT,
    "oidc": _JWT,
    "google-pubsub": _FETCHED,
    "eventgrid-entra": _FETCHED,
    "msgraph": frozenset({"audiences", "jwks_url", "jwks_hosts"}),
    "aws-sns": frozenset({"topics"}),
    "okta": frozenset({"header"}),
    "mtls": frozenset({"header", "subjects", "names", "fingerprints"}),
}
"""Which fields a preset takes beyond those that all take."""

_NEEDS_HEADER = {"hmac", "custom", "api-key", "mtls"}
_FETCHES = {"google-pubsub", "eventgrid-entra"}
"""Presets that know where the sender publishes its keys."""

_BODY = ("{body}", "{form}", "{crc32}")


class TimestampConfig(BaseModel):
    """Where the sender's clock stands and how it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    header: str = Field(
        description="Header that carries the time of signing; or kv:HEADER:KEY (for lists like t=…,v1=…), query:NAME,"
        " form:NAME, json:PATH."
    )
    unit: TimeUnit = Field(
        default="s", description="Unix seconds, Unix milliseconds, RFC 3339, or imf: the form of the Date header."
    )


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
        " changed without a gap: add the new one, switch the sender, remove the old one. aws-sns, and those whose"
        " keys are fetched, need none; a certificate or key set given here is used instead. mtls: the certificates of"
        " the authorities, PEM.",
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
    encoding: Literal["hex", "base64", "base64url"] = Field(
        default="hex", description="hmac, custom: how the signature is written."
    )
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
        " {query}, {url}, {form} (Twilio's sorted form), {crc32} (of the body), {secret}, {header:NAME},"
        " {query:NAME}, {form:NAME} and {json:PATH}; with ? behind the name it may be absent. It must contain {body},"
        " {form} or {crc32}.",
    )
    timestamp: TimestampConfig | None = Field(
        default=None, description="hmac, custom: where the time stands, where {timestamp} is signed."
    )
    id_header: str | None = Field(
        default=None, description="hmac, custom: the header (or kv:, query:, form:, json:) that {id} stands for."
    )
    dangerous_unsigned_body: bool = Field(
        default=False,
        description="hmac, custom: the sender signs only some fields, so `signed` names none of {body}, {form} and"
        " {crc32}. The danger: who has seen one signed request can send another body with it.",
    )
    key_format: Literal["text", "hex", "base64", "standard-webhooks", "public"] | None = Field(
        default=None,
        description="hmac, custom: how the secret is written. Default: text, and for public-key algorithms public,"
        " which is PEM (key or certificate), base64 or hex.",
    )
    algorithms: tuple[TokenAlgorithm, ...] = Field(
        default=("HS256", "RS256", "ES256"), min_length=1, description="jwt: the algorithms that are accepted."
    )
    issuers: tuple[str, ...] = Field(default=(), description="jwt: accepted `iss`; empty accepts any.")
    audiences: tuple[str, ...] = Field(
        default=(),
        description="jwt: accepted `aud`; empty accepts any. msgraph: the ids of the application, with which the"
        " `validationTokens` of notifications with content are checked.",
    )
    claims: dict[str, str | bool] = Field(
        default_factory=dict, description="jwt: further claims that must have these values, like `email`."
    )
    body_claim: str | None = Field(
        default=None,
        description="jwt: the claim that holds the body's SHA-256 in hex; without it the body is unsigned.",
    )
    max_age: Duration | None = Field(
        default=None, gt=timedelta(0), description="jwt: how long after `iat` a token is accepted, beside its `exp`."
    )
    jwks_url: str | None = Field(
        default=None,
        pattern=r"^(https://[^\s@#]+|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?/[^\s@#]*)$",
        description="jwt: where the issuer publishes its keys (JWKS), instead of `secrets`; or the address of its"
        " description, which ends in /.well-known/openid-configuration. https only, but for this machine itself. It is"
        " fetched at the start, every ten minutes, and when a token names a key that is not known. No address in a"
        " token is ever asked.",
    )
    jwks_hosts: tuple[str, ...] = Field(
        default=(),
        description="jwt: hosts at which the issuer's description may name its keys, beside its own. Google's are at"
        " www.googleapis.com.",
    )
    subjects: tuple[str, ...] = Field(
        default=(), description="mtls: accepted subjects of the certificate, like CN=billing,O=Example."
    )
    names: tuple[str, ...] = Field(
        default=(), description="mtls: accepted alternative names (DNS name, URI or mail); the certificate has one."
    )
    fingerprints: tuple[str, ...] = Field(
        default=(), description="mtls: accepted SHA-256 fingerprints of the certificate, in hex."
    )
    allow_ips: tuple[Cidr, ...] = Field(
        default=(),
        description="Networks (CIDR) from which alone the sender calls; others get 403, once the rest is proven. Behind"
        " a proxy name it in `gateway.trusted_proxies`, or every request has the proxy's address. As preset"
        " ip-allow-list it is the only proof: whoever can send from there, or through a proxy there, is believed.",
    )

    @field_validator("preset", mode="before")
    @classmethod
    def _known_by_another_name(cls, name: object) -> object:
        return ALIASES.get(name, name) if isinstance(name, str) else name

    @field_validator("fingerprints")
    @classmethod
    def _fingerprints_are_plain(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(read_fingerprint(one) for one in given)

    @model_validator(mode="after")
    def _fields_belong_to_the_preset(self) -> "VerifyConfig":
        every = frozenset().union(*_OWN.values())
        if stray := sorted((every - _OWN.get(self.preset, frozenset())) & self.model_fields_set):
            owners = " or ".join(name for name, own in _OWN.items() if stray[0] in own)
            raise ValueError(f"{', '.join(stray)}: only preset {owners} takes these; {self.preset} fixes them itself")
        self._has_a_proof()
        if self.preset in _NEEDS_HEADER and not self.header:
            raise ValueError(f"preset {self.preset} needs `header`, the header that carries the proof")
        if self.preset == "mtls" and ":" in (self.header or ""):
            raise ValueError("preset mtls needs a plain header")
        for place in (self.header, self.id_header, self.timestamp.header if self.timestamp else None):
            if place:
                Place.of(place)
        return self

    def _has_a_proof(self) -> None:
        match self.preset:
            case "aws-sns" if not self.topics:
                raise ValueError("preset aws-sns needs `topics`, the ARNs of those that may send here")
            case "ip-allow-list" if not self.allow_ips or self.secrets:
                raise ValueError("preset ip-allow-list needs `allow_ips`, and takes no `secrets`")
            case "mtls" if not (self.secrets or self.subjects or self.names or self.fingerprints):
                raise ValueError(
                    "preset mtls needs `secrets` (the authorities' certificates) or `fingerprints`, `subjects`, `names`"
                )
            case "google-pubsub" | "eventgrid-entra" if not self.audiences:
                raise ValueError(f"preset {self.preset} needs `audiences`: others get tokens of this issuer too")
            case "eventgrid-entra" if not self.issuers:
                raise ValueError("preset eventgrid-entra needs `issuers`, https://sts.windows.net/TENANT/ or the like")
            case _:
                pass
        fetches = self.jwks_url is not None or self.preset in _FETCHES
        if self.jwks_url is not None and self.secrets and self.preset != "msgraph":
            raise ValueError("has both `secrets` and `jwks_url`; with `secrets` nothing is fetched, so remove one")
        if not self.secrets and not fetches and self.preset not in {"aws-sns", "ip-allow-list", "mtls"}:
            raise ValueError("needs `secrets`, one or more of env:NAME or file:PATH")

    @model_validator(mode="after")
    def _template_is_sound(self) -> "VerifyConfig":
        if self.preset not in {"hmac", "custom"}:
            return self
        if not self.dangerous_unsigned_body and not any(part in self.signed for part in _BODY):
            raise ValueError(
                "`signed` must contain {body}, or the body could be exchanged unnoticed; where the sender signs only"
                " some of it, say `dangerous_unsigned_body: true`"
            )
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
