"""Who carries messages: Slack, Discord, Twilio, SendGrid, Mailgun, MessageBird, LINE, Meta, X, Intercom, Zoom."""

from datetime import timedelta

from holdfast.domain.preset import Preset, body_mac, timed_mac
from holdfast.domain.schemes import Ecdsa, Ed25519, HeaderNames, Hmac, JwtRules, Mark, Scheme, Token

_SLACK = Preset(
    # https://docs.slack.dev/authentication/verifying-requests-from-slack
    scheme=timed_mac("x-slack-signature", "x-slack-request-timestamp", "v0:{timestamp}:{body}", mark=Mark("v0=")),
    keep=("x-slack-request-timestamp", "x-slack-retry-num", "x-slack-retry-reason"),
    id_field=("event_id",),
    type_field=("event", "type"),
    subject_field=("team_id",),
    status=200,
    reply="",  # a slash command shows the body to the person
)

_DISCORD = Preset(
    # https://discord.com/developers/docs/interactions/overview; the secret is the application's public key
    scheme=Scheme(
        headers=(HeaderNames("x-signature-ed25519", "x-signature-timestamp"),),
        marks=(Mark("", Ed25519()),),
        signed="{timestamp}{body}",
        key_format="public",
    ),
    id_field=("id",),
    type_field=("event", "type"),
    subject_field=("application_id",),
    status=204,
)

_TWILIO = Preset(
    # https://www.twilio.com/docs/usage/security
    scheme=Scheme(
        headers=(HeaderNames("x-twilio-signature"),),
        marks=(Mark("", Hmac("sha1"), "base64"),),
        signed="{url}{form}",
        urls="ports",
    ),
    keep=("i-twilio-idempotency-token",),
    id_header="i-twilio-idempotency-token",
    type_field=("SmsStatus",),
    subject_field=("AccountSid",),
    status=204,  # any body must be TwiML
)

_SENDGRID = Preset(
    # https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
    scheme=Scheme(
        headers=(HeaderNames("x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp"),),
        marks=(Mark("", Ecdsa(), "base64"),),
        signed="{timestamp}{body}",
        key_format="public",
    ),
    keep=("x-twilio-email-event-webhook-timestamp",),
    type_field=("+", "event"),
    subject_field=("+", "sg_message_id"),
)

_MAILGUN = Preset(
    # https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks; the payload is NOT signed,
    # so the one-time token is the identity: a second body under it is a duplicate
    scheme=Scheme(
        headers=(HeaderNames("json:signature.signature", "json:signature.timestamp", "json:signature.token"),),
        marks=(Mark(),),
        signed="{timestamp}{id}",
    ),
    type_field=("event-data", "event"),
    subject_field=("event-data", "recipient"),
    tolerance=timedelta(hours=9),  # it repeats for eight hours with the same signature
    status=200,  # other 2xx are repeated
)

_MESSAGEBIRD = Preset(
    # https://developers.messagebird.com/api/#verifying-http-requests
    scheme=Scheme(
        headers=(HeaderNames("messagebird-signature-jwt"),),
        marks=(Mark("", Token()),),
        signed="",
        key_format="jwt",
        jwt=JwtRules(issuers=("MessageBird",), body_claim="payload_hash", url_claim="url_hash"),
    ),
    type_field=("type",),
    subject_field=("message", "id"),
    status=200,
)

_LINE = Preset(
    # https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/
    scheme=body_mac("x-line-signature", encoding="base64"),
    type_field=("events", "+", "type"),
    subject_field=("destination",),
    status=200,
)

_META = Preset(
    # https://developers.facebook.com/docs/graph-api/webhooks/getting-started
    scheme=body_mac("x-hub-signature-256", "sha256="),
    type_field=("object",),
    subject_field=("entry", "+", "id"),
    status=200,
)

_TWITTER = Preset(
    # https://docs.x.com/x-api/webhooks/introduction
    scheme=body_mac("x-twitter-webhooks-signature", "sha256=", encoding="base64"),
    subject_field=("for_user_id",),
    status=200,
)

_INTERCOM = Preset(
    # https://developers.intercom.com/docs/webhooks/webhook-notifications
    scheme=body_mac("x-hub-signature", "sha1=", Hmac("sha1")),
    id_field=("id",),
    type_field=("topic",),
    subject_field=("data", "item", "id"),
)

_ZOOM = Preset(
    # https://developers.zoom.us/docs/api/webhooks/
    scheme=timed_mac("x-zm-signature", "x-zm-request-timestamp", "v0:{timestamp}:{body}", mark=Mark("v0=")),
    keep=("x-zm-request-timestamp", "x-zm-trackingid"),
    type_field=("event",),
    subject_field=("payload", "object", "id"),
    status=200,
)

MESSAGING = {
    "slack": _SLACK,
    "discord": _DISCORD,
    "twilio": _TWILIO,
    "sendgrid": _SENDGRID,
    "mailgun": _MAILGUN,
    "messagebird": _MESSAGEBIRD,
    "line": _LINE,
    "meta": _META,
    "twitter": _TWITTER,
    "intercom": _INTERCOM,
    "zoom": _ZOOM,
}
