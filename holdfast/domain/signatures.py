"""The one engine that checks and makes signatures, for every scheme: pure, offline, on raw bytes.

Flow: receive → **authenticate** → normalise. `holdfast send` signs with the same tables the gateway verifies with.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from holdfast.clock import rfc3339
from holdfast.domain import jwts, proofs
from holdfast.domain.components import Components
from holdfast.domain.material import render, spellings
from holdfast.domain.schemes import HeaderNames, KeySource, Mark, Place, Scheme, SignedRequest
from holdfast.domain.signing_keys import Key, certificate_key, read_keys
from holdfast.errors import ErrorCode, RejectedInput

MAX_CANDIDATES = 16  # signatures in one header; each costs work before the sender is known
LEEWAY = timedelta(seconds=30)  # how far clocks may differ where a token names its own times
_UNIX = re.compile(rb"[0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class Verified:
    """The request is the sender's. `id` is the signed delivery id, where the scheme has one."""

    id: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The request is not proven; `code` is one of `signature.missing`, `.invalid`, `.stale`."""

    code: ErrorCode
    reason: str


Verdict = Verified | Refused


@dataclass(frozen=True, slots=True)
class Limits:
    """What a source asks for beyond the signature."""

    public_url: str | None = None  # the address as the sender has it, without query, where a proxy changes it
    place: str | None = None  # where one of `values` must stand, in signed material
    values: frozenset[str] = frozenset()


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

    def verify(self, request: SignedRequest, now: datetime, certificate: bytes | None = None) -> Verdict:
        """Decide; never raises, whatever the request holds. Freshness is judged only once the signature holds.

        `certificate` (PEM) is what stands at `key_address`, for schemes that have one.
        """
        components = Components(request, self.scheme.separator)
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
        keys = self._usable_keys(components, certificate, now)
        if isinstance(keys, Refused):
            return keys
        verdict = self._judge(components, found, keys, now)
        return verdict if isinstance(verdict, Refused) or self._permitted(components) else _not_ours()

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
        outcome = jwts.judge(candidates[0][1], keys, rules, known, jwts.Moment(now, LEEWAY))
        if outcome == "invalid":
            return Refused(ErrorCode.SIGNATURE_INVALID, "the token does not hold")
        if outcome == "stale":
            return Refused(ErrorCode.SIGNATURE_STALE, "the token has expired or is not valid yet")
        return Verified(outcome[1:] or None)

    def _usable_keys(
        self, components: Components, certificate: bytes | None, now: datetime
    ) -> tuple[Key, ...] | Refused:
        source = self.scheme.key_source
        if source is None:
            return self._keys
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
        return holds

    def _candidates(self, value: bytes) -> list[tuple[Mark, bytes]]:
        separator = self.scheme.separator
        texts = [value] if separator is None else value.split(separator.encode(), MAX_CANDIDATES)
        if len(texts) > MAX_CANDIDATES:
            return []
        return [(mark, text[len(mark.prefix) :]) for text in texts for mark in self.scheme.marks if _starts(text, mark)]

    def sign(self, request: SignedRequest, now: datetime, message_id: str) -> dict[str, str]:
        """Headers that make `request` verifiable, by the first secret. Raises RejectedInput where it cannot sign."""
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
        if not _UNIX.fullmatch(text):
            return None
        return datetime.fromtimestamp(int(text) / (1_000 if scheme.timestamp_unit == "ms" else 1), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _written(now: datetime, scheme: Scheme) -> str:
    if scheme.timestamp_unit == "rfc3339":
        return rfc3339(now)
    seconds = now.timestamp()
    return str(int(seconds * 1_000) if scheme.timestamp_unit == "ms" else int(seconds))
