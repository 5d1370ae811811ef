"""A dead letter's case as a page a person reads from top to bottom: what, why, what was tried, what can be done."""

from collections.abc import Iterator

from holdfast.clock import rfc3339
from holdfast.contracts.dead_letter import CaseView, DeadLetterRecord
from holdfast.domain.deadletters import CLOSED, CaseState, Stage

MAX_BODY = 600  # characters of the event shown; --json has all

_STAGES = {
    Stage.DECODE: "the message on the bus was no event",
    Stage.FILTER: "the trigger's filter or mapping failed",
    Stage.START: "Temporal refused to start the delivery",
    Stage.DELIVERY: "the delivery failed for good",
    Stage.SCHEDULE: "the schedule's event could not be published",
}


def case_page(view: CaseView, link: str) -> str:
    """Return the page."""
    return "\n".join(_lines(view, link))


def _lines(view: CaseView, link: str) -> Iterator[str]:
    record = view.record
    yield f"# Dead letter {record.id}"
    yield ""
    yield f"state     {view.state}"
    yield f"why       {record.code}: {record.message}"
    yield f"where     {_STAGES.get(record.stage, record.stage)}, {rfc3339(record.at)}"
    if record.source:
        yield f"event     {record.source} {record.event_type} {record.event_id}"
    if record.trigger:
        yield f"trigger   {record.trigger}{_target(record)}"
    if record.stream is not None and record.sequence is not None:
        yield f"stored    {record.stream} #{record.sequence}"
    yield f"look      {link}"
    yield from _attempts(view)
    yield from _history(view)
    yield from _body(record)
    yield from _options(view)


def _target(record: DeadLetterRecord) -> str:
    return f" → {record.spec.action.target}" if record.spec is not None else ""


def _attempts(view: CaseView) -> Iterator[str]:
    record = view.record
    if not record.attempts and not view.failures:
        return
    yield ""
    yield f"## Attempts ({max(record.attempt_count, len(record.attempts))})"
    for attempt in record.attempts:
        yield f"{attempt.number:>4}  {rfc3339(attempt.at)}  {attempt.code}: {attempt.message}"
    for attempt in view.failures:
        yield f"  r{attempt.number}  {rfc3339(attempt.at)}  {attempt.code}: {attempt.message}"


def _history(view: CaseView) -> Iterator[str]:
    if not view.history:
        return
    yield ""
    yield "## History"
    for entry in view.history:
        note = f": {entry.note}" if entry.note else ""
        yield f"{rfc3339(entry.at)}  {entry.move} by {entry.by}{note}"


def _body(record: DeadLetterRecord) -> Iterator[str]:
    if record.envelope is None:
        return
    if (reference := record.envelope.body_ref) is not None:
        yield ""
        yield f"## Body ({reference.size} bytes)"
        yield f"holdfast events body {record.source} {record.event_id}"
        return
    body = record.envelope.body
    kind = "Body" if record.envelope.body_encoding == "text" else "Body (base64)"
    yield ""
    yield f"## {kind}"
    yield body if len(body) <= MAX_BODY else f"{body[:MAX_BODY]}… ({len(body)} characters; --json shows all)"


def _options(view: CaseView) -> Iterator[str]:
    if view.state in CLOSED:
        return
    identity = view.record.id
    yield ""
    yield "## What can be done"
    if view.state is CaseState.REDRIVING:
        yield f"It is being delivered again: {view.redrives[-1] if view.redrives else 'a moment'}"
        return
    yield f"holdfast dead-letters redrive {identity} --reason 'what was mended'"
    yield f"holdfast dead-letters discard {identity} --reason 'why not'"
    if view.state is CaseState.OPEN:
        yield f"holdfast dead-letters acknowledge {identity}"
