"""What a join hands on: one event made of those that it kept, which everything after it treats like any other.

Flow: window decided → **join together** → map → EventDelivery | dead letter. Its source is `~join`, which no sender can
have, and its body says what came: `{"trigger", "key", "outcome", "events": {NAME: event}}`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.clock import rfc3339
from holdfast.domain.events import Data, Envelope, pack_body
from holdfast.ids import fingerprint, sha256_hex

SOURCE = "~join"
TYPE = "holdfast.joined"
MAX_JOINED = 1_400_000  # bytes of the record: with its action it must pass through Temporal, which takes 2 MiB


@dataclass(frozen=True, slots=True)
class JoinedFacts:
    """What is said about a window, beside its events."""

    id: str  # joined_id
    trigger: str
    key: str
    outcome: str  # fired, incomplete, cancelled
    opened_at: datetime
    closed_at: datetime


def is_joined(envelope: Envelope) -> bool:
    """Whether an event was put together by a join; a source cannot be called so."""
    return envelope.source == SOURCE


def joined_id(opener: str) -> str:
    """Return the event id of what a window makes, out of the claim that opened it: it opens one window only."""
    return fingerprint(opener)


def view_all(events: Mapping[str, Envelope], data: Mapping[str, Data] | None = None) -> dict[str, Any]:
    """Return what expressions see as `events`; `data` is what was picked out of bodies that lie elsewhere."""
    return {name: event.view((data or {}).get(name)) for name, event in events.items()}


def join_together(facts: JoinedFacts, events: Mapping[str, Envelope]) -> Envelope:
    """Return the joined event of at least one; of bodies that lie elsewhere it holds the reference."""
    content = {
        "trigger": facts.trigger,
        "key": facts.key,
        "outcome": facts.outcome,
        "opened_at": rfc3339(facts.opened_at),
        "closed_at": rfc3339(facts.closed_at),
        "events": view_all(events),
    }
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    encoding, text = pack_body(body)
    last = max(events.values(), key=lambda event: event.received_at)
    return Envelope(
        id=facts.id,
        source=SOURCE,
        type=TYPE,
        time=facts.closed_at,
        subject=facts.key,
        datacontenttype="application/json",
        traceparent=last.traceparent,
        tracestate=last.tracestate,
        received_at=last.received_at,
        body_encoding=encoding,
        body=text,
        body_sha256=sha256_hex(body),
    )


def joined_values(envelope: Envelope, events: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """Return what the action of a join is bound to: `event`, `events`, `key`; None where the body was edited away.

    `events` stands for those in the body, where more of them is known.
    """
    view = envelope.view()
    data = view.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("events"), dict):
        return None
    return {"event": view, "events": events or data["events"], "key": str(data.get("key", ""))}
