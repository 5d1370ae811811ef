"""Telling people as an action: one message in Slack, one mail; the same code that sends notifications.

Flow: deliver → **people** → Slack, an SMTP server.
"""

import json
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime

import httpx

from activities.answers import Reader
from activities.http import Call, conclude, fetch
from activities.notifiers import mail
from activities.target import Receipt, Shipment
from holdfast import __version__
from holdfast.clock import Clock
from holdfast.domain.actions import EmailAction, SlackAction
from holdfast.domain.http_options import HttpOptions
from holdfast.domain.secretrefs import is_reference
from holdfast.errors import ErrorCode, RejectedInput, TransientFailure
from holdfast.ids import fingerprint
from holdfast.settings.secrets import Secrets

TIMEOUT = timedelta(seconds=10)
_ANSWERS_200 = HttpOptions(
    # Slack's API says 200 and means it only where `ok` is true: https://api.slack.com/web#responses
    success="response.data.ok == true ? dyn(true) : dyn(response.data.error in"
    ' ["ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"] ? "later" : "refuse")'
)


class PeopleTarget:
    """Posts and mails."""

    def __init__(self, http: httpx.AsyncClient, secrets: Secrets, clock: Clock) -> None:
        self._http = http
        self._secrets = secrets
        self._clock = clock
        self._reader = Reader()

    async def slack(self, action: SlackAction, shipment: Shipment) -> Receipt:
        """Post one message. Raises TransientFailure or PermanentFailure, `target.…`."""
        message: dict[str, str] = {"text": action.text}
        headers = {
            "user-agent": f"holdfast/{__version__}",
            "accept-encoding": "identity",
            "content-type": "application/json; charset=utf-8",
            "idempotency-key": fingerprint("delivery", shipment.delivery),
        }
        if action.url is not None:
            url = self._secret(action.url)
            hidden, options = (url, url.partition("://")[2].partition("/")[2]), HttpOptions()
        else:
            token = self._secret(action.token or "")
            url, hidden, options = f"{action.api}/chat.postMessage", (token, token), _ANSWERS_200
            headers["authorization"] = f"Bearer {token}"
            message["channel"] = action.channel or ""
        body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
        call = Call("POST", url, headers, body, TIMEOUT, hidden, options)
        return conclude(call, await fetch(self._http, call), self._clock, self._reader)

    async def email(self, action: EmailAction, shipment: Shipment) -> Receipt:
        """Send one mail; a repeat has the same Message-ID. Raises TransientFailure or PermanentFailure, `target.…`."""
        settings, login = action.settings, None
        if settings.username is not None and settings.password is not None:
            name = settings.username
            login = (self._secret(name) if is_reference(name) else name, self._secret(settings.password))
        ca = self._secret(settings.ca) if settings.ca is not None else None
        message = EmailMessage()
        message["From"] = settings.sender
        message["To"] = ", ".join(settings.to)
        message["Subject"] = action.subject
        message["Date"] = format_datetime(self._clock.now())
        message["Message-ID"] = f"<{fingerprint('mail', shipment.delivery)}@{settings.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(action.text.encode("utf-8", "replace").decode())
        return Receipt(await mail.send(message, settings, login, ca))

    def _secret(self, reference: str) -> str:
        try:
            return self._secrets.resolve(reference).get_secret_value()
        except RejectedInput as error:
            # transient: setting the secret mends it
            raise TransientFailure(ErrorCode.TARGET_MISCONFIGURED, error.message) from None
