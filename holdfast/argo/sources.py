"""EventSources as sources and schedules: one entry per event, with its path, its verification and its filter."""

import re
from dataclasses import dataclass, field
from typing import Any

from holdfast.argo.findings import Entry, Notes
from holdfast.argo.payload import Layout

PRESETS = {
    "github": ("github", "webhookSecret"),
    "gitlab": ("gitlab", "secretToken"),
    "bitbucketserver": ("bitbucket", "webhookSecret"),
    "slack": ("slack", "signingSecret"),
    "stripe": ("stripe", "apiKey"),
    "webhook": ("bearer", "authSecret"),
}
_UNVERIFIED = {"bitbucket", "gerrit", "storageGrid"}


@dataclass(slots=True)
class Known:
    """One event of an EventSource: the name it has here, its kind, its filter's text and static metadata."""

    name: str
    kind: str
    filter: str | None = None
    headers: set[str] = field(default_factory=set)
    schedule: bool = False


def slug(*parts: str) -> str:
    """A name of ours out of theirs: a-z, 0-9, `-` and `_`, at most 63 characters."""
    return re.sub(r"[^a-z0-9_-]+", "-", "-".join(part for part in parts if part).lower()).strip("-_")[:63] or "unnamed"


def secret(reference: Any, fallback: str) -> str:
    """`env:NAME` for a Kubernetes secret key."""
    key = reference or {}
    text = f"{key.get('name') or fallback}_{key.get('key') or ''}"
    name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").upper()
    return f"env:{'_' if name[:1].isdigit() else ''}{name}"


def event_source(manifest: dict[str, Any], known: dict[tuple[str, str], Known], notes: Notes) -> list[Entry]:
    """Every event of an EventSource; what can be listened to is entered into `known`."""
    owner = str((manifest.get("metadata") or {}).get("name") or "eventsource")
    entries: list[Entry] = []
    for kind, events in (manifest.get("spec") or {}).items():
        if kind in {"template", "service", "replicas", "eventBusName"} or not isinstance(events, dict):
            continue
        for event, given in events.items():
            at = notes.at(f"{kind}.{event}")
            one = Known(slug(owner, event), kind, (given.get("filter") or {}).get("expression"))
            if kind == "calendar":
                entries.append(_calendar(one, given, at))
            elif kind in PRESETS or kind in _UNVERIFIED or kind == "sns":
                entries.append(_http(one, given, at))
            else:
                reason = f"Holdfast receives webhooks; feed {kind} in by posting to a source"
                at.add("lost", kind, reason)
                entries.append(Entry("sources", one.name, {kind: given}, (reason,), active=False))
                continue
            known[owner, event] = one
    return entries


def _http(one: Known, given: dict[str, Any], notes: Notes) -> Entry:
    inner = given.get("webhook")
    hook: dict[str, Any] = inner if isinstance(inner, dict) else given
    content: dict[str, Any] = {}
    comments: list[str] = []
    endpoint = str(hook.get("endpoint") or "")
    path = "/hooks/" + re.sub(r"[^A-Za-z0-9._~/-]+", "-", endpoint.strip("/"))
    if endpoint.strip("/"):
        content["path"] = path
        comments.append(f"was {endpoint} on port {hook.get('port', '?')}: tell the sender its new address")
    method = str(hook.get("method") or "POST").upper()
    if method in {"PUT", "GET"}:
        content["methods"] = [method]
    content |= _verification(one, given, hook, comments, notes)
    for name in ("serverCertSecret", "serverKeySecret", "metadata", "maxPayloadSize"):
        if hook.get(name) or given.get(name):
            notes.add("lost", name, "TLS ends at the proxy; limits are `max_body`; metadata is not added to events")
            comments.append(f"{name}: {hook.get(name) or given.get(name)}")
    if one.filter:
        comments.append(f"filter.expression {one.filter!r} is part of `when` of every trigger on it")
    return Entry("sources", one.name, content, tuple(comments))


def _verification(
    one: Known, given: dict[str, Any], hook: dict[str, Any], comments: list[str], notes: Notes
) -> dict[str, Any]:
    if one.kind == "sns":
        comments.append("only this topic may send")
        return {
            "verify": {
                "preset": "aws-sns",
                "topics": [str(given.get("topicArn") or "arn:aws:sns:REGION:ACCOUNT:TOPIC")],
            }
        }
    preset, key = PRESETS.get(one.kind, ("bearer", "authSecret"))
    reference = given.get(key) or hook.get(key)
    if reference is None:
        notes.add(
            "todo", "verify", f"Argo checked nothing here; give the sender the secret of {secret(None, one.name)}"
        )
        comments.append("Argo accepted events from anybody; set the secret, or `dangerous_unverified: true`")
    elif one.kind == "stripe":
        notes.add("todo", "verify", "Argo checks no signature of Stripe; the endpoint's signing secret is needed")
        reference = None
    return {"verify": {"preset": preset, "secrets": [secret(reference, one.name)]}}


def _calendar(one: Known, given: dict[str, Any], notes: Notes) -> Entry:
    content: dict[str, Any] = {}
    comments: list[str] = []
    if given.get("schedule"):
        content["cron"] = [str(given["schedule"])]
    elif given.get("interval"):
        content["every"] = str(given["interval"])
        notes.add("changed", "interval", "counted from the epoch, not from the start of the pod")
    if given.get("timezone"):
        content["timezone"] = str(given["timezone"])
    if given.get("exclusionDates"):
        notes.add("lost", "exclusionDates", "write them as exclusions of the schedule")
        comments.append(f"exclusionDates: {given['exclusionDates']}")
    content["event"] = {"type": "calendar"}
    one.schedule = True
    return Entry("schedules", one.name, content, tuple(comments))


def placeholder(owner: str, event: str) -> tuple[Known, Entry]:
    """A source for an EventSource that was not among the files: it is fail-closed until its secret is there."""
    one = Known(slug(owner, event), "", None)
    comment = f"the EventSource {owner} was not among the files: say here how its sender is verified"
    content = {"verify": {"preset": "bearer", "secrets": [secret(None, one.name)]}}
    return one, Entry("sources", one.name, content, (comment,))


def layout_of(one: Known, owner: str, event: str) -> Layout:
    """How payloads of a source lie; the headers that filters read are collected in `one`."""
    return Layout(one.kind or None, owner, event, one.headers)
