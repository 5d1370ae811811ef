"""What is known about each sender: how it signs, what identifies an event, which headers are worth keeping. Data."""

from dataclasses import dataclass

from holdfast.domain.schemes import Ed25519, HeaderNames, Hmac, Mark, Scheme, Token
from holdfast.domain.sources import VerifyConfig


@dataclass(frozen=True, slots=True)
class Preset:
    """One sender. Header names in lower case; fields are paths into the JSON body."""

    scheme: Scheme
    keep: tuple[str, ...] = ()
    id_header: str | None = None  # unsigned, so the body's hash is joined to it
    type_header: str | None = None
    type_field: tuple[str, ...] = ()
    subject_field: tuple[str, ...] = ()


GITHUB = Preset(
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    scheme=Scheme(headers=(HeaderNames("x-hub-signature-256"),), marks=(Mark("sha256="),)),
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

STANDARD_WEBHOOKS = Preset(
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    scheme=Scheme(
        headers=(
            HeaderNames("webhook-signature", "webhook-timestamp", "webhook-id"),
            HeaderNames("svix-signature", "svix-timestamp", "svix-id"),
        ),
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

PRESETS = {"github": GITHUB, "standard-webhooks": STANDARD_WEBHOOKS, "bearer": BEARER}


def preset_of(verify: VerifyConfig) -> Preset:
    """Return the preset a source names; `hmac` is built from the source's own fields."""
    known = PRESETS.get(verify.preset)
    if known is not None:
        return known
    timestamp = verify.timestamp.header.lower() if verify.timestamp else None
    id_header = verify.id_header.lower() if verify.id_header else None
    return Preset(
        scheme=Scheme(
            headers=(HeaderNames((verify.header or "").lower(), timestamp, id_header),),
            marks=(Mark(verify.prefix, Hmac(verify.algorithm), verify.encoding),),
            signed=verify.signed,
            timestamp_unit=verify.timestamp.unit if verify.timestamp else "s",
        ),
        keep=tuple(name for name in (timestamp, id_header) if name is not None),
    )
