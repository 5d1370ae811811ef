"""Requests as they were written down, judged offline by the code that the gateway runs: `holdfast verify`.

An entry is one object of the form of the published vectors: `preset`, `secret`, `method`, `url`, `headers`, `body` or
`body_base64`, `now` (Unix seconds or RFC 3339; without it freshness is not judged), `tolerance` (seconds), `expect`,
and `generic`, with the fields that `verify` has in holdfast.yaml. For what is fetched online: `certificate` (PEM),
`jwks`. For what the connection proves: `peer` (its address) and `trusted_proxies`.
"""

import base64
import binascii
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from holdfast.domain.clients import Cidr, Proxies, read_network
from holdfast.domain.presets import limits_of, preset_of, tolerance_of
from holdfast.domain.schemes import SignedRequest
from holdfast.domain.signatures import Fetched, Verdict, Verifier
from holdfast.domain.signing_keys import Key, read_key_set
from holdfast.domain.verification import VerifyConfig
from holdfast.errors import ErrorCode, RejectedInput

_GIVEN = "env:GIVEN"  # stands where a configuration names its secret: an entry carries the secret itself
_RENAMED = {"hash": "algorithm"}
_FETCHING = {"jwt", "oidc", "google-pubsub", "pubsub", "eventgrid-entra", "msgraph", "microsoft-graph"}
"""Presets whose keys may be fetched."""

_MAX_TIME = 253_402_300_799  # Unix seconds; the end of year 9999


class SecretForms(BaseModel):
    """A secret that is not plain text: in hex or base64, a key in PEM, or the certificate that the request names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hex: str | None = Field(default=None, repr=False)
    base64: str | None = Field(default=None, repr=False)
    pem: str | None = Field(default=None, repr=False)
    cert_pem: str | None = Field(default=None, repr=False)
    cert_url: str | None = None
    secret: str | None = Field(default=None, repr=False)  # beside a certificate: PayPal's webhook id

    def plain(self) -> str | bytes | None:
        """Return the secret itself, where there is one beside the certificate. Raises ValueError."""
        if self.hex is not None:
            return bytes.fromhex(self.hex)
        if self.base64 is not None:
            return base64.b64decode(self.base64, validate=True)
        return self.pem or self.secret


class CapturedRequest(BaseModel):
    """One entry. What it says beyond these fields (where it comes from, notes) is for people."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    preset: str
    secret: tuple[str | SecretForms, ...] = Field(default=(), repr=False)
    headers: tuple[tuple[str, str], ...] = Field(default=(), repr=False)
    body: str | None = Field(default=None, repr=False)
    body_base64: str | None = Field(default=None, repr=False)
    id: str | None = None
    method: str = "POST"
    url: str = ""
    now: float | None = Field(default=None, ge=0, le=_MAX_TIME)
    tolerance: float | None = Field(default=None, ge=0, le=_MAX_TIME)
    header: str | None = None  # of presets that take it, like api-key
    topics: tuple[str, ...] = ()
    generic: dict[str, Any] = Field(default_factory=dict)
    certificate: str | None = Field(default=None, repr=False)
    jwks: str | None = Field(default=None, repr=False)
    peer: str = ""
    trusted_proxies: tuple[Cidr, ...] = ()
    expect: Literal["ok", "fail"] = "ok"
    incomplete: bool = False  # cannot be decided offline

    @field_validator("id", mode="before")
    @classmethod
    def _id_is_a_text(cls, given: Any) -> Any:
        return str(given) if isinstance(given, int) else given

    @field_validator("secret", mode="before")
    @classmethod
    def _secrets_are_listed(cls, given: Any) -> Any:
        if given is None:
            return ()
        return (given,) if isinstance(given, str | dict) else given

    @field_validator("headers", mode="before")
    @classmethod
    def _headers_are_pairs(cls, given: Any) -> Any:
        """Take an object (whose values may be lists), a list of pairs, or a list of objects with name and value."""
        if isinstance(given, dict):
            given = [(name, value) for name, held in given.items() for value in _listed(held)]
        if not isinstance(given, list):
            return () if given is None else given
        pairs = [(one.get("name"), one.get("value")) if isinstance(one, dict) else one for one in given]
        if any(not isinstance(pair, list | tuple) or len(pair) != 2 for pair in pairs):
            raise ValueError("is an object, or a list of pairs of name and value")
        return [(name, str(value) if isinstance(value, int) else value) for name, value in pairs]

    @field_validator("now", mode="before")
    @classmethod
    def _now_may_be_written(cls, given: Any) -> Any:
        if not isinstance(given, str) or given.strip().replace(".", "", 1).isdigit():
            return given
        moment = datetime.fromisoformat(given)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()

    @field_validator("method", "url", "peer", "generic", "topics", "expect", "incomplete", mode="before")
    @classmethod
    def _null_is_absent(cls, given: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[str(info.field_name)]
        return field.get_default(call_default_factory=True) if given is None else given

    @field_validator("jwks", mode="before")
    @classmethod
    def _a_key_set_is_json(cls, given: Any) -> Any:
        return json.dumps(given) if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _one_body(self) -> "CapturedRequest":
        if self.body is not None and self.body_base64 is not None:
            raise ValueError("has both body and body_base64")
        return self


def _listed(held: Any) -> list[Any]:
    return held if isinstance(held, list) else [] if held is None else [held]


def judge(entry: CapturedRequest, now: datetime) -> Verdict:
    """Verify one entry; `now` counts where it names no time, for certificates.

    Raises RejectedInput `input.invalid` where the entry itself cannot be used, `config.invalid` for its secret.
    """
    try:
        return _judge(entry, now)
    except UnicodeEncodeError as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, "a text holds a lone surrogate") from error


