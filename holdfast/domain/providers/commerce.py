"""Payments and shops: Stripe, Paddle, Square, PayPal, Adyen, Razorpay, Shopify, Xero."""

from datetime import timedelta

from holdfast.domain.preset import Preset, body_mac, timed_mac
from holdfast.domain.schemes import HeaderNames, Hmac, KeySource, Mark, Rsa, Scheme

_BASE64 = Mark("", Hmac(), "base64")

_STRIPE = Preset(
    # https://docs.stripe.com/webhooks/signature; v0 is a fake signature for tests and never counts
    scheme=timed_mac(
        "stripe-signature", "kv:stripe-signature:t", "{timestamp}.{body}", mark=Mark("v1="), separator=","
    ),
    id_field=("id",),
    type_field=("type",),
    subject_field=("data", "object", "id"),
)

_PADDLE = Preset(
    # https://developer.paddle.com/webhooks/signature-verification; its libraries allow 5 s, too few for a queue
    scheme=timed_mac(
        "paddle-signature", "kv:paddle-signature:ts", "{timestamp}:{body}", mark=Mark("h1="), separator=";"
    ),
    id_field=("notification_id",),
    type_field=("event_type",),
    subject_field=("data", "id"),
    status=200,
)

_SQUARE = Preset(
    # https://developer.squareup.com/docs/webhooks/step3validate
    scheme=Scheme(headers=(HeaderNames("x-square-hmacsha256-signature"),), marks=(_BASE64,), signed="{url}{body}"),
    keep=("square-retry-number", "square-retry-reason", "square-initial-delivery-timestamp"),
    id_field=("event_id",),
    type_field=("type",),
    subject_field=("data", "id"),
)

_PAYPAL = Preset(
    # https://developer.paypal.com/api/rest/webhooks/rest/; the secret is the webhook's id
    scheme=Scheme(
        headers=(HeaderNames("paypal-transmission-sig", "paypal-transmission-time", "paypal-transmission-id"),),
        marks=(Mark("", Rsa("sha256"), "base64"),),
        signed="{id}|{timestamp}|{secret}|{crc32}",
        timestamp_unit="rfc3339",
        key_source=KeySource(
            "paypal-cert-url",
            r"https://([a-z0-9-]+\.)*paypal\.com/v1/notifications/certs/[A-Za-z0-9_-]+",
            names=r"messageverificationcerts(\.sandbox)?\.paypal\.com",
        ),
    ),
    keep=("paypal-transmission-id", "paypal-transmission-time", "paypal-auth-algo"),
    type_field=("event_type",),
    subject_field=("resource", "id"),
    tolerance=timedelta(days=3),  # it repeats for three days, and the time may be that of the first try
)

_ITEM = "json:notificationItems.*.NotificationRequestItem"
_ADYEN = Preset(
    # https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures; answer with the body [accepted]
    scheme=Scheme(
        headers=(HeaderNames(f"{_ITEM}.additionalData.hmacSignature"),),
        marks=(_BASE64,),
        signed=":".join(
            f"{{{_ITEM}.{name}}}"
            for name in (
                "pspReference?",
                "originalReference?",
                "merchantAccountCode?",
                "merchantReference?",
                "amount.value?",
                "amount.currency?",
                "eventCode",
                "success",
            )
        ),
        key_format="hex",
    ),
    type_field=("notificationItems", "*", "NotificationRequestItem", "eventCode"),
    subject_field=("notificationItems", "*", "NotificationRequestItem", "pspReference"),
    status=200,
    reply="[accepted]",
)

_ADYEN_PAYLOAD = Preset(
    # the newer kinds of webhook (platforms, management) sign the whole body in a header
    scheme=Scheme(headers=(HeaderNames("hmacsignature"),), marks=(_BASE64,), key_format="hex"),
    keep=("protocol",),
    type_field=("type",),
    subject_field=("data", "id"),
    status=200,
    reply="[accepted]",
)

_RAZORPAY = Preset(
    # https://razorpay.com/docs/webhooks/validate-test/
    scheme=body_mac("x-razorpay-signature"),
    keep=("x-razorpay-event-id",),
    id_header="x-razorpay-event-id",
    type_field=("event",),
    subject_field=("account_id",),
)

_SHOPIFY = Preset(
    # https://shopify.dev/docs/apps/build/webhooks/subscribe/https; the second is that of the newer events
    scheme=Scheme(headers=(HeaderNames("x-shopify-hmac-sha256"), HeaderNames("shopify-hmac-sha256")), marks=(_BASE64,)),
    keep=(
        "x-shopify-topic",
        "x-shopify-shop-domain",
        "x-shopify-webhook-id",
        "x-shopify-event-id",
        "x-shopify-api-version",
        "x-shopify-triggered-at",
    ),
    id_header="x-shopify-webhook-id",
    type_header="x-shopify-topic",
    subject_field=("admin_graphql_api_id",),
)

_XERO = Preset(
    # https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/
    scheme=body_mac("x-xero-signature", encoding="base64"),
    type_field=("events", "+", "eventCategory"),
    subject_field=("events", "+", "resourceId"),
    status=200,
    reply="",
)

COMMERCE = {
    "stripe": _STRIPE,
    "paddle": _PADDLE,
    "square": _SQUARE,
    "paypal": _PAYPAL,
    "adyen": _ADYEN,
    "adyen-payload": _ADYEN_PAYLOAD,
    "razorpay": _RAZORPAY,
    "shopify": _SHOPIFY,
    "xero": _XERO,
}
