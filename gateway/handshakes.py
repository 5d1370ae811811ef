"""Answers what a provider asks before it sends events; the answer is no event, and nothing of it is stored.

Flow: receive → **greet** (what needs no proof) → authenticate → **greet** (what does) → normalise → identify → publish.
"""

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gateway.confirm import Confirm
from gateway.limits import MAX_HANDSHAKE
from gateway.normalise import query_of
from gateway.problems import Answer
from gateway.requests import RawRequest
from holdfast.domain.bodies import parse_json
from holdfast.domain.handshakes import SNS_UNSUBSCRIBE, Handshake, Is, Mac, Part, Piece
from holdfast.domain.signatures import Verified, Verifier
from holdfast.errors import ErrorCode, RejectedInput

log = logging.getLogger(__name__)

_COMMON = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
_NO_KEY = b""


@dataclass(frozen=True, slots=True)
class Greeter:
    """The handshakes of one source. `keys`: each secret with what tells whether a request was signed with it."""

    open: tuple[Handshake, ...] = ()
    proven: tuple[Handshake, ...] = ()
    keys: tuple[tuple[bytes, Verifier], ...] = ()
    token: str | None = None

    @property
    def methods(self) -> frozenset[str]:
        """What a source must be reachable by besides its own methods."""
        return frozenset(handshake.method for handshake in (*self.open, *self.proven))

    def greet(self, raw: RawRequest, source: str, confirm: Confirm, *, proven: bool) -> Answer | None:
        """Answer, if the request is a handshake.

        Raises RejectedInput `signature.invalid` for a wrong token; what `confirm` raises for an address to ask for.
        """
        handshakes = self.proven if proven else self.open
        if not handshakes:
            return None
        asked = _Asked(raw)
        for handshake in handshakes:
            if not _matches(handshake, asked):
                continue
            if handshake.token is not None and not self._knows(asked.value(handshake.token)):
                raise RejectedInput(ErrorCode.SIGNATURE_INVALID, "the token of the handshake is not the source's")
            if handshake.confirm is not None:
                confirm(source, asked.text(handshake.confirm))
            log.info("handshake.answered", extra={"source": source, "handshake": handshake.name})
            if handshake is SNS_UNSUBSCRIBE:
                log.warning("handshake.unsubscribed", extra={"source": source})
            return self._answer(handshake, asked)
        return None

    def _knows(self, value: Any) -> bool:
        return (
            self.token is not None
            and isinstance(value, str)
            and hmac.compare_digest(self.token.encode(), value.encode("utf-8", "surrogatepass"))
        )

    def _answer(self, handshake: Handshake, asked: "_Asked") -> Answer:
        headers = [*_COMMON]
        for name, piece in handshake.headers:
            value = self._text(piece, asked)
            if value is not None:
                headers.append((name.encode(), str(value).encode("latin-1")))
        body = b""
        if handshake.text is not None:
            body = asked.text(handshake.text).encode()
            headers.append((b"content-type", b"text/plain"))
        elif handshake.document:
            document = {name: self._text(piece, asked) for name, piece in handshake.document}
            body = json.dumps(document, separators=(",", ":")).encode()
            headers.append((b"content-type", b"application/json"))
        if handshake.status != 204:
            headers.append((b"content-length", b"%d" % len(body)))
        return Answer(handshake.status, headers, body)

    def _text(self, piece: Piece, asked: "_Asked") -> str | int | None:
        match piece:
            case Part():
                value = asked.value(piece)
                return value if isinstance(value, str) and piece.form.fullmatch(value) else None
            case Mac():
                digest = hmac.digest(self._key(asked.raw), asked.text(piece.part).encode(), hashlib.sha256)
                written = digest.hex() if piece.encoding == "hex" else base64.b64encode(digest).decode()
                return piece.prefix + written
            case _:
                return piece

    def _key(self, raw: RawRequest) -> bytes:
        """Return the secret that signed the request, while two are in use; the first where none did."""
        for secret, verifier in self.keys:
            if isinstance(verifier.verify(raw.signed, raw.received_at), Verified):
                return secret
        return self.keys[0][0] if self.keys else _NO_KEY


class _Asked:
    """A request as handshakes look at it; its body is parsed only when one asks for it."""

    def __init__(self, raw: RawRequest) -> None:
        self.raw = raw

    @cached_property
    def document(self) -> Any:
        if len(self.raw.body) > MAX_HANDSHAKE:
            return None
        try:
            return parse_json(self.raw.body)
        except RejectedInput:
            return None

    @cached_property
    def query(self) -> dict[str, str]:
        try:
            return query_of(self.raw.query_string)
        except RejectedInput:
            return {}

    def value(self, part: Part) -> Any:
        """Return what stands there; None where nothing does, or a header came twice."""
        if part.place == "header":
            values = self.raw.signed.header(str(part.path[0]))
            return values[0].decode("latin-1").strip() if len(values) == 1 else None
        if part.place == "query":
            return self.query.get(str(part.path[0]))
        return _walk(self.document, part.path)

    def text(self, part: Part) -> str:
        """Return what stands there, which is known to be a text."""
        return str(self.value(part))

    def may_hold(self, condition: Is) -> bool:
        """Whether the body can hold the value at all: cheaper than parsing every event."""
        if condition.part.place != "json" or not isinstance(condition.value, str):
            return True
        return condition.value.encode() in self.raw.body


def _matches(handshake: Handshake, asked: _Asked) -> bool:
    if handshake.method != asked.raw.signed.method:
        return False
    if handshake.empty and asked.raw.body.strip() not in {b"", b"{}"}:
        return False
    return all(asked.may_hold(condition) for condition in handshake.asks) and all(
        _holds(condition, asked) for condition in handshake.asks
    )


def _holds(condition: Is, asked: _Asked) -> bool:
    value = asked.value(condition.part)
    if condition.absent:
        return value is None
    if condition.value is None:
        return isinstance(value, str) and condition.part.form.fullmatch(value) is not None
    return type(value) is type(condition.value) and value == condition.value


def _walk(value: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def greeter(handshakes: Iterable[Handshake], keys: tuple[tuple[bytes, Verifier], ...], token: str | None) -> Greeter:
    """Return the greeter of a source; a handshake that needs a secret or a token is left out where there is none."""
    usable = [
        handshake for handshake in handshakes if (handshake.token is None or token) and (keys or not handshake.hashes)
    ]
    return Greeter(
        open=tuple(handshake for handshake in usable if not handshake.proven),
        proven=tuple(handshake for handshake in usable if handshake.proven),
        keys=keys,
        token=token,
    )
