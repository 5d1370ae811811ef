"""How a sender signs, as data: which places, what is signed, how it is written. `signatures.py` is the one engine.

A new provider is a new `Scheme` in `providers/`, not new code. A *place* is a header's name, or one of
`kv:HEADER:KEY` (an entry of a list like `t=…,v1=…`), `query:NAME`, `form:NAME`, `json:PATH` (see `paths.py`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

Algorithm = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64", "base64url"]
KeyFormat = Literal["text", "hex", "base64", "standard-webhooks", "public", "jwt"]
TimeUnit = Literal["s", "ms", "rfc3339", "imf"]
PlaceKind = Literal["header", "kv", "query", "form", "json"]

PARTS = ("body", "timestamp", "id", "method", "path", "query", "url", "form", "secret", "crc32", "sns")
"""What a template of signed material may name, beside `header:NAME`, `query:NAME`, `form:NAME` and `json:PATH`.

A `?` behind the name (`json:PATH?`): it may be absent."""

_PLACE = re.compile(r"\{(" + "|".join(PARTS) + r"|(?:header|query|form|json):[\w.*+-]+\??)\}")
_KINDS: dict[str, PlaceKind] = {"header": "header", "kv": "kv", "query": "query", "form": "form", "json": "json"}
_BODY_PARTS = frozenset({"body", "form", "crc32", "sns"})


@dataclass(frozen=True, slots=True)
class Hmac:
    """A keyed hash of the signed material."""

    algorithm: Algorithm = "sha256"


@dataclass(frozen=True, slots=True)
class Digest:
    """A plain hash of the signed material, which therefore holds the secret itself."""

    algorithm: Algorithm = "sha256"


@dataclass(frozen=True, slots=True)
class Ed25519:
    """A public-key signature of the signed material."""


@dataclass(frozen=True, slots=True)
class Ecdsa:
    """ECDSA on P-256 with SHA-256, written in DER."""


@dataclass(frozen=True, slots=True)
class Rsa:
    """RSA with PKCS#1 v1.5 padding."""

    algorithm: Algorithm = "sha256"


@dataclass(frozen=True, slots=True)
class Token:
    """The place carries the secret itself; nothing is signed. Encoding `base64` is that of HTTP Basic."""


Method = Hmac | Digest | Ed25519 | Ecdsa | Rsa | Token


@dataclass(frozen=True, slots=True)
class KeySet:
    """Where a JSON Web Key Set is fetched: its address, or that of an issuer's description which names it."""

    url: str
    hosts: tuple[str, ...] = ()  # further ones at which a description may name the set


@dataclass(frozen=True, slots=True)
class JwtRules:
    """The place carries a JSON Web Token. Which of its claims must hold; the hashes are SHA-256 in hex."""

    algorithms: tuple[str, ...] = ("HS256",)
    issuers: tuple[str, ...] = ()  # any of them; empty: not looked at
    audiences: tuple[str, ...] = ()
    body_claim: str | None = None  # hash of the body
    url_claim: str | None = None  # hash of the address
    lasts: bool = True  # whether a token without `exp` is refused
    max_age: timedelta | None = None  # since `iat`, which is then required
    claims: tuple[tuple[str, str | bool], ...] = ()  # each must have this value
    keys: KeySet | None = None  # where the issuer's keys are fetched, unless the source has some
    any_claims: tuple[tuple[tuple[str, ...], str], ...] = ()  # one of these claims must have this value


@dataclass(frozen=True, slots=True)
class BodyTokens:
    """Tokens that stand in the body, beside whatever else proves the sender; all of them must hold."""

    path: str  # of their list, in JSON
    demanded_by: str  # path of what must not come without them
    rules: JwtRules


@dataclass(frozen=True, slots=True)
class Mark:
    """One way a signature may stand in its place: after `prefix`, made by `method`, written in `encoding`."""

    prefix: str = ""
    method: Method = Hmac()
    encoding: Encoding = "hex"
    any_case: bool = False  # the prefix is an HTTP auth scheme, which has no case


