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
    Stage.JOIN: "the events that belong together could not be joined",
    Stage.SCHEDULE: "the schedule's event could not be published",
    Stage.SWEEP: "it ended without an outcome, and the sweeper found it",
}


def case_page(view: CaseView, link: str) -> str:
    """Return the page."""
    return "\n".join(_lines(view, link))


def _lines(view: CaseView, link: str) -> Iterator[str]:
    record = view.record
    yield f"# Dead letter {record.id}"
    yield ""
    yield f"state     {view.state}{_planned(view)}"
    if view.assignee:
        yield f"assigned  {view.assignee}"
    yield f"why       {record.code}: {record.message}"
    yield f"where     {_STAGES.get(record.stage, record.stage)}, {rfc3339(record.at)}"
    if record.source:
        yield f"event     {record.source} {record.event_type} {record.event_id}"
    if record.trigger:
        yield f"trigger   {record.trigger}{_target(record)}"
    if record.stream is not None and record.sequence is not None:
        yield f"stored    {record.stream} #{record.sequence}"
    if record.trace_id:
        yield f"trace     {record.trace_id}"
    yield f"look      {link}"
    yield from _attempts(view)
    yield from _redrives(view)
    yield from _history(view)
    yield from _body(record)
    yield from _options(view)


def _planned(view: CaseView) -> str:
    """Say what happens by itself next."""
    if view.next_redrive_at is not None:
        return f" (redriven by itself {rfc3339(view.next_redrive_at)})"
    if view.snoozed_until is not None:
        return f" (snoozed until {rfc3339(view.snoozed_until)})"
    return f" (expires {rfc3339(view.expires_at)})" if view.expires_at is not None else ""


def _target(record: DeadLetterRecord) -> str:
    return f" → {record.spec.action.target}" if record.spec is not None else ""


def _attempts(view: CaseView) -> Iterator[str]:
    record = view.record
    if not record.attempts and not view.failures:
        return
    yield ""
    yield f"## Attempts ({max(record.attempt_count, len(record.attempts))})"
    before = 0
    for attempt in record.attempts:
        if attempt.number > before + 1 and record.attempts_omitted:
            yield f"   …  {attempt.number - before - 1} attempts are not kept"
        before = attempt.number
        yield f"{attempt.number:>4}  {rfc3339(attempt.at)}  {attempt.code}: {attempt.message}"
    if not view.redrive_log:
        for attempt in view.failures:
            yield f"  r{attempt.number}  {rfc3339(attempt.at)}  {attempt.code}: {attempt.message}"


def _redrives(view: CaseView) -> Iterator[str]:
    if not view.redrive_log:
        return
    yield ""
    yield "## Redrives"
    for line in view.redrive_log:
        edited = f", edited body ({line.body_size} characters)" if line.body_size is not None else ""
        through = f" by {line.trigger}" if line.trigger and line.trigger != view.record.trigger else ""
        what = " as recorded" if line.config == "recorded" else through
        yield f"{line.number:>4}  {rfc3339(line.at)}  {line.outcome}{what}{edited}: {line.delivery or 'not started'}"
        if line.message:
            yield f"      {line.code + ': ' if line.code else ''}{line.message}"
        if line.dead_letter:
            where = f" in {line.stream} #{line.sequence}" if line.stream else ""
            yield f"      its own record: {line.dead_letter}{where}"
        if line.body is not None:
            yield f"      body: {line.body if len(line.body) <= MAX_BODY else line.body[:MAX_BODY] + '…'}"


def _history(view: CaseView) -> Iterator[str]:
    if not view.history:
        return
    yield ""
    yield "## History"
    if view.history_omitted:
        yield f"… {view.history_omitted} older entries are not kept"
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
    yield f"holdfast dead-letters assign {identity} --to WHO"
    yield f"holdfast dead-letters snooze {identity} --for 2h"
    if view.state is CaseState.OPEN:
        yield f"holdfast dead-letters acknowledge {identity}"
