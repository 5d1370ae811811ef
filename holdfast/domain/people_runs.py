"""Telling people as the action of a trigger: a message in Slack, a mail. Secrets are references."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from holdfast.domain.notifiers import EmailNotifier
from holdfast.domain.secretrefs import SecretRef


class SlackRun(BaseModel):
    """Post to Slack: by an incoming webhook (`url`), or as an app (`token` and `channel`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretRef | None = Field(default=None, description="Address of an incoming webhook: env:NAME or file:PATH.")
    token: SecretRef | None = Field(default=None, description="Token of a bot (xoxb-…): env:NAME or file:PATH.")
    channel: str | None = Field(default=None, description="With `token`: the channel, with `${…}`.")
    text: str = Field(min_length=1, description="The message, mrkdwn, with `${…}`; values are escaped.")
    api: str = Field(
        default="https://slack.com/api", pattern=r"^https?://[^\s?#]+$", description="With `token`: where the API is."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.url is None) == (self.token is None):
            raise ValueError("needs either url or token")
        if (self.token is None) != (self.channel is None):
            raise ValueError("token and channel belong together")
        return self


class EmailRun(EmailNotifier):
    """Send a mail over SMTP."""

    to: tuple[str, ...] = Field(
        min_length=1, max_length=50, description="Address, or list of addresses, with `${…}`; each gives one address."
    )
    subject: str = Field(min_length=1, description="Its subject, with `${…}`, on one line.")
    text: str = Field(min_length=1, description="Its text, with `${…}`.")

    @field_validator("sender")
    @classmethod
    def _addresses(cls, value: Any) -> Any:
        return super()._addresses(value)

    @property
    def server(self) -> dict[str, Any]:
        """What a mail needs beside recipients and texts."""
        known = self.model_dump(by_alias=True)
        return {name: known[name] for name in known if name not in {"to", "subject", "text"}}
