"""What each step of the pipeline hands to the next: the type changes once per step.

Flow: receive → `RawRequest` → authenticate → `AuthenticRequest` → normalise → `NormalRequest` → identify → `Envelope`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.domain.cloudevents import CloudEvent
from holdfast.domain.events import Envelope
from holdfast.domain.large_bodies import INLINE
from holdfast.domain.schemes import SignedRequest


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request whose body is whole, and of which nothing has been looked into yet."""

    signed: SignedRequest  # method, path, headers and body, byte for byte
    path_params: dict[str, str]
    query_string: bytes
    received_at: datetime

    @property
    def body(self) -> bytes:
        """The body, byte for byte."""
        return self.signed.body


@dataclass(frozen=True, slots=True)
class AuthenticRequest:
    """A request that comes from the sender. `signed_id` is the sender's delivery id, where it is signed."""

    raw: RawRequest
    signed_id: str | None


@dataclass(frozen=True, slots=True)
class Parcel:
    """An event to be stored. `apart` is its body where that goes to the object store, before the event."""

    envelope: Envelope
    apart: bytes | None = None
    awaited_until: datetime | None = None  # its sender waits for the outcome until then

    @property
    def size(self) -> int:
        """Bytes of the body, about."""
        return len(self.envelope.body) if self.apart is None else len(self.apart)


@dataclass(frozen=True, slots=True)
class NormalRequest:
    """A request as data, with what of it is kept; or one of the CloudEvents it carried.

    `data` is None where the body is no data; `body` is what the event carries, byte for byte.
    """

    authentic: AuthenticRequest
    content_type: str | None
    headers: dict[str, str]  # the kept ones, names in lower case
    query: dict[str, str]
    data: Any
    body: bytes
    body_sha256: str
    cloudevent: CloudEvent | None = None

    @property
    def raw(self) -> RawRequest:
        """The request as it was received."""
        return self.authentic.raw

    @property
    def is_large(self) -> bool:
        """Whether the body is stored apart; then `data` holds only what the source reads of it."""
        return len(self.body) > INLINE
