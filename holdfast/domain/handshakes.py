"""What providers ask an endpoint before they send events, and how it is answered: data, one table.

A handshake is never an event. One that is `proven` is answered only after the source's signature holds; of the others
nothing is answered but what the caller sent itself, in a form that can be mistaken for nothing else.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal

PLAIN = re.compile(r"[A-Za-z0-9._~+/=-]{1,256}", re.ASCII)
"""A challenge that can be echoed anywhere, and hashed with the secret without signing a body: it cannot be JSON."""

LINE = re.compile(r"[\x20-\x7e]{1,2048}", re.ASCII)
"""A challenge that is echoed as text/plain."""

ORIGIN = re.compile(r"[A-Za-z0-9.:*_-]{1,253}", re.ASCII)
COUNT = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
URL = re.compile(r"https://[\x21-\x7e]{1,2000}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """Where something stands in a request: a header (lower case), a query field, or a path into the JSON body."""

    place: Literal["header", "query", "json"]
    path: tuple[str | int, ...]
    form: re.Pattern[str] = PLAIN


@dataclass(frozen=True, slots=True)
class Mac:
    """HMAC-SHA256 of a part under the source's secret."""

    part: Part
    encoding: Literal["hex", "base64"]
    prefix: str = ""


Piece = str | int | Part | Mac


@dataclass(frozen=True, slots=True)
class Is:
    """A condition: the part has this value; or is there in its form (`value` None); or is not there (`absent`)."""

    part: Part
    value: str | int | None = None
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Handshake:
    """One question and its answer. The answer's body is `text`, or `document` as JSON, or nothing."""

    name: str
    method: Literal["GET", "HEAD", "POST", "OPTIONS"]
    asks: tuple[Is, ...]
    proven: bool
    status: int = 200
    headers: tuple[tuple[str, Piece], ...] = ()  # one whose part is absent is left out
    text: Part | None = None
    document: tuple[tuple[str, Piece], ...] = ()
    token: Part | None = None  # must equal the source's `handshake_token`
    empty: bool = False  # only where the request has no body, or `{}`
    confirm: Part | None = None  # an address to GET beside answering

    @property
    def hashes(self) -> bool:
        """Whether the answer needs the source's secret."""
        return any(isinstance(piece, Mac) for _, piece in self.document)


def _header(name: str, form: re.Pattern[str] = PLAIN) -> Part:
    return Part("header", (name,), form)


def _query(name: str, form: re.Pattern[str] = PLAIN) -> Part:
    return Part("query", (name,), form)


def _json(*path: str | int, form: re.Pattern[str] = PLAIN) -> Part:
    return Part("json", path, form)


_CHALLENGE = _json("challenge", form=LINE)
_ZOOM = _json("payload", "plainToken")
_CRC = _query("crc_token")
_DROPBOX = _query("challenge", LINE)
_META = _query("hub.challenge", LINE)
_GRAPH = _query("validationToken", LINE)
_OKTA = _header("x-okta-verification-challenge", LINE)
_GRID = _json(0, "data", "validationCode", form=LINE)
_HOOK_SECRET = _header("x-hook-secret")
_ORIGIN = _header("webhook-request-origin", ORIGIN)
_RATE = _header("webhook-request-rate", COUNT)
_SNS_TYPE = _json("Type")  # the header that says the same is not signed
_SUBSCRIBE_URL = _json("SubscribeURL", form=URL)

