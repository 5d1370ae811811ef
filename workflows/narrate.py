"""What people read in the Temporal UI: markdown for current details, one line for a failure.

Every text is bounded and holds no body and no header; pure, so that it is tested as text.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from holdfast import ids
from holdfast.clock import rfc3339
from holdfast.contracts import names
from holdfast.contracts.dead_letter import CaseView, DeadLetterRecord
from holdfast.contracts.delivery import Attempt, DeliveryInput, InspectChildResult
from holdfast.domain.deadletters import CaseState
from holdfast.domain.quantities import format_duration
from holdfast.errors import bounded
from workflows.outcomes import AttemptFailed

ROWS = 20  # lines of a list; more are counted
CELL = 160  # characters of one text in a line


def retrying(given: DeliveryInput, failure: AttemptFailed, *, wait: timedelta, now: datetime, workflow_id: str) -> str:
    """Say that an attempt failed and when the next one is."""
    spec = given.spec
    return "\n".join(
        (
            f"### Retrying: attempt 1 of {spec.retry.max_attempts} failed",
            f"**{failure.code}**: {_line(failure.message, 400)}",
            "",
            *_event(given.envelope.source, given.envelope.type, given.envelope.id, spec.trigger),
            f"- target: {_line(spec.action.target)}",
            f"- next attempt: {rfc3339(now + wait)} (after {_rough(wait)}); later ones are under *Pending Activities*",
            f"- gives up: after {spec.retry.max_attempts} attempts or {_rough(spec.retry.give_up_after)}",
            "",
            "Nothing needs to be done. To stop trying and make it a dead letter:",
            _code(f"temporal workflow cancel --workflow-id {_quote(workflow_id)}"),
        )
    )


def waiting(given: DeliveryInput, reason: str, until: datetime | None) -> str:
    """Say what a delivery waits for."""
    spec = given.spec
    return "\n".join(
        (
            "### Waiting",
            _line(reason, 400),
            "",
            *_event(given.envelope.source, given.envelope.type, given.envelope.id, spec.trigger),
            f"- target: {_line(spec.action.target)}",
            *((f"- looks again: {rfc3339(until)}",) if until is not None else ()),
        )
    )


def queue(trigger: str, key: str, what: str, line: Sequence[str]) -> str:
    """Say what a queue does and who waits in it, the first one first."""
    more = (f"- and {len(line) - ROWS} more",) if len(line) > ROWS else ()
    return "\n".join(
        (
            f"### {len(line)} waiting",
            _line(what, 400),
            "",
            f"- trigger: {_line(trigger)}",
            f"- key: {_line(key)}",
            *(f"- `{_line(one)}`" for one in line[:ROWS]),
            *more,
        )
    )


def waiting_for_child(given: DeliveryInput, seen: InspectChildResult, *, child: str, now: datetime) -> str:
    """Say why a supervised run has not begun."""
    action = given.spec.action
    queue = action.task_queue if action.kind == "workflow" else ""
    limit = action.start_within if action.kind == "workflow" else timedelta(0)
    if seen.failing_attempts:
        why = f"its first workflow task failed {seen.failing_attempts} times: {_line(seen.cause, 400)}"
    else:
        why = f"no worker has taken it from the task queue `{queue}`"
    return "\n".join(
        (
            "### Waiting: the workflow has not begun",
            why,
            "",
            *_event(given.envelope.source, given.envelope.type, given.envelope.id, given.spec.trigger),
            f"- run: `{child}`",
            f"- looked at: {rfc3339(now)}; it has waited {_rough(seen.age)} of at most {_rough(limit)}",
            "",
            "Start (or mend) the worker that polls this task queue. To see who polls it:",
            _code(f"temporal task-queue describe --task-queue {_quote(queue)}"),
        )
    )


def dead_lettered(record: DeadLetterRecord) -> str:
    """Say that a run ended as a dead letter, and how to go on."""
    case = record.redrive.case if record.redrive else ids.case_id(record.id)
    return "\n".join(
        (
            f"### Dead letter: {record.code}",
            _line(record.message, 600),
            "",
            *_event(record.source, record.event_type, record.event_id, record.trigger),
            f"- case: `{case}`",
            "",
            *_attempts(record.attempts, record.attempt_count),
            *_commands(case, record.id),
        )
    )


def case(view: CaseView) -> str:
    """Show a whole case."""
    record = view.record
    lines = [
        f"### {view.state.upper()}: {record.code}",
        _line(record.message, 600),
        "",
        *_event(record.source, record.event_type, record.event_id, record.trigger),
        f"- failed: {rfc3339(record.at)}, stage {record.stage}" + (f", run `{record.run_id}`" if record.run_id else ""),
    ]
    if record.workflow_id:
        lines.append(f"- delivery: `{_line(record.workflow_id, 400)}`")
    if record.spec is not None:
        lines.append(f"- target: {_line(record.spec.action.target)}")
    if record.stream is not None:
        lines.append(f"- message: {record.stream} #{record.sequence}")
    lines += ["", *_attempts(record.attempts, record.attempt_count)]
    if view.redrives:
        lines += [f"Redrives: {', '.join(f'`{_line(one, 300)}`' for one in view.redrives[-5:])}", ""]
    if view.failures:
        lines += ["Failed redrives:", "", *_log(view.failures), ""]
    if view.history:
        lines += ["What was done:", ""]
        lines += [
            f"- {rfc3339(one.at)} **{one.move}** by {_line(one.by)}" + (f": {_line(one.note)}" if one.note else "")
            for one in view.history[-ROWS:]
        ]
        lines.append("")
    if view.state in {CaseState.OPEN, CaseState.ACKNOWLEDGED}:
        lines += _commands(view.id, record.id)
    elif view.state is CaseState.REDRIVING:
        lines.append("The redrive is under way; this case is resolved when it delivers, and opens again if it fails.")
    return "\n".join(lines)


def failure_line(record: DeadLetterRecord) -> str:
    """One line for the failure of a run: what the UI shows in red."""
    tried = f" after {record.attempt_count} attempt{'s' * (record.attempt_count != 1)}" if record.attempt_count else ""
    target = f"; {record.spec.action.target}" if record.spec else ""
    return bounded(f"{record.code}{tried}: {_line(record.message, 600)}{_line(target, 200)}")


def _event(source: str, kind: str, event_id: str, trigger: str) -> list[str]:
    pairs = (("source", source), ("type", kind), ("event", event_id), ("trigger", trigger))
    return [f"- {name}: `{_line(value, 256)}`" for name, value in pairs if value]


def _attempts(attempts: Sequence[Attempt], count: int) -> list[str]:
    if not attempts:
        return []
    shown = f" (showing {min(len(attempts), ROWS)})" if count > min(len(attempts), ROWS) else ""
    return [f"{count} attempt{'s' * (count != 1)}{shown}:", "", *_log(attempts), ""]


def _log(attempts: Sequence[Attempt]) -> list[str]:
    # a list, not a table: the UI draws tables without space between their cells
    return [f"- **{one.number}** {rfc3339(one.at)} `{one.code}` {_line(one.message)}" for one in attempts[-ROWS:]]


def _commands(case_id: str, dead_letter_id: str) -> list[str]:
    update = f"temporal workflow update execute --workflow-id {_quote(case_id)}"
    return [
        "What can be done, once the cause is mended:",
        _code(
            f"holdfast dead-letters redrive {_quote(dead_letter_id)}",
            f"""{update} --name {names.REDRIVE} --input '{{"by": "you", "reason": "mended"}}'""",
            f"""{update} --name {names.ACKNOWLEDGE} --input '{{"by": "you", "note": "looking"}}'""",
            f"""{update} --name {names.DISCARD} --input '{{"by": "you", "reason": "not needed"}}'""",
        ),
    ]


def _code(*lines: str) -> str:
    return "\n".join(("```sh", *lines, "```"))


def _quote(value: str) -> str:
    """Quote for a shell: ids may hold anything, and people paste this."""
    return "'" + value.replace("'", "'\\''") + "'"


def _line(text: str, limit: int = CELL) -> str:
    """Put `text` on one line that breaks neither a table nor the markdown around it."""
    flat = " ".join(text.split())
    return bounded(flat.replace("|", "\\|").replace("`", "'").replace("<", "&lt;"), limit)


def _rough(value: timedelta) -> str:
    """Show a duration to the second, or exactly where it is shorter."""
    return format_duration(value if value < timedelta(seconds=10) else timedelta(seconds=round(value.total_seconds())))
