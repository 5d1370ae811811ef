"""How people are told: the section `notifiers` of holdfast.yaml. A secret is only ever a reference here.

Addresses come from this file alone, never from an event, so no sender can make Holdfast call anything.
"""

from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from holdfast.domain.quantities import Duration
from holdfast.domain.secretrefs import SecretRef, is_reference

_FROZEN = ConfigDict(frozen=True, extra="forbid")
_URL = r"^https?://[^\s]+$"

NotifierKind = Literal["slack", "teams", "pagerduty", "opsgenie", "webhook", "email", "nats", "log"]
KINDS: tuple[NotifierKind, ...] = ("slack", "teams", "pagerduty", "opsgenie", "webhook", "email", "nats", "log")
KEEPS_INCIDENTS: frozenset[str] = frozenset({"pagerduty", "opsgenie", "webhook", "nats", "log"})
"""Read by programs: they are told of acknowledgement and end at once, also in quiet hours, so that no page goes on."""
MIRRORS: frozenset[str] = frozenset({"pagerduty", "opsgenie"})
"""Keep an incident of their own, which is acknowledged and closed with ours."""


class SlackNotifier(BaseModel):
    """An incoming webhook of Slack (or of what speaks its language, like Mattermost)."""

    model_config = _FROZEN

    url: SecretRef = Field(description="The webhook's address, which is a secret: env:NAME or file:PATH.")


class TeamsNotifier(BaseModel):
    """A webhook of Microsoft Teams, made with its Workflows app."""

    model_config = _FROZEN

    url: SecretRef = Field(description="The webhook's address, which is a secret: env:NAME or file:PATH.")


class PagerDutyNotifier(BaseModel):
    """PagerDuty, by Events API v2: trigger, acknowledge, resolve."""

    model_config = _FROZEN

    routing_key: SecretRef = Field(description="Integration key of the service: env:NAME or file:PATH.")
    severity: Literal["critical", "error", "warning", "info"] = Field(default="error", description="Of its alerts.")
    url: str = Field(
        default="https://events.pagerduty.com/v2/enqueue",
        pattern=_URL,
        description="For accounts in the EU: https://events.eu.pagerduty.com/v2/enqueue.",
    )


class OpsgenieNotifier(BaseModel):
    """Opsgenie, by Alert API v2: create, acknowledge, close. The alias is the incident."""

    model_config = _FROZEN

    api_key: SecretRef = Field(description="API key of an integration: env:NAME or file:PATH.")
    priority: Literal["P1", "P2", "P3", "P4", "P5"] = Field(default="P3", description="Of its alerts.")
    url: str = Field(
        default="https://api.opsgenie.com",
        pattern=_URL,
        description="For accounts in the EU: https://api.eu.opsgenie.com.",
    )


