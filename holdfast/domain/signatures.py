"""The one engine that checks and makes signatures, for every scheme: pure, offline, on raw bytes.

Flow: receive → **authenticate** → normalise. `holdfast send` signs with the same tables the gateway verifies with.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from holdfast.clock import rfc3339
from holdfast.domain import jwts, proofs
from holdfast.domain.client_certificates import ClientRules, read_forwarded, refusal
from holdfast.domain.clients import Network, Proxies, within
from holdfast.domain.components import Components
from holdfast.domain.material import render, spellings
from holdfast.domain.schemes import HeaderNames, KeySet, KeySource, Mark, Place, Scheme, SignedRequest
from holdfast.domain.signing_keys import Key, certificate_key, read_keys
from holdfast.errors import ErrorCode, RejectedInput

MAX_CANDIDATES = 16  # signatures in one header; each costs work before the sender is known
LEEWAY = timedelta(seconds=30)  # how far clocks may differ where a token names its own times
IMF = "%a, %d %b %Y %H:%M:%S GMT"  # RFC 9110, 5.6.7
_NOBODY = Proxies()
_UNIX = re.compile(rb"[0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class Verified:
    """The request is the sender's. `id` is the signed delivery id, where the scheme has one."""

    id: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The request is not proven; `code` is one of `signature.missing`, `.invalid`, `.stale`, `client.not_allowed`."""

    code: ErrorCode
    reason: str


Verdict = Verified | Refused


@dataclass(frozen=True, slots=True)
class Limits:
    """What a source asks for beyond the signature."""

    public_url: str | None = None  # the address as the sender has it, without query, where a proxy changes it
    place: str | None = None  # where one of `values` must stand, in signed material
    values: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()  # from which alone the sender calls; empty: from anywhere
    proxies: Proxies = _NOBODY
    client: ClientRules | None = None  # where the proof is a certificate


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the sender publishes at the addresses that its verifier names."""

    certificate: bytes | None = None  # PEM, of `key_address`
    keys: tuple[Key, ...] = ()  # of `key_set`


_NOTHING = Fetched()