SLACK = Handshake(  # https://api.slack.com/events/url_verification
    "slack", "POST", (Is(_json("type"), "url_verification"), Is(_CHALLENGE)), proven=True, text=_CHALLENGE
)
ZOOM = Handshake(  # https://developers.zoom.us/docs/api/webhooks/#validate-your-webhook-endpoint
    "zoom",
    "POST",
    (Is(_json("event"), "endpoint.url_validation"), Is(_ZOOM)),
    proven=True,
    document=(("plainToken", _ZOOM), ("encryptedToken", Mac(_ZOOM, "hex"))),
)
DROPBOX = Handshake(  # https://www.dropbox.com/developers/reference/webhooks
    "dropbox", "GET", (Is(_DROPBOX),), proven=False, text=_DROPBOX
)
META = Handshake(  # https://developers.facebook.com/docs/graph-api/webhooks/getting-started
    "meta",
    "GET",
    (Is(_query("hub.mode"), "subscribe"), Is(_META)),
    proven=False,
    text=_META,
    token=_query("hub.verify_token", LINE),
)
DISCORD_INTERACTIONS = Handshake(  # https://discord.com/developers/docs/interactions/overview
    "discord",
    "POST",
    (Is(_json("type"), 1), Is(_json("event"), absent=True)),  # with an event it is one, of the other kind
    proven=True,
    document=(("type", 1),),
)
DISCORD_EVENTS = Handshake(  # https://discord.com/developers/docs/events/webhook-events
    "discord", "POST", (Is(_json("type"), 0),), proven=True, status=204
)
OKTA = Handshake(  # https://developer.okta.com/docs/concepts/event-hooks/
    "okta", "GET", (Is(_OKTA),), proven=False, document=(("verification", _OKTA),)
)
MSGRAPH = Handshake(  # https://learn.microsoft.com/graph/change-notifications-delivery-webhooks
    "msgraph", "POST", (Is(_GRAPH),), proven=False, text=_GRAPH, empty=True
)
EVENTGRID = Handshake(  # https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema
    "eventgrid",
    "POST",
    (Is(_header("aeg-event-type"), "SubscriptionValidation"), Is(_GRID)),
    proven=True,  # by the key in the address, or the bearer token
    document=(("validationResponse", _GRID),),
)
EVENTGRID_ENTRA = replace(EVENTGRID, name="eventgrid-entra")  # proven by the bearer token
TWITTER = Handshake(  # https://developer.x.com/en/docs/x-api/enterprise/account-activity-api/guides/securing-webhooks
    "twitter", "GET", (Is(_CRC),), proven=False, document=(("response_token", Mac(_CRC, "base64", "sha256=")),)
)
ASANA = Handshake(  # https://developers.asana.com/docs/webhooks-guide
    "asana", "POST", (Is(_HOOK_SECRET),), proven=False, headers=(("x-hook-secret", _HOOK_SECRET),), empty=True
)
SNS_SUBSCRIBE = Handshake(  # https://docs.aws.amazon.com/sns/latest/dg/http-subscription-confirmation-json.html
    "aws-sns",
    "POST",
    (Is(_SNS_TYPE, "SubscriptionConfirmation"), Is(_SUBSCRIBE_URL)),
    proven=True,
    confirm=_SUBSCRIBE_URL,
)
SNS_UNSUBSCRIBE = Handshake(  # its SubscribeURL would subscribe again, so nobody asks for it
    "aws-sns", "POST", (Is(_SNS_TYPE, "UnsubscribeConfirmation"),), proven=True
)
INTERCOM = Handshake(  # https://developers.intercom.com/docs/webhooks/setting-up-webhooks
    "intercom", "HEAD", (), proven=False
)
CLOUDEVENTS = Handshake(  # https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md
    "cloudevents",
    "OPTIONS",
    (Is(_ORIGIN),),
    proven=False,
    headers=(("allow", "POST"), ("webhook-allowed-origin", _ORIGIN), ("webhook-allowed-rate", _RATE)),
)

HandshakeName = Literal[
    "slack",
    "zoom",
    "dropbox",
    "meta",
    "discord",
    "okta",
    "msgraph",
    "eventgrid",
    "twitter",
    "asana",
    "aws-sns",
    "intercom",
    "eventgrid-entra",
    "cloudevents",
]

_TABLE = (
    SLACK,
    ZOOM,
    DROPBOX,
    META,
    DISCORD_INTERACTIONS,
    DISCORD_EVENTS,
    OKTA,
    MSGRAPH,
    EVENTGRID,
    TWITTER,
    ASANA,
    SNS_SUBSCRIBE,
    SNS_UNSUBSCRIBE,
    INTERCOM,
    EVENTGRID_ENTRA,
    CLOUDEVENTS,
)


def handshakes_of(name: str | None) -> tuple[Handshake, ...]:
    """Return the handshakes of a provider, by the name of its preset; none where it has none."""
    return tuple(handshake for handshake in _TABLE if handshake.name == name)
