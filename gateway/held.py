"""What a sender that waited is answered: 200 with the result of every delivery.

200 says that the event was accepted and that its deliveries have ended, also where one of them ended as a dead letter:
to send it again would help nobody, and another status would make senders do so. `status` says how it ended.
"""

import json
from dataclasses import dataclass
from typing import Any

from gateway.problems import Answer
from gateway.routes import Route
from gateway.waiting import Outcome, Ticket
from holdfast.contracts.news import Ended


@dataclass(frozen=True, slots=True)
class Held:
    """An event that is stored and whose sender waits; `at_once` is what it is answered where it waits in vain."""

    event_id: str
    duplicate: bool
    location: tuple[bytes, bytes]
    route: Route
    ticket: Ticket
    at_once: Answer


def settled(held: Held, outcome: Outcome) -> Answer:
    """Answer with the outcome; it comes before the fixed answer of the source, whose headers it keeps."""
    document = {
        "id": held.event_id,
        "status": outcome.status,
        "duplicate": held.duplicate,
        "deliveries": [_written(each) for each in outcome.deliveries],
    }
    body = json.dumps(document).encode()
    own = [(name, value) for name, value in held.route.headers if name != b"content-type"]
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"preference-applied", held.ticket.applied),
        held.location,
        *own,
    ]
    return Answer(200, headers, body)


def in_vain(held: Held) -> Answer:
    """Answer that the time has passed: accepted, and found under its Location."""
    answer = held.at_once
    return Answer(answer.status, (*answer.headers, (b"preference-applied", held.ticket.applied)), answer.body)


def _written(ended: Ended) -> dict[str, Any]:
    """Say what the sender may know: no address of a target, and no text of a failure."""
    said: dict[str, Any] = {"id": ended.delivery, "trigger": ended.trigger, "status": ended.status}
    if ended.status == "dead_lettered":
        return {**said, "attempts": ended.attempts, "code": ended.code, "dead_letter": ended.dead_letter}
    said |= {"attempts": ended.attempts, "result": ended.result}
    return {**said, "result_omitted": True} if ended.result_omitted else said