class Verifier:
    """A scheme with the secrets, the tolerance and the limits of one source."""

    __slots__ = ("_keys", "_limits", "_needs_url", "_places", "_template", "_tolerance", "scheme")

    def __init__(
        self, scheme: Scheme, secrets: Iterable[str | bytes], tolerance: timedelta, limits: Limits | None = None
    ) -> None:
        self.scheme = scheme
        self._keys = tuple(key for secret in secrets for key in read_keys(scheme, secret))
        self._template = scheme.template()
        self._needs_url = "{url}" in scheme.signed or (scheme.jwt is not None and scheme.jwt.url_claim is not None)
        self._tolerance = tolerance
        self._limits = limits or Limits()
        self._places = tuple(_places(names) for names in scheme.headers)

    def key_address(self, request: SignedRequest) -> str | None:
        """Return the address of the certificate this request names, where it is one that is believed."""
        source = self.scheme.key_source
        if source is None or any(key.public is not None for key in self._keys):
            return None  # one that the source names itself is used instead
        return _address(source, Components(request, self.scheme.separator))

    @property
    def fetches(self) -> KeySet | None:
        """The key set that is fetched; those keys that the source has itself are used instead."""
        return None if self.scheme.jwt is not None and self._keys else self.scheme.key_set

    def key_set(self, request: SignedRequest) -> tuple[KeySet, frozenset[str]] | None:
        """Return the key set that this request needs, and the names of the keys; None where none is fetched."""
        wanted = self.fetches
        if wanted is None:
            return None
        tokens = self._tokens(Components(request, self.scheme.separator))
        return (wanted, frozenset(name for token in tokens if (name := jwts.key_name(token)))) if tokens else None

    def verify(
        self, request: SignedRequest, now: datetime, certificate: bytes | None = None, fetched: Fetched = _NOTHING
    ) -> Verdict:
        """Decide; never raises, whatever the request holds. Freshness is judged only once the signature holds.

        `certificate` (PEM), or that of `fetched`, is what stands at `key_address`, for schemes that have one.
        """
        components = Components(request, self.scheme.separator)
        fetched = fetched if certificate is None else Fetched(certificate, fetched.keys)
        verdict = self._prove(components, now, fetched)
        if isinstance(verdict, Verified) and not self._permitted(components):
            return _not_ours()
        if isinstance(verdict, Verified) and not self._admitted(request):
            return Refused(ErrorCode.CLIENT_NOT_ALLOWED, "the client's address is none of allow_ips")
        return verdict

    def _prove(self, components: Components, now: datetime, fetched: Fetched) -> Verdict:
        if self.scheme.proof == "address":
            # `_admitted` is all there is to prove, so it must have something to ask
            return Verified() if self._limits.networks else _not_ours()
        places = next((p for p in self._places if components.values(p["signature"])), None)
        if places is None:
            return Refused(ErrorCode.SIGNATURE_MISSING, f"no signature at {self.scheme.headers[0].signature}")
        found: dict[str, bytes] = {}
        for part, place in places.items():
            values = components.values(place)
            if not values:
                return Refused(ErrorCode.SIGNATURE_MISSING, f"no {part} at {_shown(place)}")
            if len(values) > 1:
                return Refused(ErrorCode.SIGNATURE_INVALID, f"more than one {part} at {_shown(place)}")
            found[part] = values[0]
        if self.scheme.proof == "certificate":
            return self._judge_client(components.request, places["signature"].name, found["signature"], now)
        keys = self._usable_keys(components, fetched, now)
        if isinstance(keys, Refused):
            return keys
        verdict = self._judge(components, found, keys, now)
        if isinstance(verdict, Verified) and not self._vouched(components, fetched.keys, now):
            return Refused(ErrorCode.SIGNATURE_INVALID, "the tokens in the body do not hold")
        return verdict

    def _judge_client(self, request: SignedRequest, header: str, value: bytes, now: datetime) -> Verdict:
        if not self._limits.proxies.trust(request):
            return Refused(ErrorCode.SIGNATURE_INVALID, f"{header} does not come from one of gateway.trusted_proxies")
        client, rules = read_forwarded(header, value), self._limits.client
        if client is None or rules is None:
            return Refused(ErrorCode.SIGNATURE_INVALID, f"{header} cannot be read as a certificate")
        reason = refusal(client, rules, now)
        return Verified() if reason is None else Refused(ErrorCode.SIGNATURE_INVALID, reason)

    def _vouched(self, components: Components, keys: tuple[Key, ...], now: datetime) -> bool:
        """Whether the tokens in the body hold, of senders that put some there."""
        wanted = self.scheme.tokens
        if wanted is None:
            return True
        tokens = self._tokens(components)
        if not tokens:
            return not components.present(wanted.path) and not components.present(wanted.demanded_by)
        moment = jwts.Moment(now, self._leeway)
        judged = [jwts.judge(token, keys, wanted.rules, components.request, moment) for token in tokens]
        return all(one not in {"invalid", "stale"} for one in judged)

    def _tokens(self, components: Components) -> list[bytes]:
        if self.scheme.jwt is not None:
            places = next((p for p in self._places if components.values(p["signature"])), None)
            values = components.values(places["signature"]) if places is not None else []
            return [text for value in values[:1] for _, text in self._candidates(value)]
        return components.texts(self.scheme.tokens.path, MAX_CANDIDATES) if self.scheme.tokens is not None else []

    @property
    def _leeway(self) -> timedelta:
        return self._tolerance if self._tolerance == timedelta.max else LEEWAY

    def _admitted(self, request: SignedRequest) -> bool:
        if not self._limits.networks:
            return True
        client = self._limits.proxies.client_of(request)
        return client is not None and within(client, self._limits.networks)

    def _judge(self, components: Components, found: dict[str, bytes], keys: tuple[Key, ...], now: datetime) -> Verdict:
        if self.scheme.jwt is not None:
            return self._judge_token(components.request, found["signature"], keys, now)
        if not self._signed(components, found, keys):
            return Refused(ErrorCode.SIGNATURE_INVALID, "no signature matches")
        if "timestamp" in found:
            moment = _moment(found["timestamp"], self.scheme)
            if moment is None:
                return Refused(ErrorCode.SIGNATURE_INVALID, "the signed timestamp cannot be read")
            if abs(now - moment) > self._tolerance:
                return Refused(ErrorCode.SIGNATURE_STALE, _too_far(now - moment, self._tolerance))
        return Verified(found["id"].decode("latin-1") if "id" in found else None)

    def _judge_token(self, request: SignedRequest, text: bytes, keys: tuple[Key, ...], now: datetime) -> Verdict:
        rules = self.scheme.jwt
        candidates = self._candidates(text)
        if rules is None or len(candidates) != 1:
            return Refused(ErrorCode.SIGNATURE_INVALID, "no token")
        known = replace(request, urls=self._urls(request))
        outcome = jwts.judge(candidates[0][1], keys, rules, known, jwts.Moment(now, self._leeway))
        if outcome == "invalid":
            return Refused(ErrorCode.SIGNATURE_INVALID, "the token does not hold")
        if outcome == "stale":
            return Refused(ErrorCode.SIGNATURE_STALE, "the token has expired or is not valid yet")
        return Verified(outcome[1:] or None)

    def _usable_keys(self, components: Components, fetched: Fetched, now: datetime) -> tuple[Key, ...] | Refused:
        source, certificate = self.scheme.key_source, fetched.certificate
        if source is None:
            return self._keys or fetched.keys
        if _address(source, components) is None:
            return Refused(ErrorCode.SIGNATURE_INVALID, "the certificate's address is not the sender's")
        if certificate is None:
            return self._keys
        key = certificate_key(certificate, now)
        if key is None:
            return Refused(ErrorCode.SIGNATURE_INVALID, "the certificate is not valid now")
        return tuple(replace(mine, public=key.public) for mine in self._keys or (Key(),))

    def _permitted(self, components: Components) -> bool:
        if self._limits.place is None:
            return True
        values = components.values(Place.of(self._limits.place))
        return len(values) == 1 and values[0].decode("utf-8", "replace") in self._limits.values

    def _urls(self, request: SignedRequest) -> tuple[str, ...]:
        if not self._needs_url:
            return ("",)
        public = self._limits.public_url
        if public is None:
            return spellings(request.urls, self.scheme.urls)
        return spellings((f"{public}?{request.query}" if request.query else public,), self.scheme.urls)

    def _signed(self, components: Components, found: dict[str, bytes], keys: tuple[Key, ...]) -> bool:
        candidates = self._candidates(found["signature"])
        holds = False
        for url in self._urls(components.request):
            for key in keys:  # every one, without an early exit: timing tells nothing about which
                material = render(self._template, components, found, url=url, secret=key.secret)
                if material is None:
                    return False
                for mark, text in candidates:
                    holds |= proofs.holds(mark, key, material, text)
                del material  # before the next is made: each may be as large as the body
        return holds

    def _candidates(self, value: bytes) -> list[tuple[Mark, bytes]]:
        separator = self.scheme.separator
        texts = [value] if separator is None else value.split(separator.encode(), MAX_CANDIDATES)
        if len(texts) > MAX_CANDIDATES:
            return []
        return [(mark, text[len(mark.prefix) :]) for text in texts for mark in self.scheme.marks if _starts(text, mark)]

    def sign(self, request: SignedRequest, now: datetime, message_id: str) -> dict[str, str]:
        """Headers that make `request` verifiable, by the first secret. Raises RejectedInput where it cannot sign."""
        if self.scheme.proof != "signature":
            raise RejectedInput(ErrorCode.CONFIG_INVALID, "this sender is known by its connection: it signs nothing")
        names = self.scheme.headers[0]
        key = self._keys[0] if self._keys else Key()
        if Place.of(names.signature).kind not in {"header", "kv"}:
            raise RejectedInput(ErrorCode.CONFIG_INVALID, "this sender signs inside its body or query")
        found = {"timestamp": _written(now, self.scheme).encode(), "id": message_id.encode()}
        url = self._urls(request)[0] if self._needs_url and request.urls else ""
        if self.scheme.jwt is not None:
            token = jwts.issue(key, self.scheme.jwt, replace(request, urls=(url,)), now, message_id)
            if token is not None:
                return {names.signature: self.scheme.marks[0].prefix + token}
        for part, place in self._places[0].items():
            if place.kind == "json":  # it stands in the body that was given, and is signed as it stands there
                found[part] = next(iter(Components(request).values(place)), b"")
        unsigned = replace(request, headers=(*request.headers, *_as_headers(names, found)))
        material = render(
            self._template, Components(unsigned, self.scheme.separator), found, url=url, secret=key.secret
        )
        if material is None:
            raise RejectedInput(ErrorCode.INPUT_INVALID, "a part of what this sender signs is not in the request")
        for mark in self.scheme.marks if self.scheme.jwt is None else ():
            signature = proofs.make(mark, key, material)
            if signature is not None:
                return _headers(names, found, mark.prefix + signature, self.scheme.separator or ",")
        raise RejectedInput(
            ErrorCode.CONFIG_INVALID, "the first secret is a public key: it can verify, but it cannot sign"
        )


