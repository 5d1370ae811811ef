"""Clouds and identity: Amazon SNS, Azure Event Grid, Microsoft Graph, Okta."""

from datetime import timedelta

from holdfast.domain.preset import Preset, secret_at
from holdfast.domain.schemes import BodyTokens, HeaderNames, JwtRules, KeySet, KeySource, Mark, Rsa, Scheme

ENTRA_KEYS = "https://login.microsoftonline.com/common/discovery/v2.0/keys"
_CHANGE_TRACKING = "0bf30f3b-4a52-48df-9a82-234910c4a086"  # the application as which Microsoft Graph notifies

GRAPH_TOKENS = BodyTokens(
    # https://learn.microsoft.com/graph/change-notifications-with-resource-data#validating-the-authenticity-of-notifications
    path="validationTokens",
    demanded_by="value.+.encryptedContent",
    rules=JwtRules(
        algorithms=("RS256",),
        any_claims=((("azp", "appid"), _CHANGE_TRACKING),),
        keys=KeySet(ENTRA_KEYS),
    ),
)
"""Checked where the source names its `audiences`."""

_AWS_SNS = Preset(
    # https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html; version 1 is SHA-1, 2 SHA-256
    scheme=Scheme(
        headers=(HeaderNames("json:Signature", "json:Timestamp", "json:MessageId"),),
        marks=(Mark("", Rsa("sha256"), "base64"), Mark("", Rsa("sha1"), "base64")),
        signed="{sns}",
        timestamp_unit="rfc3339",
        key_format="public",
        key_source=KeySource(
            "json:SigningCertURL",
            r"https://sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/SimpleNotificationService-[A-Za-z0-9]+\.pem",
            names=r"sns([.-][a-z0-9-]+){0,3}\.amazonaws\.com(\.cn)?",
            chained=False,  # it serves the certificate alone, over TLS from its own host
        ),
    ),
    keep=("x-amz-sns-message-type", "x-amz-sns-topic-arn"),
    type_field=("Type",),
    subject_field=("TopicArn",),
    always_json=True,  # sent as text/plain
    tolerance=timedelta(hours=1),  # the time is that of the message, which is repeated for up to an hour
)

_EVENTGRID = Preset(
    # https://learn.microsoft.com/azure/event-grid/secure-webhook-delivery; a key in the address, as Functions have it
    scheme=secret_at("query:code", "aeg-sas-key"),
    keep=("aeg-event-type", "aeg-subscription-name", "aeg-delivery-count"),
    id_field=("*", "id"),
    type_field=("+", "eventType"),
    subject_field=("+", "subject"),
)

_MSGRAPH = Preset(
    # https://learn.microsoft.com/graph/change-notifications-delivery-webhooks; every notification must carry the secret
    scheme=secret_at("json:value.+.clientState"),
    type_field=("value", "+", "changeType"),
    subject_field=("value", "+", "resource"),
)

_OKTA = Preset(
    # https://developer.okta.com/docs/concepts/event-hooks/
    scheme=secret_at("authorization"),
    id_field=("eventId",),
    type_field=("eventType",),
    subject_field=("source",),
    status=200,
)

CLOUDS = {"aws-sns": _AWS_SNS, "eventgrid": _EVENTGRID, "msgraph": _MSGRAPH, "okta": _OKTA}
