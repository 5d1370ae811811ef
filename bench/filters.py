"""What filters cost: one event against 1, 100 and 1,000 triggers, as the dispatcher decides."""

import json
import time

from holdfast.clock import SystemClock
from holdfast.domain.events import Envelope, pack_body
from holdfast.domain.matching import CompiledTriggers
from holdfast.domain.triggers import TriggerConfig
from holdfast.ids import sha256_hex

EVENTS = 200
Row = tuple[str, str, str, str]

KINDS: dict[str, dict[str, object]] = {
    "when": {"when": 'event.type == "push" && event.data.ref == "refs/heads/none" && event.data.size > 3'},
    "match": {"match": {"type": "push", "data": {"ref": {"prefix": "refs/tags/"}, "size": {"numeric": [">", 3]}}}},
}


def filter_costs() -> list[Row]:
    """Microseconds per event: none of the triggers wants it, so every clause is evaluated and nothing is mapped."""
    event = _event()
    rows: list[Row] = []
    for kind, clauses in KINDS.items():
        for count in (1, 100, 1_000):
            config = TriggerConfig.model_validate({"on": "github", "run": {"log": {}}, **clauses})
            began = time.perf_counter()
            triggers = CompiledTriggers({f"t{number}": config for number in range(count)})
            loaded = time.perf_counter() - began
            events = EVENTS if count < 1_000 else EVENTS // 10
            triggers.decide(event)  # warm
            began = time.perf_counter()
            for _ in range(events):
                triggers.decide(event)
            each = (time.perf_counter() - began) / events * 1e6
            rows.append(
                (
                    f"filters: {count} x {kind}",
                    f"{each:.0f} µs per event",
                    f"{each / count:.1f} µs per trigger",
                    f"compiled in {loaded * 1e3:.0f} ms",
                )
            )
    return rows


def _event() -> Envelope:
    """A push of about 2 KiB."""
    commits = [{"id": f"{n:040x}", "message": "a message of some length", "author": {"name": "x"}} for n in range(16)]
    body = json.dumps({"ref": "refs/heads/main", "size": 5, "commits": commits, "repository": {"name": "app"}}).encode()
    encoding, text = pack_body(body)
    now = SystemClock().now()
    return Envelope(
        id="1",
        source="github",
        type="push",
        time=now,
        received_at=now,
        datacontenttype="application/json",
        body_encoding=encoding,
        body=text,
        body_sha256=sha256_hex(body),
    )
