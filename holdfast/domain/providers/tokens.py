"""Senders that prove themselves by a JSON Web Token: Google Pub/Sub, Event Grid with Entra ID, Plaid, Vonage."""

from dataclasses import replace
from datetime import timedelta

from holdfast.domain.preset import Preset
from holdfast.domain.providers.clouds import CLOUDS, ENTRA_KEYS
from holdfast.domain.schemes import HeaderNames, JwtRules, KeySet, Mark, Scheme, Token


def _token(rules: JwtRules, header: str = "authorization") -> Scheme:
    mark = Mark("Bearer ", Token(), any_case=True) if header == "authorization" else Mark("", Token())
    return Scheme(headers=(HeaderNames(header),), marks=(mark,), signed="", key_format="jwt", jwt=rules)


_GOOGLE_PUBSUB = Preset(
    # https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
    scheme=_token(
        JwtRules(
            algorithms=("RS256",),
            issuers=("https://accounts.google.com", "accounts.google.com"),
            keys=KeySet("https://www.googleapis.com/oauth2/v3/certs"),
        )
    ),
    id_field=("message", "messageId"),
    type_field=("message", "attributes", "eventType"),
    subject_field=("subscription",),
)

_EVENTGRID_ENTRA = replace(
    # https://learn.microsoft.com/azure/event-grid/secure-webhook-delivery
    CLOUDS["eventgrid"],
    scheme=_token(JwtRules(algorithms=("RS256",), keys=KeySet(ENTRA_KEYS))),
)

_PLAID = Preset(
    # https://plaid.com/docs/api/webhooks/webhook-verification/; the key is told by an API that needs credentials
    scheme=_token(
        JwtRules(algorithms=("ES256",), body_claim="request_body_sha256", lasts=False, max_age=timedelta(minutes=5)),
        "plaid-verification",
    ),
    type_field=("webhook_type",),
    action_field=("webhook_code",),
    subject_field=("item_id",),
)

_VONAGE = Preset(
    # https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks
    scheme=_token(JwtRules(issuers=("Vonage",), body_claim="payload_hash", lasts=False)),
    id_field=("message_uuid",),
    type_field=("channel",),
    subject_field=("to",),
    status=200,
)

TOKENS = {
    "google-pubsub": _GOOGLE_PUBSUB,
    "eventgrid-entra": _EVENTGRID_ENTRA,
    "plaid": _PLAID,
    "vonage": _VONAGE,
}
