"""Every sender by name, and those that a source describes by itself.

Flow: `VerifyConfig` → **presets** → `Verifier`, the same for the gateway, `holdfast send` and `holdfast verify`.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from holdfast.domain.client_certificates import ClientRules, read_roots
from holdfast.domain.clients import Proxies, read_network
from holdfast.domain.preset import Preset, secret_at
from holdfast.domain.providers.business import BUSINESS
from holdfast.domain.providers.clouds import CLOUDS, GRAPH_TOKENS
from holdfast.domain.providers.code import CODE, GITHUB
from holdfast.domain.providers.commerce import COMMERCE
from holdfast.domain.providers.messaging import MESSAGING
from holdfast.domain.providers.standard import BEARER, STANDARD, STANDARD_WEBHOOKS
from holdfast.domain.providers.tokens import TOKENS
from holdfast.domain.schemes import (
    Algorithm,
    Digest,
    Ecdsa,
    Ed25519,
    HeaderNames,
    Hmac,
    JwtRules,
    KeyFormat,
    KeySet,
    Mark,
    Method,
    Rsa,
    Scheme,
    Token,
)
from holdfast.domain.signatures import Limits, Verifier
from holdfast.domain.verification import VerifyConfig
from holdfast.errors import ErrorCode, RejectedInput

__all__ = ["BEARER", "GITHUB", "PRESETS", "STANDARD_WEBHOOKS", "Preset", "preset_of", "tolerance_of", "verifier_of"]

PRESETS: dict[str, Preset] = {**STANDARD, **CODE, **COMMERCE, **MESSAGING, **BUSINESS, **CLOUDS, **TOKENS}

_HASHES: dict[str, Algorithm] = {"sha1": "sha1", "sha256": "sha256", "sha512": "sha512"}


def preset_of(verify: VerifyConfig) -> Preset:
    """Return the preset a source names, with what the source says of it; some are built from its fields alone."""
    known = PRESETS.get(verify.preset)
    if known is not None:
        return _adapted(known, verify)
    match verify.preset:
        case "mtls":
            header = HeaderNames((verify.header or "").lower())
            return Preset(scheme=Scheme(headers=(header,), signed="", proof="certificate"))
        case "ip-allow-list":
            return Preset(scheme=Scheme(headers=(), signed="", proof="address"))
        case "api-key":
            return Preset(scheme=secret_at(_place(verify.header or "")))
        case "convoy":
            return _convoy(verify)
        case "jwt" | "oidc":
            return _jwt(verify)
        case _:
            return _described(verify)


def tolerance_of(verify: VerifyConfig) -> timedelta:
    """How far a signed time may be from now: as the source says, else as its sender needs."""
    return verify.tolerance if "tolerance" in verify.model_fields_set else preset_of(verify).tolerance


def verifier_of(verify: VerifyConfig, secrets: Iterable[str | bytes], proxies: Proxies | None = None) -> Verifier:
    """Return the verifier of a source. Raises RejectedInput `config.invalid` where a secret has not its form."""
    return Verifier(
        preset_of(verify).scheme,
        () if verify.preset == "mtls" else secrets,
        tolerance_of(verify),
        limits_of(verify, secrets, proxies),
    )


def limits_of(verify: VerifyConfig, secrets: Iterable[str | bytes], proxies: Proxies | None = None) -> Limits:
    """Return what a source asks for beyond the signature. Raises as `verifier_of` does."""
    client = None
    if verify.preset == "mtls":
        try:
            roots = tuple(root for secret in secrets for root in read_roots(str(secret)))
        except ValueError as error:
            text = "the secrets of preset mtls are the certificates of authorities, PEM"
            raise RejectedInput(ErrorCode.CONFIG_INVALID, text) from error
        client = ClientRules(roots, frozenset(verify.subjects), frozenset(verify.names), frozenset(verify.fingerprints))
    return Limits(
        public_url=verify.public_url,
        place="json:TopicArn" if verify.topics else None,
        values=frozenset(verify.topics),
        networks=tuple(map(read_network, verify.allow_ips)),
        proxies=proxies or Proxies(),
        client=client,
    )


def _adapted(preset: Preset, verify: VerifyConfig) -> Preset:
    scheme = preset.scheme
    if verify.preset == "okta" and verify.header:
        return replace(preset, scheme=secret_at(_place(verify.header)))
    if verify.preset == "msgraph" and verify.audiences:
        rules = _asked(GRAPH_TOKENS.rules, verify)
        return replace(preset, scheme=replace(scheme, tokens=replace(GRAPH_TOKENS, rules=rules)))
    if scheme.jwt is not None:
        return replace(preset, scheme=replace(scheme, jwt=_asked(scheme.jwt, verify)))
    return preset


def _asked(rules: JwtRules, verify: VerifyConfig) -> JwtRules:
    """Return the rules with what the source says of tokens."""
    return replace(
        rules,
        issuers=verify.issuers or rules.issuers,
        audiences=verify.audiences or rules.audiences,
        claims=tuple(verify.claims.items()) or rules.claims,
        keys=KeySet(verify.jwks_url, verify.jwks_hosts) if verify.jwks_url else rules.keys,
    )


def _described(verify: VerifyConfig) -> Preset:
    timestamp = _place(verify.timestamp.header) if verify.timestamp else None
    identity = _place(verify.id_header) if verify.id_header else None
    method = _method(verify.algorithm)
    form: KeyFormat = "text" if isinstance(method, Hmac | Digest) else "public"
    return Preset(
        scheme=Scheme(
            headers=(HeaderNames(_place(verify.header or ""), timestamp, identity),),
            marks=(Mark(verify.prefix, method, verify.encoding),),
            signed=verify.signed,
            separator=verify.separator,
            timestamp_unit=verify.timestamp.unit if verify.timestamp else "s",
            key_format=verify.key_format or form,
        ),
        keep=tuple(name for name in (timestamp, identity) if name is not None and ":" not in name),
    )


def _convoy(verify: VerifyConfig) -> Preset:
    """Build what https://www.getconvoy.io/docs/webhooks/signatures calls advanced signatures."""
    header = (verify.header or "x-convoy-signature").lower()
    return Preset(
        scheme=Scheme(
            headers=(HeaderNames(header, f"kv:{header}:t"),),
            marks=(Mark("v1=", _method(verify.algorithm), verify.encoding),),
            signed="{timestamp},{body}",
            separator=",",
        )
    )


