"""What can be known about a sender: how it signs, what identifies an event, what it is called. The tables are data."""

from dataclasses import dataclass
from datetime import timedelta

from holdfast.domain.schemes import Encoding, HeaderNames, Hmac, Mark, Method, Scheme, TimeUnit, Token

FIVE_MINUTES = timedelta(minutes=5)

Steps = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preset:
    """One sender. Header names in lower case; fields are steps into the JSON or the form of the body (`paths.py`)."""

    scheme: Scheme
    keep: Steps = ()
    id_header: str | None = None  # unsigned, so the body's hash is joined to it
    id_field: Steps = ()  # of the signed body; one that several deliveries of one event share
    type_header: str | None = None
    type_field: Steps = ()
    action_field: Steps = ()  # joined to the type by a dot, where it is there
    subject_field: Steps = ()
    always_json: bool = False  # whatever Content-Type says
    tolerance: timedelta = FIVE_MINUTES  # where the source names none
    status: int = 202  # of the answer that this sender takes for success; 202 is one for most
    reply: str | None = None  # its body, where the sender insists on one or would choke on ours


def body_mac(header: str, prefix: str = "", method: Method | None = None, encoding: Encoding = "hex") -> Scheme:
    """Return the commonest scheme: one header with one signature of the raw body, and no time."""
    return Scheme(headers=(HeaderNames(header),), marks=(Mark(prefix, method or Hmac(), encoding),))


def timed_mac(  # noqa: PLR0913 - the parts of one table row, most of them left out
    header: str,
    timestamp: str,
    signed: str,
    *,
    mark: Mark | None = None,
    separator: str | None = None,
    unit: TimeUnit = "s",
) -> Scheme:
    """Return a scheme that signs the body with a time."""
    return Scheme(
        headers=(HeaderNames(header, timestamp),),
        marks=(mark or Mark(),),
        signed=signed,
        separator=separator,
        timestamp_unit=unit,
    )


def secret_at(*places: str) -> Scheme:
    """Return a scheme in which a place carries the secret itself."""
    return Scheme(headers=tuple(HeaderNames(place) for place in places), marks=(Mark("", Token()),), signed="")
