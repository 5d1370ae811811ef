"""What no single sender owns: Standard Webhooks, bearer tokens, HTTP Basic, CloudEvents' tokens."""

from dataclasses import replace

from holdfast.domain.preset import Preset
from holdfast.domain.schemes import Ed25519, HeaderNames, Hmac, Mark, Scheme, Token

_WEBHOOK = HeaderNames("webhook-signature", "webhook-timestamp", "webhook-id")
_SVIX = HeaderNames("svix-signature", "svix-timestamp", "svix-id")

STANDARD_WEBHOOKS = Preset(
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    scheme=Scheme(
        headers=(_WEBHOOK, _SVIX),
        marks=(Mark("v1,", Hmac("sha256"), "base64"), Mark("v1a,", Ed25519(), "base64")),
        signed="{id}.{timestamp}.{body}",
        separator=" ",
        key_format="standard-webhooks",
    ),
    keep=("webhook-id", "webhook-timestamp", "svix-id", "svix-timestamp"),
    type_field=("type",),
)

BEARER = Preset(
    scheme=Scheme(headers=(HeaderNames("authorization"),), marks=(Mark("Bearer ", Token(), any_case=True),), signed="")
)

_BASIC = Preset(
    # https://www.rfc-editor.org/rfc/rfc7617; the secret is user:password
    scheme=Scheme(
        headers=(HeaderNames("authorization"),), marks=(Mark("Basic ", Token(), "base64", any_case=True),), signed=""
    )
)

_CLOUDEVENTS = Preset(
    # https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md#3-authorization
    scheme=Scheme(
        headers=(HeaderNames("authorization"), HeaderNames("query:access_token")),
        marks=(Mark("Bearer ", Token(), any_case=True), Mark("", Token())),
        signed="",
    ),
)

STANDARD = {
    "standard-webhooks": STANDARD_WEBHOOKS,
    "svix": replace(STANDARD_WEBHOOKS, scheme=replace(STANDARD_WEBHOOKS.scheme, headers=(_SVIX, _WEBHOOK))),
    "bearer": BEARER,
    "basic": _BASIC,
    "cloudevents": _CLOUDEVENTS,
}
