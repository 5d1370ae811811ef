"""Requests as they were written down, judged offline by the code that the gateway runs: `holdfast verify`.

An entry is one object of the form of the published vectors: `preset`, `secret`, `method`, `url`, `headers`, `body` or
`body_base64`, `now` (Unix seconds; without it freshness is not judged), `tolerance` (seconds), `expect`, and for
described presets `generic`, with the fields that `verify` has in holdfast.yaml.
"""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from holdfast.domain.presets import preset_of, tolerance_of
from holdfast.domain.schemes import SignedRequest
from holdfast.domain.signatures import Limits, Verdict, Verifier
from holdfast.domain.verification import VerifyConfig
from holdfast.errors import ErrorCode, RejectedInput

_GIVEN = "env:GIVEN"  # stands where a configuration names its secret: an entry carries the secret itself
_RENAMED = {"hash": "algorithm"}
_MAX_TIME = 253_402_300_799  # Unix seconds; the end of year 9999


class SecretForms(BaseModel):
    """A secret that is not plain text: bytes in hex, or the certificate that the request names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hex: str | None = Field(default=None, repr=False)
    cert_pem: str | None = Field(default=None, repr=False)
    cert_url: str | None = None
    secret: str | None = Field(default=None, repr=False)  # beside a certificate: PayPal's webhook id

    def plain(self) -> str | bytes | None:
        """Return the secret itself, where there is one beside the certificate."""
        return bytes.fromhex(self.hex) if self.hex is not None else self.secret


class CapturedRequest(BaseModel):
    """One entry. What it says beyond these fields (where it comes from, notes) is for people."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    preset: str
    secret: str | tuple[str, ...] | SecretForms = Field(repr=False)
    headers: dict[str, str | list[str]] = Field(default_factory=dict, repr=False)
    body: str | None = Field(default=None, repr=False)
    body_base64: str | None = Field(default=None, repr=False)
    id: str | None = None
    method: str = "POST"
    url: str = ""
    now: float | None = Field(default=None, ge=0, le=_MAX_TIME)
    tolerance: float | None = Field(default=None, ge=0, le=_MAX_TIME)
    header: str | None = None  # of preset api-key
    topics: tuple[str, ...] = ()
    generic: dict[str, Any] = Field(default_factory=dict)
    expect: Literal["ok", "fail"] = "ok"
    incomplete: bool = False  # cannot be decided offline

    @model_validator(mode="after")
    def _one_body(self) -> "CapturedRequest":
        if self.body is not None and self.body_base64 is not None:
            raise ValueError("has both body and body_base64")
        return self


def judge(entry: CapturedRequest, now: datetime) -> Verdict:
    """Verify one entry; `now` counts where it names no time, for tokens that carry their own.

    Raises RejectedInput `input.invalid` where the entry itself cannot be used, `config.invalid` for its secret.
    """
    try:
        return _judge(entry, now)
    except UnicodeEncodeError as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, "a text holds a lone surrogate") from error


def _judge(entry: CapturedRequest, now: datetime) -> Verdict:
    verifier = _verifier(entry)
    request = _request(entry)
    forms = entry.secret if isinstance(entry.secret, SecretForms) else None
    certificate = forms.cert_pem.encode() if forms is not None and forms.cert_pem is not None else None
    if forms is not None and forms.cert_url not in {None, verifier.key_address(request)}:
        certificate = None  # the request names another certificate than the one that is here
    moment = datetime.fromtimestamp(entry.now, UTC) if entry.now is not None else now
    return verifier.verify(request, moment, certificate)


def _verifier(entry: CapturedRequest) -> Verifier:
    config = _config(entry)
    if entry.now is None:
        tolerance = timedelta.max
    else:
        tolerance = timedelta(seconds=entry.tolerance) if entry.tolerance is not None else tolerance_of(config)
    limits = Limits(public_url=config.public_url)
    if entry.topics:
        limits = Limits(config.public_url, "json:TopicArn", frozenset(entry.topics))
    try:
        return Verifier(preset_of(config).scheme, _secrets(entry), tolerance, limits)
    except UnicodeEncodeError:
        raise
    except ValueError as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, "secret.hex is not hex") from error


def _config(entry: CapturedRequest) -> VerifyConfig:
    fields = {_RENAMED.get(name, name): value for name, value in entry.generic.items()}
    fields |= {"preset": entry.preset, "secrets": (_GIVEN,)}
    if entry.header is not None:
        fields["header"] = entry.header
    if entry.preset == "aws-sns":
        fields["topics"] = entry.topics or ("any",)
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
    if isinstance(entry.secret, SecretForms):
        plain = entry.secret.plain()
        return [] if plain is None else [plain]
    return [entry.secret] if isinstance(entry.secret, str) else list(entry.secret)


def _request(entry: CapturedRequest) -> SignedRequest:
    pairs = [
        (name, value) for name, held in entry.headers.items() for value in ([held] if isinstance(held, str) else held)
    ]
    try:
        body = base64.b64decode(entry.body_base64, validate=True) if entry.body_base64 is not None else None
    except (binascii.Error, ValueError) as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, "body_base64 is not base64") from error
    if body is None:
        body = (entry.body or "").encode("utf-8", "surrogatepass")
    return SignedRequest.of_pairs(pairs, body, entry.method.upper(), entry.url)