@dataclass(frozen=True, slots=True)
class HeaderNames:
    """Where the parts of a signature stand: places, mostly headers, these in lower case."""

    signature: str
    timestamp: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where the address of the sender's certificate stands, and the only addresses that are believed."""

    place: str
    allowed: str  # regular expression for the whole address
    names: str  # regular expression for a name that the certificate must have
    chained: bool = True  # whether the whole chain is served, so that it must lead to a root


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way of signing. The first of `headers` whose signature is there is the one that counts."""

    headers: tuple[HeaderNames, ...]
    marks: tuple[Mark, ...] = ()
    signed: str = "{body}"
    separator: str | None = None  # where one place carries several signatures, or a list of key=value
    timestamp_unit: TimeUnit = "s"
    key_format: KeyFormat = "text"
    urls: Literal["as sent", "ports", "decoded"] = "as sent"  # further spellings of {url} that the sender may sign
    jwt: JwtRules | None = None  # instead of marks
    key_source: KeySource | None = None
    tokens: BodyTokens | None = None
    proof: Literal["signature", "certificate", "address"] = "signature"  # what proves the sender

    @property
    def timestamp_place(self) -> str | None:
        """Where the signed time stands, if one is."""
        return self.headers[0].timestamp if self.headers else None

    @property
    def key_set(self) -> KeySet | None:
        """Where the keys of tokens are fetched, if they are."""
        rules = self.jwt or (self.tokens.rules if self.tokens is not None else None)
        return rules.keys if rules is not None else None

    @property
    def signed_parts(self) -> frozenset[str]:
        """Which of PARTS the signature covers; empty where nothing is signed."""
        if self.jwt is not None:
            claims = {"body": self.jwt.body_claim, "url": self.jwt.url_claim}
            return frozenset(part for part, claim in claims.items() if claim is not None)
        if all(isinstance(mark.method, Token) for mark in self.marks):
            return frozenset()
        return frozenset(_PLACE.findall(self.signed))

    @property
    def covers_body(self) -> bool:
        """Whether nobody but the sender could have written the body: it is signed, or only he has the token."""
        return not self.signed_parts or bool(self.signed_parts & _BODY_PARTS)

    def credentials(self, kind: PlaceKind) -> frozenset[str]:
        """Names of the headers or query fields that carry signature or secret: they are not for keeping."""
        places = (Place.of(names.signature) for names in self.headers)
        return frozenset(place.name for place in places if place.kind == kind)

    def template(self) -> tuple[tuple[bytes, str | None], ...]:
        """`signed` as pairs of (literal, part after it); the last pair has no part."""
        pieces = _PLACE.split(self.signed)
        literals, names = pieces[::2], [*pieces[1::2], None]
        return tuple((text.encode(), name) for text, name in zip(literals, names, strict=True))


def stray_places(template: str) -> list[str]:
    """`{…}` in a template that name nothing that can be signed."""
    return re.findall(r"\{[^{}]*\}", _PLACE.sub("", template))


@dataclass(frozen=True, slots=True)
class Place:
    """A place, read: the header's name is in lower case, `key` is that of a list of key=value."""

    kind: PlaceKind
    name: str
    key: str = ""

    @classmethod
    def of(cls, text: str) -> "Place":
        """Read a place. Raises ValueError where it is none."""
        kind, colon, rest = text.partition(":")
        if not colon:
            kind, rest = "header", text
        name, _, key = rest.partition(":") if kind == "kv" else (rest, "", "")
        if kind not in _KINDS or not name or (kind == "kv" and not key):
            raise ValueError(f"{text!r} is no place: write a header's name, kv:HEADER:KEY, query:, form: or json:…")
        return cls(_KINDS[kind], name.lower() if kind in {"header", "kv"} else name, key)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature can cover. Header names in lower case; `urls` are the spellings the sender may have used."""

    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    method: str = "POST"
    path: str = "/"
    urls: tuple[str, ...] = ()
    query: str = ""  # as sent, without its question mark
    peer: str = ""  # address of whoever holds the other end of the connection

    @classmethod
    def of(cls, headers: Mapping[str, str], body: bytes, method: str = "POST", url: str = "") -> "SignedRequest":
        """Build one from plain text, for use without a server; `url` is absolute."""
        return cls.of_pairs(headers.items(), body, method, url)

    @classmethod
    def of_pairs(cls, headers: Iterable[tuple[str, str]], body: bytes, method: str, url: str) -> "SignedRequest":
        """Build one as `of` does, where a header may come more than once."""
        path, _, query = re.sub(r"^[a-z]+://[^/?]*", "", url).partition("?")
        return cls(encode_headers(headers), body, method, path or "/", (url,), query)

    def header(self, name: str) -> list[bytes]:
        """Every value of a header (`name` in lower case), in order."""
        wanted = name.encode()
        return [value for key, value in self.headers if key == wanted]


def encode_headers(items: Iterable[tuple[str, str]]) -> tuple[tuple[bytes, bytes], ...]:
    """Headers as they lie on the wire; what HTTP cannot carry becomes UTF-8, as clients do."""
    return tuple((name.lower().encode(), value.encode("utf-8", "surrogateescape")) for name, value in items)
