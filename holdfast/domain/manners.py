"""How each sender behaves when we are slow or down: how long it waits, how often and for how long it repeats.

Out of the senders' own documentation, with what docs/senders/ says of each; it decides nothing on the hot path.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

_S, _H, _D = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)

Afterwards = Literal["lost", "resendable", "disabled", "removed"]


@dataclass(frozen=True, slots=True)
class Manners:
    """One sender. None: not documented, or the sender's own configuration decides."""

    waits: timedelta | None = None  # for an answer, before it counts as failed
    repeats: bool = True
    repeats_for: timedelta | None = None  # in all
    attempts: int | None = None  # after the first
    afterwards: Afterwards = "lost"  # lost, resendable: the event; disabled, removed: the whole webhook

    def show(self) -> str:
        """One line for people."""
        parts = [f"waits {_written(self.waits)}" if self.waits else "waits as long as it is configured to"]
        if not self.repeats:
            parts.append("never repeats by itself")
        else:
            often = f" up to {self.attempts} times" if self.attempts else ""
            parts.append(f"repeats{often}" + (f" for {_written(self.repeats_for)}" if self.repeats_for else ""))
        return ", ".join(parts) + {
            "lost": "; then the event is lost",
            "resendable": "; what failed can be sent again by hand there",
            "disabled": "; a webhook that keeps failing is disabled",
            "removed": "; a webhook that keeps failing is removed",
        }.get(self.afterwards, "")


def _written(span: timedelta) -> str:
    seconds = span.total_seconds()
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


MANNERS: dict[str, Manners] = {
    "standard-webhooks": Manners(15 * _S, afterwards="disabled"),
    "svix": Manners(15 * _S, repeats_for=timedelta(hours=28), attempts=7, afterwards="disabled"),
    "bearer": Manners(),
    "basic": Manners(),
    "api-key": Manners(),
    "hmac": Manners(),
    "custom": Manners(),
    "convoy": Manners(),
    "jwt": Manners(),
    "oidc": Manners(),
    "mtls": Manners(),
    "ip-allow-list": Manners(),
    "cloudevents": Manners(),
    "github": Manners(10 * _S, repeats=False, afterwards="resendable"),
    "gitlab": Manners(10 * _S, repeats=False, afterwards="disabled"),
    "gitlab-token": Manners(10 * _S, repeats=False, afterwards="disabled"),
    "bitbucket": Manners(10 * _S, attempts=2, afterwards="resendable"),
    "jira": Manners(attempts=5),
    "gitea": Manners(5 * _S, repeats=False, afterwards="resendable"),
    "forgejo": Manners(5 * _S, repeats=False, afterwards="resendable"),
    "vercel": Manners(repeats_for=_D),
    "sentry": Manners(_S, repeats=False, afterwards="disabled"),
    "linear": Manners(5 * _S, repeats_for=7 * _H, attempts=3, afterwards="disabled"),
    "stripe": Manners(repeats_for=3 * _D, afterwards="resendable"),
    "paddle": Manners(5 * _S, repeats_for=3 * _D),
    "square": Manners(10 * _S, repeats_for=_D),
    "paypal": Manners(repeats_for=3 * _D, attempts=25),
    "adyen": Manners(10 * _S, repeats_for=30 * _D),
    "adyen-payload": Manners(10 * _S, repeats_for=30 * _D),
    "razorpay": Manners(5 * _S, repeats_for=_D, afterwards="disabled"),
    "shopify": Manners(5 * _S, repeats_for=4 * _H, attempts=8, afterwards="removed"),
    "xero": Manners(5 * _S, repeats_for=_D, afterwards="disabled"),
    "slack": Manners(3 * _S, attempts=3, afterwards="disabled"),
    "discord": Manners(3 * _S, afterwards="removed"),
    "twilio": Manners(15 * _S, repeats=False),
    "sendgrid": Manners(repeats_for=_D),
    "mailgun": Manners(repeats_for=8 * _H),
    "messagebird": Manners(),
    "line": Manners(repeats=False),
    "meta": Manners(repeats_for=36 * _H, afterwards="disabled"),
    "twitter": Manners(repeats=False, afterwards="disabled"),
    "intercom": Manners(5 * _S, attempts=1, afterwards="disabled"),
    "zoom": Manners(3 * _S, afterwards="disabled"),
    "dropbox": Manners(10 * _S, afterwards="disabled"),
    "asana": Manners(10 * _S, repeats_for=_D, afterwards="removed"),
    "notion": Manners(repeats_for=_D, attempts=8),
    "mux": Manners(5 * _S, repeats_for=_D),
    "netlify": Manners(10 * _S, afterwards="disabled"),
    "typeform": Manners(30 * _S, afterwards="disabled"),
    "zendesk": Manners(12 * _S, attempts=5),
    "hubspot-v1": Manners(5 * _S, repeats_for=_D),
    "hubspot-v2": Manners(5 * _S, repeats_for=_D),
    "hubspot-v3": Manners(5 * _S, repeats_for=_D),
    "pagerduty": Manners(afterwards="disabled"),
    "okta": Manners(3 * _S, attempts=1),
    "msgraph": Manners(3 * _S, repeats_for=4 * _H),
    "eventgrid": Manners(30 * _S, repeats_for=_D, attempts=30),
    "eventgrid-entra": Manners(30 * _S, repeats_for=_D, attempts=30),
    "aws-sns": Manners(15 * _S, repeats_for=_H, attempts=3),
    "google-pubsub": Manners(10 * _S, repeats_for=7 * _D),
    "plaid": Manners(10 * _S, repeats_for=_D),
    "vonage": Manners(5 * _S, repeats_for=_D),
}
"""By preset; a test keeps it whole."""
