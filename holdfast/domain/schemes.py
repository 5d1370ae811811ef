"""How a sender signs, as data: which headers, what is signed, how it is written. `signatures.py` is the one engine.

A new provider is a new `Scheme` in `presets.py`, not new code.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Algorithm = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64"]

PARTS = ("body", "timestamp", "id", "method", "path", "url")
"""What a template of signed material may name."""

_PLACE = re.compile(r"\{(" + "|".join(PARTS) + r")\}")


@dataclass(frozen=True, slots=True)
class Hmac:
    """A keyed hash of the signed material."""

    algorithm: Algorithm = "sha256"


@dataclass(frozen=True, slots=True)
class Ed25519:
    """A public-key signature of the signed material."""


@dataclass(frozen=True, slots=True)
class Token:
    """The header carries the secret itself; nothing is signed."""


Method = Hmac | Ed25519 | Token


@dataclass(frozen=True, slots=True)
class Mark:
    """One way a signature may stand in its header: after `prefix`, made by `method`, written in `encoding`."""

    prefix: str = ""
    method: Method = Hmac()
    encoding: Encoding = "hex"
    any_case: bool = False  # the prefix is an HTTP auth scheme, which has no case


@dataclass(frozen=True, slots=True)
class HeaderNames:
    """Where the parts of a signature stand, in lower case."""

    signature: str
    timestamp: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way of signing. The first of `headers` whose signature header is there is the one that counts."""

    headers: tuple[HeaderNames, ...]
    marks: tuple[Mark, ...]
    signed: str = "{body}"
    separator: str | None = None  # where one header carries several signatures
    timestamp_unit: Literal["s", "ms", "rfc3339"] = "s"
    key_format: Literal["text", "standard-webhooks"] = "text"

    @property
    def signed_parts(self) -> frozenset[str]:
        """Which of PARTS the signature covers; empty where nothing is signed."""
        if all(isinstance(mark.method, Token) for mark in self.marks):
            return frozenset()
        return frozenset(_PLACE.findall(self.signed))

    def template(self) -> tuple[tuple[bytes, str | None], ...]:
        """`signed` as pairs of (literal, part after it); the last pair has no part."""
        pieces = _PLACE.split(self.signed)
        literals, names = pieces[::2], [*pieces[1::2], None]
        return tuple((text.encode(), name) for text, name in zip(literals, names, strict=True))


def stray_places(template: str) -> list[str]:
    """`{…}` in a template that name nothing that can be signed."""
    return re.findall(r"\{[^{}]*\}", _PLACE.sub("", template))


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature can cover. Header names in lower case; `urls` are the spellings the sender may have used."""

    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    method: str = "POST"
    path: str = "/"
    urls: tuple[str, ...] = ()

    @classmethod
    def of(cls, headers: Mapping[str, str], body: bytes, method: str = "POST", url: str = "") -> "SignedRequest":
        """Build one from plain text, for use without a server; `url` is absolute."""
        path = re.sub(r"^[a-z]+://[^/?]*", "", url).partition("?")[0] or "/"
        return cls(encode_headers(headers.items()), body, method, path, (url,))

    def header(self, name: str) -> list[bytes]:
        """Every value of a header (`name` in lower case), in order."""
        wanted = name.encode()
        return [value for key, value in self.headers if key == wanted]


def encode_headers(items: Iterable[tuple[str, str]]) -> tuple[tuple[bytes, bytes], ...]:
    """Headers as they lie on the wire; what HTTP cannot carry becomes UTF-8, as clients do."""
    return tuple((name.lower().encode(), value.encode("utf-8", "surrogateescape")) for name, value in items)
