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
from holdfast.contracts.join import JoinView
from holdfast.contracts.moves import RedriveLine
from holdfast.domain.deadletters import WAITING, CaseState
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
        *_next(view),
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
    if record.trace_id:
        lines.append(f"- trace: `{record.trace_id}`")
    lines += ["", *_attempts(record.attempts, record.attempt_count)]
    if view.redrive_log:
        lines += ["Redrives:", "", *(_redrive(line, record.trigger) for line in view.redrive_log[-ROWS // 2 :]), ""]
    elif view.failures:
        lines += ["Failed redrives:", "", *_log(view.failures), ""]
    if view.history:
        older = view.history_omitted + max(0, len(view.history) - ROWS)
        lines += [f"What was done ({older} older entries are not shown):" if older else "What was done:", ""]
        lines += [
            f"- {rfc3339(one.at)} **{one.move}** by {_line(one.by)}" + (f": {_line(one.note)}" if one.note else "")
            for one in view.history[-ROWS:]
        ]
        lines.append("")
    if view.state in WAITING:
        lines += _commands(view.id, record.id)
    return "\n".join(lines)


def join(view: JoinView) -> str:
    """Say what has come, what is awaited and until when; and how the windows before ended."""
    lines = [f"### Join `{_line(view.trigger)}`, key `{_line(view.key)}`: {view.standing or 'no window is open'}"]
    if view.opened_at is not None and view.ends_at is not None:
        lines += [f"- condition: `{_line(view.condition, 400)}`"]
        lines += [f"- **{name}** came: `{_line(event, 256)}`" for name, event in view.came.items()]
        lines += [f"- {name}: awaited" for name in view.awaited]
        lines += [f"- {name}: has not come, and would rule it out" for name in view.watched]
        lines += [f"- open since {rfc3339(view.opened_at)}, until {rfc3339(view.ends_at)}; {view.taken} events taken"]
    for one in view.ended[-ROWS:]:
        what = one.delivery or one.dead_letter
        text = f"- {rfc3339(one.closed_at)} **{one.outcome}** with {', '.join(one.came) or 'nothing'}"
        lines.append(
            text + (f": `{_line(what, 256)}`" if what else "") + (f" {_line(one.message)}" if one.code else "")
        )
    return "\n".join(lines)


def _next(view: CaseView) -> list[str]:
    """Say in one line who has it, and what happens by itself next."""
    who = f"**{_line(view.assignee)}** has it. " if view.assignee else ""
    if view.state is CaseState.REDRIVING:
        return [f"{who}A redrive is under way: resolved when it delivers, open again if it fails."]
    if view.state not in WAITING:
        return [f"{who}Nothing more can be done to it."]
    steps = []
    if view.snoozed_until is not None:
        steps.append(f"snoozed until {rfc3339(view.snoozed_until)}, then open again")
    elif view.expires_at is not None:
        steps.append(f"expires {rfc3339(view.expires_at)} if nobody handles it")
    if view.next_redrive_at is not None:
        steps.insert(0, f"**redriven by itself {rfc3339(view.next_redrive_at)}**")
    nobody = "" if view.assignee or view.state is not CaseState.OPEN else "Nobody has it yet. "
    return [f"{who}{nobody}Next: {'; '.join(steps) or 'somebody handles it'}."]


def _redrive(line: RedriveLine, trigger: str) -> str:
    """One redrive on one line: when, by whom, what was different, what came of it."""
    edited = f", edited body ({line.body_size} characters)" if line.body_size is not None else ""
    other = f", by trigger `{_line(line.trigger)}`" if line.trigger not in {"", trigger} else ""
    how = ", as recorded" if line.config == "recorded" else other
    why = f" `{line.code}`" if line.code else ""
    text = f": {_line(line.message)}" if line.message else ""
    where = f" `{_line(line.delivery, 200)}`" if line.delivery else ""
    return (
        f"- **{line.number}** {rfc3339(line.at)} by {_line(line.by)}{how}{edited}: **{line.outcome}**{where}{why}{text}"
    )


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
    shown = attempts[-ROWS:]
    first = _unbroken(shown)
    kept = f" (the first {first} and the last {len(shown) - first} are kept)" if count > len(shown) else ""
    return [f"{count} attempt{'s' * (count != 1)}{kept}:", "", *_log(shown), ""]


def _unbroken(attempts: Sequence[Attempt]) -> int:
    """How many from the beginning follow one another."""
    return next((i for i, one in enumerate(attempts) if one.number != attempts[0].number + i), 0)


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
            f"""{update} --name {names.SNOOZE} --input '{{"by": "you", "for": "2h"}}'""",
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