def _jwt(verify: VerifyConfig) -> Preset:
    public = ("RS256", "ES256")  # a set that anybody can fetch holds no shared secret
    algorithms = public if verify.jwks_url and "algorithms" not in verify.model_fields_set else verify.algorithms
    rules = _asked(JwtRules(tuple(algorithms), body_claim=verify.body_claim, max_age=verify.max_age), verify)
    header = _place(verify.header or "authorization")
    return Preset(
        scheme=Scheme(
            headers=(HeaderNames(header),),
            marks=(Mark("Bearer ", Token(), any_case=True) if header == "authorization" else Mark("", Token()),),
            signed="",
            key_format="jwt",
            jwt=rules,
        )
    )


def _method(algorithm: str) -> Method:
    match algorithm:
        case "ed25519":
            return Ed25519()
        case "ecdsa-p256":
            return Ecdsa()
        case "rsa-sha1" | "rsa-sha256" | "rsa-sha512":
            return Rsa(_HASHES[algorithm.removeprefix("rsa-")])
        case "plain-sha1" | "plain-sha256" | "plain-sha512":
            return Digest(_HASHES[algorithm.removeprefix("plain-")])
        case _:
            return Hmac(_HASHES[algorithm])


def _place(text: str) -> str:
    """Return a place with its header's name in lower case."""
    return text.lower() if ":" not in text else text
