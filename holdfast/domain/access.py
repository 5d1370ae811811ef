"""Who may ask for what: access tokens by name, each with a scope, of which only the hash is known here.

A token is 256 random bits, so a plain SHA-256 is the right hash: there is nothing to guess that salt or slowness would
protect, and a request is judged in microseconds. Flow: `Authorization: Bearer hf_…` → **access** → status, admin.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from holdfast.errors import ErrorCode, RejectedInput

PREFIX = "hf_"
"""How every token begins, so that scanners for leaked secrets can find one."""

HASH_PREFIX = "sha256:"
MAX_TOKENS = 100
_BEARER = re.compile(rb"bearer +([\x21-\x7e]{1,256})", re.IGNORECASE)


class Scope(StrEnum):
    """What a token is good for; each includes those before it."""

    READ = "read"  # look at events, deliveries, dead letters, rejected requests
    OPERATE = "operate"  # and handle them: acknowledge, redrive, discard, pause
    ADMIN = "admin"  # and everything else

    def includes(self, other: "Scope") -> bool:
        """Whether whoever may do this may do `other`."""
        order = list(Scope)
        return order.index(self) >= order.index(other)


class TokenConfig(BaseModel):
    """One access token, of which the file holds no more than its hash. Make one with `holdfast tokens create`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: Scope = Field(
        description="What it is good for: `read` looks, `operate` also handles dead letters, `admin` may do everything."
    )
    hash: str = Field(
        pattern="^sha256:[0-9a-f]{64}$",
        description="`sha256:` and the SHA-256 of the token in hex. The token itself is in no file of the server.",
    )


class ApiConfig(BaseModel):
    """Who may ask over HTTP what became of events."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: dict[str, TokenConfig] = Field(
        default_factory=dict,
        max_length=MAX_TOKENS,
        description="Access tokens by name; the name is what logs show. Take one away by removing it and restarting."
        " Without any, nobody may ask, except with the token that `holdfast up` makes in its data directory.",
    )


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the token's name."""

    name: str
    scope: Scope


class Access:
    """Judges what a request says about who sends it."""

    def __init__(self, tokens: Mapping[str, TokenConfig]) -> None:
        self._tokens = tuple((Principal(name, token.scope), token.hash) for name, token in sorted(tokens.items()))

    def admit(self, authorization: tuple[bytes, ...], needed: Scope) -> Principal:
        """Return who sends a request with these Authorization headers.

        Raises RejectedInput `access.unauthenticated` for no token or an unknown one, alike; `access.forbidden` for a
        known one that may not. It takes equally long whichever token it is, and whether there is one.
        """
        found: Principal | None = None
        match = _BEARER.fullmatch(authorization[0].strip()) if len(authorization) == 1 else None
        given = hash_of(match.group(1).decode("ascii") if match else "")
        for principal, known in self._tokens:
            if hmac.compare_digest(given, known):
                found = principal
        if found is None or match is None:
            raise RejectedInput(ErrorCode.ACCESS_UNAUTHENTICATED, "Send an access token: Authorization: Bearer hf_….")
        if not found.scope.includes(needed):
            raise RejectedInput(
                ErrorCode.ACCESS_FORBIDDEN, f"The token {found.name} has scope {found.scope}; this needs {needed}."
            )
        return found


def hash_of(token: str) -> str:
    """Return what the configuration holds of a token."""
    return HASH_PREFIX + hashlib.sha256(token.encode()).hexdigest()
