"""Code hosts and what developers run: GitHub, GitLab, Bitbucket, Jira, Gitea, Forgejo, Vercel, Sentry, Linear."""

from dataclasses import replace
from datetime import timedelta

from holdfast.domain.preset import Preset, body_mac, secret_at
from holdfast.domain.providers.standard import STANDARD_WEBHOOKS
from holdfast.domain.schemes import HeaderNames, Hmac, Mark, Scheme

GITHUB = Preset(
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    scheme=body_mac("x-hub-signature-256", "sha256="),
    keep=(
        "x-github-delivery",
        "x-github-event",
        "x-github-hook-id",
        "x-github-hook-installation-target-id",
        "x-github-hook-installation-target-type",
    ),
    id_header="x-github-delivery",
    type_header="x-github-event",
    subject_field=("repository", "full_name"),
)

# https://docs.gitlab.com/user/project/integrations/webhooks/
_GITLAB = Preset(
    scheme=secret_at("x-gitlab-token"),
    keep=("x-gitlab-event", "x-gitlab-event-uuid", "x-gitlab-webhook-uuid", "x-gitlab-instance", "idempotency-key"),
    id_header="idempotency-key",
    type_field=("object_kind",),
    subject_field=("project", "path_with_namespace"),
)

_BITBUCKET = Preset(
    # https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/
    scheme=body_mac("x-hub-signature", "sha256="),
    keep=("x-request-uuid", "x-event-key", "x-hook-uuid", "x-attempt-number"),
    id_header="x-request-uuid",
    type_header="x-event-key",
    subject_field=("repository", "full_name"),
)

_JIRA = Preset(
    # https://developer.atlassian.com/cloud/jira/platform/webhooks/
    scheme=_BITBUCKET.scheme,
    keep=("x-atlassian-webhook-identifier", "x-atlassian-webhook-retry"),
    id_header="x-atlassian-webhook-identifier",
    type_field=("webhookEvent",),
    subject_field=("issue", "key"),
)


def _forge(*names: str) -> Preset:
    # https://docs.gitea.com/usage/webhooks, https://forgejo.org/docs/latest/user/webhooks/
    first = names[0]
    return Preset(
        scheme=Scheme(headers=tuple(HeaderNames(f"x-{name}-signature") for name in names), marks=(Mark(),)),
        keep=(f"x-{first}-delivery", f"x-{first}-event", f"x-{first}-event-type"),
        id_header=f"x-{first}-delivery",
        type_header=f"x-{first}-event",
        subject_field=("repository", "full_name"),
    )


_VERCEL = Preset(
    # https://vercel.com/docs/webhooks/webhooks-api
    scheme=body_mac("x-vercel-signature", method=Hmac("sha1")),
    id_field=("id",),
    type_field=("type",),
    subject_field=("payload", "project", "id"),
)

_SENTRY = Preset(
    # https://docs.sentry.io/organization/integrations/integration-platform/webhooks/
    scheme=body_mac("sentry-hook-signature"),
    keep=("request-id", "sentry-hook-resource", "sentry-hook-timestamp"),
    id_header="request-id",
    type_header="sentry-hook-resource",
    action_field=("action",),
    subject_field=("installation", "uuid"),
)

_LINEAR = Preset(
    # https://linear.app/developers/webhooks
    scheme=Scheme(
        headers=(HeaderNames("linear-signature", "json:webhookTimestamp"),), marks=(Mark(),), timestamp_unit="ms"
    ),
    keep=("linear-delivery", "linear-event"),
    id_header="linear-delivery",
    type_field=("type",),
    action_field=("action",),
    subject_field=("data", "id"),
    tolerance=timedelta(minutes=1),
)

CODE = {
    "github": GITHUB,
    "gitlab": replace(_GITLAB, scheme=STANDARD_WEBHOOKS.scheme, keep=(*_GITLAB.keep, *STANDARD_WEBHOOKS.keep)),
    "gitlab-token": _GITLAB,
    "bitbucket": _BITBUCKET,
    "jira": _JIRA,
    "gitea": _forge("gitea"),
    "forgejo": _forge("forgejo", "gitea"),
    "vercel": _VERCEL,
    "sentry": _SENTRY,
    "linear": _LINEAR,
}
