"""Services of daily work: PagerDuty, Zendesk, HubSpot, Typeform, Dropbox, Notion, Mux, Asana, Netlify."""

from holdfast.domain.preset import Preset, body_mac, timed_mac
from holdfast.domain.schemes import Digest, HeaderNames, Hmac, JwtRules, Mark, Scheme, Token

_PAGERDUTY = Preset(
    # https://developer.pagerduty.com/docs/verifying-webhook-signatures
    scheme=Scheme(headers=(HeaderNames("x-pagerduty-signature"),), marks=(Mark("v1="),), separator=","),
    keep=("x-webhook-id", "x-webhook-subscription"),
    id_field=("event", "id"),
    type_field=("event", "event_type"),
    subject_field=("event", "data", "id"),
)

_ZENDESK = Preset(
    # https://developer.zendesk.com/documentation/webhooks/verifying/
    scheme=timed_mac(
        "x-zendesk-webhook-signature",
        "x-zendesk-webhook-signature-timestamp",
        "{timestamp}{body}",
        mark=Mark("", Hmac(), "base64"),
        unit="rfc3339",
    ),
    keep=("x-zendesk-webhook-id", "x-zendesk-webhook-invocation-id", "x-zendesk-account-id"),
    id_header="x-zendesk-webhook-invocation-id",
    type_field=("type",),
    subject_field=("subject",),
)

# https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests
_HUBSPOT_V3 = Preset(
    scheme=Scheme(
        headers=(HeaderNames("x-hubspot-signature-v3", "x-hubspot-request-timestamp"),),
        marks=(Mark("", Hmac(), "base64"),),
        signed="{method}{url}{body}{timestamp}",
        timestamp_unit="ms",
        urls="decoded",
    ),
    keep=("x-hubspot-request-timestamp",),
    type_field=("+", "subscriptionType"),
    subject_field=("+", "objectId"),
)


def _hubspot(signed: str) -> Preset:
    return Preset(
        scheme=Scheme(headers=(HeaderNames("x-hubspot-signature"),), marks=(Mark("", Digest()),), signed=signed),
        type_field=_HUBSPOT_V3.type_field,
        subject_field=_HUBSPOT_V3.subject_field,
    )


_TYPEFORM = Preset(
    # https://www.typeform.com/developers/webhooks/secure-your-webhooks/
    scheme=body_mac("typeform-signature", "sha256=", encoding="base64"),
    id_field=("event_id",),
    type_field=("event_type",),
    subject_field=("form_response", "form_id"),
)

_DROPBOX = Preset(
    # https://www.dropbox.com/developers/reference/webhooks
    scheme=body_mac("x-dropbox-signature"),
    subject_field=("list_folder", "accounts", "*"),
)

_NOTION = Preset(
    # https://developers.notion.com/reference/webhooks
    scheme=body_mac("x-notion-signature", "sha256="),
    id_field=("id",),
    type_field=("type",),
    subject_field=("entity", "id"),
)

_MUX = Preset(
    # https://www.mux.com/docs/core/verify-webhook-signatures
    scheme=timed_mac("mux-signature", "kv:mux-signature:t", "{timestamp}.{body}", mark=Mark("v1="), separator=","),
    id_field=("id",),
    type_field=("type",),
    subject_field=("object", "id"),
)

_ASANA = Preset(
    # https://developers.asana.com/docs/webhooks-guide
    scheme=body_mac("x-hook-signature"),
    type_field=("events", "+", "action"),
    subject_field=("events", "+", "resource", "gid"),
    status=200,
)

_NETLIFY = Preset(
    # https://docs.netlify.com/deploy/deploy-notifications/#payload-signature
    scheme=Scheme(
        headers=(HeaderNames("x-webhook-signature"),),
        marks=(Mark("", Token()),),
        signed="",
        key_format="jwt",
        jwt=JwtRules(issuers=("netlify",), body_claim="sha256", lasts=False),
    ),
    keep=("x-netlify-event",),
    type_header="x-netlify-event",
    subject_field=("site_id",),
)

BUSINESS = {
    "pagerduty": _PAGERDUTY,
    "zendesk": _ZENDESK,
    "hubspot-v1": _hubspot("{secret}{body}"),
    "hubspot-v2": _hubspot("{secret}{method}{url}{body}"),
    "hubspot-v3": _HUBSPOT_V3,
    "typeform": _TYPEFORM,
    "dropbox": _DROPBOX,
    "notion": _NOTION,
    "mux": _MUX,
    "asana": _ASANA,
    "netlify": _NETLIFY,
}