class WebhookNotifier(BaseModel):
    """Any HTTP endpoint: a POST with the notification as JSON (docs/escalation.md)."""

    model_config = _FROZEN

    url: str = Field(description="Where to post: an http(s) address, or env:NAME or file:PATH where it is a secret.")
    headers: dict[str, str] = Field(
        default_factory=dict, description="Further headers. A value env:NAME or file:PATH is read when it is sent."
    )
    secret: SecretRef | None = Field(
        default=None,
        description="Sign as Standard Webhooks says (webhook-id, webhook-timestamp, webhook-signature): whsec_… or any"
        " text.",
    )
    timeout: Duration = Field(default=timedelta(seconds=10), description="How long one attempt may take, at most 15s.")

    @field_validator("url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if not (is_reference(value) or (value.startswith(("http://", "https://")) and not value.split()[1:])):
            raise ValueError("must be an http(s) address, env:NAME or file:PATH")
        return value

    @field_validator("timeout")
    @classmethod
    def _bounded(cls, value: timedelta) -> timedelta:
        if not timedelta(0) < value <= timedelta(seconds=15):
            raise ValueError("must be longer than 0s and at most 15s")
        return value


class EmailNotifier(BaseModel):
    """Mail, over SMTP."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    host: str = Field(min_length=1, max_length=253, pattern=r"^[^\s/@]+$", description="The mail server.")
    port: int = Field(default=587, ge=1, le=65_535, description="Usually 587 with starttls, 465 with tls.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="starttls, tls from the first byte, or none: only for a relay on this machine."
    )
    username: str | None = Field(default=None, description="To log in with; may be env:NAME or file:PATH.")
    password: SecretRef | None = Field(default=None, description="To log in with: env:NAME or file:PATH.")
    ca: SecretRef | None = Field(
        default=None,
        description="Who signed the server's certificate (PEM): env:NAME or file:PATH. Default: the system's.",
    )
    sender: str = Field(alias="from", description="Address that it comes from.")
    to: tuple[str, ...] = Field(min_length=1, max_length=50, description="Address, or list of addresses.")

    @field_validator("to", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("sender", "to")
    @classmethod
    def _addresses(cls, value: Any) -> Any:
        for one in (value,) if isinstance(value, str) else value:
            local, at, domain = one.rpartition("@")
            sound = one.isascii() and one.isprintable() and not set(one) & set(" <>,;:\"'()[]\\")
            if not (at and local and domain and sound):
                raise ValueError(f"{one!r} is not an address, like ops@example.com")
        return value

    @model_validator(mode="after")
    def _together(self) -> "EmailNotifier":
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if self.password is not None and self.security == "none":
            raise ValueError("a password is not sent without encryption; use starttls or tls")
        return self


class NatsNotifier(BaseModel):
    """A JetStream subject: the same JSON as `webhook`, stored before it counts as told."""

    model_config = _FROZEN

    subject: str = Field(
        pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", description="The subject; a stream must capture it."
    )

    @field_validator("subject")
    @classmethod
    def _not_ours(cls, value: str) -> str:
        if value.partition(".")[0] in {"events", "dead-letters", "unmatched"}:
            raise ValueError("events.*, dead-letters.* and unmatched.* belong to Holdfast; choose another first word")
        return value


class LogNotifier(BaseModel):
    """A line in the worker's log, event `notification`."""

    model_config = _FROZEN

    level: Literal["info", "warning", "error"] = Field(default="warning", description="Log level.")


Notifier = (
    SlackNotifier
    | TeamsNotifier
    | PagerDutyNotifier
    | OpsgenieNotifier
    | WebhookNotifier
    | EmailNotifier
    | NatsNotifier
    | LogNotifier
)


class NotifierConfig(BaseModel):
    """One way to tell people: exactly one of slack, teams, pagerduty, opsgenie, webhook, email, nats, log."""

    model_config = _FROZEN

    slack: SlackNotifier | None = Field(default=None, description="Slack.")
    teams: TeamsNotifier | None = Field(default=None, description="Microsoft Teams.")
    pagerduty: PagerDutyNotifier | None = Field(default=None, description="PagerDuty.")
    opsgenie: OpsgenieNotifier | None = Field(default=None, description="Opsgenie.")
    webhook: WebhookNotifier | None = Field(default=None, description="Any HTTP endpoint.")
    email: EmailNotifier | None = Field(default=None, description="Mail.")
    nats: NatsNotifier | None = Field(default=None, description="NATS JetStream.")
    log: LogNotifier | None = Field(default=None, description="The worker's log.")

    @model_validator(mode="before")
    @classmethod
    def _bare_log(cls, value: Any) -> Any:
        return {"log": {}} if value in ("log", {"log": None}) else value

    @model_validator(mode="after")
    def _exactly_one(self) -> "NotifierConfig":
        named = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(named) != 1:
            raise ValueError(f"needs exactly one of {', '.join(KINDS)}; has {', '.join(named) or 'none'}")
        return self

    @property
    def kind(self) -> NotifierKind:
        """Which it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def settings(self) -> Notifier:
        """What it needs."""
        chosen: Notifier = getattr(self, self.kind)
        return chosen

    @property
    def references(self) -> tuple[str, ...]:
        """Every secret it refers to."""
        values = [value for value in self.settings.model_dump().values() if isinstance(value, str)]
        headers = self.webhook.headers.values() if self.webhook else ()
        return tuple(value for value in (*values, *headers) if is_reference(value))
