"""The activity `notify`: one notification, through one notifier, once per attempt. Retries belong to the workflow.

Flow: Escalation → **notify** → people. Secrets are read when they are used: what was mended counts at once.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from temporalio import activity

from activities.boundary import classify, is_permanent, translate
from activities.http import Call, exchange
from activities.notifiers import chat, documents, mail, pagers
from activities.notifiers.texts import Links, Text, text_of
from holdfast import __version__, ids
from holdfast.bus.connect import Bus
from holdfast.bus.publish import publish_message
from holdfast.clock import Clock
from holdfast.contracts import names
from holdfast.contracts.notifications import NOTIFY_ATTEMPTS, Notification, NotifyResult
from holdfast.domain.notifiers import (
    EmailNotifier,
    LogNotifier,
    NatsNotifier,
    NotifierConfig,
    OpsgenieNotifier,
    PagerDutyNotifier,
    SlackNotifier,
    TeamsNotifier,
    WebhookNotifier,
)
from holdfast.domain.secretrefs import is_reference
from holdfast.errors import ErrorCode, HoldfastError, PermanentFailure, RejectedInput, TransientFailure
from holdfast.settings.secrets import Secrets
from holdfast.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

HTTP_TIMEOUT = timedelta(seconds=10)
NATS_TIMEOUT = timedelta(seconds=4)


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends notifications; also without Temporal, for `holdfast notifiers test`."""

    notifiers: Mapping[str, NotifierConfig]
    secrets: Secrets
    http: httpx.AsyncClient
    bus: Bus
    clock: Clock

    async def send(self, given: Notification, links: Links) -> str:
        """Send once, and return what the other side said. Raises TransientFailure, PermanentFailure, Unavailable."""
        config = self.notifiers.get(given.notifier)
        if config is None:
            raise PermanentFailure(ErrorCode.NOT_FOUND, f"holdfast.yaml has no notifier {given.notifier!r} any more")
        text = text_of(given, links)
        match config.settings:
            case SlackNotifier(url=url):
                return await self._post(given, self._secret(url), chat.slack(text))
            case TeamsNotifier(url=url):
                return await self._post(given, self._secret(url), chat.teams(text))
            case PagerDutyNotifier() as settings:
                key = self._secret(settings.routing_key)
                event = pagers.pagerduty(given, text, settings, key)
                return await self._post(given, settings.url, event, hidden=(key,))
            case OpsgenieNotifier() as settings:
                key = self._secret(settings.api_key)
                url, body = pagers.opsgenie(given, text, settings)
                return await self._post(given, url, body, {"authorization": f"GenieKey {key}"}, hidden=(key,))
            case WebhookNotifier() as settings:
                return await self._webhook(given, text, settings)
            case EmailNotifier() as settings:
                return await self._mail(given, text, settings)
            case NatsNotifier(subject=subject):
                return await self._publish(given, text, subject)
            case LogNotifier(level=level):
                facts = {"about": given.about, "text": text.title, "escalation": given.escalation, "link": text.link}
                log.log(logging.getLevelNamesMapping()[level.upper()], "notification", extra=facts)
                return "logged"

    async def _webhook(self, given: Notification, text: Text, settings: WebhookNotifier) -> str:
        body, hidden, headers = documents.document(given, text), [], {}
        for name, value in settings.headers.items():
            headers[name.lower()] = self._secret(value) if is_reference(value) else value
            hidden += [headers[name.lower()]] if is_reference(value) else []
        if settings.secret is not None:
            secret = self._secret(settings.secret)
            hidden.append(secret)
            headers |= documents.signature_headers(secret, given, body, self.clock.now())
        url = self._secret(settings.url) if is_reference(settings.url) else settings.url
        return await self._post(given, url, body, headers, hidden=tuple(hidden), timeout=settings.timeout)

    async def _post(  # noqa: PLR0913 - one request has this many parts
        self,
        given: Notification,
        url: str,
        body: dict[str, Any] | bytes,
        headers: Mapping[str, str] | None = None,
        *,
        hidden: tuple[str, ...] = (),
        timeout: timedelta = HTTP_TIMEOUT,
    ) -> str:
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        sent = {
            "user-agent": f"holdfast/{__version__}",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "idempotency-key": documents.message_id(given),
            **(headers or {}),
        }
        path = url.partition("://")[2].partition("/")[2]  # the part of an address that is secret, at chats
        receipt = await exchange(self.http, Call("POST", url, sent, raw, timeout, (*hidden, url, path)), self.clock)
        return receipt.summary

    async def _mail(self, given: Notification, text: Text, settings: EmailNotifier) -> str:
        login = None
        if settings.username is not None and settings.password is not None:
            username = settings.username
            login = (self._secret(username) if is_reference(username) else username, self._secret(settings.password))
        ca = self._secret(settings.ca) if settings.ca is not None else None
        return await mail.send(mail.compose(given, text, settings), settings, login, ca)

    async def _publish(self, given: Notification, text: Text, subject: str) -> str:
        body, key = documents.document(given, text), ids.fingerprint("notification", given.id)
        headers = {"content-type": "application/json"}
        try:
            stored = await publish_message(self.bus, subject, body, key, headers=headers, timeout=NATS_TIMEOUT)
        except RejectedInput as error:
            raise PermanentFailure(error.code, error.message) from None
        return f"{stored.stream} #{stored.sequence}"

    def _secret(self, reference: str) -> str:
        try:
            return self.secrets.resolve(reference).get_secret_value()
        except RejectedInput as error:
            # transient: setting the secret mends it
            raise TransientFailure(ErrorCode.TARGET_MISCONFIGURED, error.message) from None


@dataclass(frozen=True, slots=True)
class Notify:
    """Sends what escalations have to say."""

    sender: Sender
    metrics: Metrics
    ui: str  # address of the Temporal UI

    @activity.defn(name=names.NOTIFY)
    async def notify(self, given: Notification) -> NotifyResult:
        """Make one attempt. Fails with ApplicationError, its type an error code; waits as the other side asks."""
        info, config = activity.info(), self.sender.notifiers.get(given.notifier)
        kind = config.kind if config is not None else ""
        try:
            said = await self.sender.send(given, Links(self.ui, info.namespace))
        except Exception as error:  # noqa: BLE001 - every error is classified, counted and translated
            raise self._failed(given, kind, classify(error), last=info.attempt >= NOTIFY_ATTEMPTS) from None
        self.metrics.notified(kind, "sent")
        return NotifyResult(said=said)

    def _failed(self, given: Notification, kind: str, error: HoldfastError, *, last: bool) -> Exception:
        final = last or is_permanent(error)
        self.metrics.notified(kind, "failed" if final else "retried")
        facts = {"notifier": given.notifier, "about": given.about, "code": error.code, "reason": error.message}
        if final:
            log.error("notify.failed", extra=facts)
        else:
            log.warning("notify.retried", extra=facts)
        return translate(error, next_retry_delay=error.retry_after)
