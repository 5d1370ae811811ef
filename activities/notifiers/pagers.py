"""Payloads for PagerDuty (Events API v2) and Opsgenie (Alert API v2): they keep an incident of their own, with ours.

https://developer.pagerduty.com/docs/send-alert-event, https://docs.opsgenie.com/docs/alert-api
"""

from typing import Any
from urllib.parse import quote

from activities.notifiers.texts import Text
from holdfast.clock import rfc3339
from holdfast.contracts.notifications import Notification
from holdfast.domain.notifiers import OpsgenieNotifier, PagerDutyNotifier
from holdfast.errors import bounded
from holdfast.ids import fingerprint

PAGERDUTY_KEY = 255  # characters of a dedup_key
OPSGENIE_MESSAGE = 130
OPSGENIE_DESCRIPTION = 15_000


def pagerduty(given: Notification, text: Text, config: PagerDutyNotifier, routing_key: str) -> dict[str, Any]:
    """Return one event: trigger, acknowledge or resolve."""
    action = {"acknowledged": "acknowledge", "recovered": "resolve"}.get(given.about, "trigger")
    key = given.incident if len(given.incident) <= PAGERDUTY_KEY else fingerprint(given.incident)
    event: dict[str, Any] = {"routing_key": routing_key, "event_action": action, "dedup_key": key}
    if action != "trigger":
        return event
    return event | {
        "client": "Holdfast",
        "client_url": text.link,
        "links": [{"href": text.link, "text": "Temporal UI"}],
        "payload": {
            "summary": bounded(text.title, 1_024),
            "source": given.source or given.trigger or given.group,
            "severity": "info" if given.about == "test" else config.severity,
            "timestamp": rfc3339(given.at),
            "component": given.trigger or given.source,
            "group": given.group,
            "class": given.samples[-1].code if given.samples else "",
            "custom_details": _details(text),
        },
    }


def opsgenie(given: Notification, text: Text, config: OpsgenieNotifier) -> tuple[str, dict[str, Any]]:
    """Return the address and the body of one request: create, acknowledge or close an alert."""
    alias = given.incident.replace("/", ".")  # it stands in the address
    alias = alias if len(alias) <= 250 else fingerprint(alias)
    url = f"{config.url.rstrip('/')}/v2/alerts"
    if given.about in {"acknowledged", "recovered"}:
        verb = "acknowledge" if given.about == "acknowledged" else "close"
        body = {"source": "Holdfast", "user": bounded(given.by or "Holdfast", 100), "note": text.title}
        return f"{url}/{quote(alias, safe='')}/{verb}?identifierType=alias", body
    details = {name: str(value) for name, value in _details(text).items() if not isinstance(value, list)}
    return url, {
        "message": bounded(text.title, OPSGENIE_MESSAGE),
        "alias": alias,
        "description": bounded("\n".join(text.lines), OPSGENIE_DESCRIPTION),
        "source": "Holdfast",
        "entity": given.trigger or given.source or given.group,
        "tags": ["holdfast", given.escalation],
        "priority": "P5" if given.about == "test" else config.priority,
        "details": details,
    }


def _details(text: Text) -> dict[str, Any]:
    return dict(text.facts) | {"cases": list(text.cases), "commands": list(text.commands), "link": text.link}