def _too_far(age: timedelta, tolerance: timedelta) -> str:
    seconds, allowed = round(age.total_seconds()), round(tolerance.total_seconds())
    where = f"{seconds} s old" if seconds >= 0 else f"{-seconds} s ahead of our clock"
    return f"the signed timestamp is {where}; {allowed} s are allowed"


def _not_ours() -> Refused:
    return Refused(ErrorCode.SIGNATURE_INVALID, "signed, but not for this source")


def _places(names: HeaderNames) -> dict[str, Place]:
    given = {"signature": names.signature, "timestamp": names.timestamp, "id": names.id}
    return {part: Place.of(text) for part, text in given.items() if text is not None}


def _shown(place: Place) -> str:
    return f"{place.kind} {place.name}{' ' + place.key if place.key else ''}"


def _address(source: KeySource, components: Components) -> str | None:
    values = components.values(Place.of(source.place))
    if len(values) != 1:
        return None
    text = values[0].decode("latin-1")
    return text if re.fullmatch(source.allowed, text) else None


def _as_headers(names: HeaderNames, found: dict[str, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """What stands in headers of its own, so that a template may name them."""
    pairs = ((names.timestamp, found["timestamp"]), (names.id, found["id"]))
    return tuple((name.encode(), value) for name, value in pairs if name is not None and ":" not in name)


def _headers(names: HeaderNames, found: dict[str, bytes], signature: str, separator: str) -> dict[str, str]:
    headers = {name.decode(): value.decode() for name, value in _as_headers(names, found)}
    entries = [
        f"{place.key}={found[part].decode()}"
        for part, place in _places(names).items()
        if place.kind == "kv" and part != "signature"
    ]
    return {names.signature: separator.join([*entries, signature]), **headers}


def _starts(text: bytes, mark: Mark) -> bool:
    prefix = mark.prefix.encode()
    head = text[: len(prefix)]
    return head.lower() == prefix.lower() if mark.any_case else head == prefix


def _moment(text: bytes, scheme: Scheme) -> datetime | None:
    try:
        if scheme.timestamp_unit == "rfc3339":
            moment = datetime.fromisoformat(text.decode("ascii"))
            return moment if moment.tzinfo is not None else None
        if scheme.timestamp_unit == "imf":
            return datetime.strptime(text.decode("ascii"), IMF).replace(tzinfo=UTC)
        if not _UNIX.fullmatch(text):
            return None
        return datetime.fromtimestamp(int(text) / (1_000 if scheme.timestamp_unit == "ms" else 1), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _written(now: datetime, scheme: Scheme) -> str:
    if scheme.timestamp_unit == "rfc3339":
        return rfc3339(now)
    if scheme.timestamp_unit == "imf":
        return format_datetime(now.astimezone(UTC), usegmt=True)
    seconds = now.timestamp()
    return str(int(seconds * 1_000) if scheme.timestamp_unit == "ms" else int(seconds))