def _judge(entry: CapturedRequest, now: datetime) -> Verdict:
    verifier = _verifier(entry)
    request = _request(entry)
    given: list[tuple[str | None, str | None]] = [(entry.certificate, None)]
    given += [(one.cert_pem, one.cert_url) for one in entry.secret if isinstance(one, SecretForms) and one.cert_pem]
    address = verifier.key_address(request)
    # the request may name another certificate than those that are here
    found = [pem for pem, url in given if pem is not None and url in {None, address}]
    moment = datetime.fromtimestamp(entry.now, UTC) if entry.now is not None else now
    return verifier.verify(request, moment, fetched=Fetched(found[0].encode() if found else None, _published(entry)))


def _published(entry: CapturedRequest) -> tuple[Key, ...]:
    """Return the keys that would be fetched."""
    if entry.jwks is None or entry.preset not in _FETCHING:
        return ()
    try:
        return read_key_set(entry.jwks.encode())
    except (ValueError, RecursionError) as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, "jwks is no JSON Web Key Set") from error


def _verifier(entry: CapturedRequest) -> Verifier:
    try:
        secrets = _secrets(entry)
    except UnicodeEncodeError:
        raise
    except ValueError as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, "secret is not hex or base64 as it says") from error
    config = _config(entry, secrets)
    if entry.now is None:
        tolerance = timedelta.max
    else:
        tolerance = timedelta(seconds=entry.tolerance) if entry.tolerance is not None else tolerance_of(config)
    proxies = Proxies(tuple(map(read_network, entry.trusted_proxies)))
    limits = limits_of(config, secrets, proxies)
    if not entry.topics and "topics" not in entry.generic:
        limits = replace(limits, place=None)
    return Verifier(preset_of(config).scheme, () if config.preset == "mtls" else secrets, tolerance, limits)


def _config(entry: CapturedRequest, secrets: list[str | bytes]) -> VerifyConfig:
    fields = {_RENAMED.get(name, name): value for name, value in entry.generic.items() if value is not None}
    fields |= {"preset": entry.preset, "secrets": (_GIVEN,) if secrets else ()}
    if entry.header is not None:
        fields["header"] = entry.header
    if entry.topics:
        fields["topics"] = entry.topics
    if entry.preset in {"aws-sns", "sns"}:
        fields.setdefault("topics", ("any",))
    if entry.preset in _FETCHING and entry.preset != "msgraph" and secrets:
        fields.pop("jwks_url", None)  # what is given is used instead
    elif entry.jwks is not None and entry.preset in _FETCHING:
        fields.setdefault("jwks_url", "https://jwks.invalid/")
    try:
        return VerifyConfig.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        if where == "preset":
            raise RejectedInput(ErrorCode.INPUT_INVALID, f"there is no preset {entry.preset!r}") from error
        text = f"{where + ': ' if where else ''}{str(first['msg']).removeprefix('Value error, ')}"
        raise RejectedInput(ErrorCode.INPUT_INVALID, text) from error


def _secrets(entry: CapturedRequest) -> list[str | bytes]:
    jwks = entry.jwks if entry.preset not in _FETCHING else None
    plain = [one if isinstance(one, str) else one.plain() for one in (*entry.secret, jwks) if one is not None]
    return [one for one in plain if one is not None]


def _request(entry: CapturedRequest) -> SignedRequest:
    try:
        body = base64.b64decode(entry.body_base64, validate=True) if entry.body_base64 is not None else None
    except (binascii.Error, ValueError) as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, "body_base64 is not base64") from error
    if body is None:
        body = (entry.body or "").encode("utf-8", "surrogatepass")
    request = SignedRequest.of_pairs(entry.headers, body, entry.method.upper(), entry.url)
    return replace(request, peer=entry.peer)
