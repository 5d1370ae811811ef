"""Why a trigger took an event or not: every clause looked at by itself, with the values it saw.

For people, before a trigger is live: the dispatcher decides with `matching`, and so does this; only the reasons are
worked out here. Flow: `holdfast triggers test` → **explain**.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from holdfast.domain import macros, patterns
from holdfast.domain.actions import Action
from holdfast.domain.events import Envelope
from holdfast.domain.expressions import EVENT, MAX_GENERATED, Absent, Bound, Failed, Found
from holdfast.domain.join_matching import BadKeyError, CompiledPart, key_text
from holdfast.domain.matching import CompiledJoin, CompiledTrigger, Joined, Matched, Passed, Undecidable, see
from holdfast.errors import Defect, ErrorCode, PermanentFailure, RejectedInput

_FIELD = re.compile(
    r"(?<![\w.\"'])event(?:\s*(?:\.\s*\??[A-Za-z_]\w*\b(?!\s*\()|\[\s*(?:\"[^\"]*\"|'[^']*'|\d+)\s*\]))+"
)


_ELSEWHERE = PermanentFailure(
    ErrorCode.BODY_MISSING, "the body lies on the bus, apart from this record: give the event with its body"
)


@dataclass(frozen=True, slots=True)
class Step:
    """One condition: its clause (`on`, `during`, `match`, `when`), what it says, and what came of it.

    `outcome` is true, false, absent or error; `seen` the values of the event that it names.
    """

    clause: str
    condition: str
    outcome: str
    seen: dict[str, Any] = field(default_factory=dict)
    detail: str = ""
    cel: str | None = None

    def show(self) -> str:
        """One line for people."""
        values = ", ".join(f"{name} is {_short(value)}" for name, value in self.seen.items())
        tail = "; ".join(text for text in (values, self.detail) if text)
        return f"{self.clause}: {self.condition} → {self.outcome}" + (f" ({tail})" if tail else "")


@dataclass(frozen=True, slots=True)
class JoinedAs:
    """One name of a join that takes the event, and the key it is joined by."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """One trigger and one event: `outcome` is matched, passed or error; `decided_by` what made it so."""

    trigger: str
    outcome: str
    steps: tuple[Step, ...]
    decided_by: Step | None
    action: Action | None = None
    code: ErrorCode | None = None
    message: str = ""
    joined: tuple[JoinedAs, ...] = ()  # of a join: the names that take it


def explain(trigger: CompiledTrigger | CompiledJoin, envelope: Envelope) -> Explanation:
    """Decide as the dispatcher does, and say why."""
    if isinstance(trigger, CompiledJoin):
        return _explain_join(trigger, envelope)
    listens = trigger.listens(envelope.source)
    seen = {"event.source": envelope.source}
    on = Step("on", ", ".join(trigger.config.on), "true" if listens else "false", seen)
    if not listens:
        return Explanation(trigger.name, "passed", (on,), on, message="listens to other sources")
    seen_event = see(envelope, _ELSEWHERE if envelope.body_ref is not None else None, trigger.needs)
    bound = seen_event.bound
    steps = (on, *_steps(trigger, envelope, bound))
    failing = [step for step in steps if step.outcome != "true"]
    verdict = trigger.verdict(seen_event)
    match verdict:
        case Matched(spec):
            return Explanation(trigger.name, "matched", steps, None, spec.action)
        case Passed(_, reason):
            first = next((step for step in failing if step.outcome != "error"), None)
            return Explanation(trigger.name, "passed", steps, first, message=reason)
        case Undecidable(code=code, reason=reason):
            wrong = next((step for step in failing if step.outcome == "error"), None)
            return Explanation(trigger.name, "error", steps, wrong, code=code, message=reason)
        case Joined():
            raise Defect(ErrorCode.DEFECT, f"trigger {trigger.name} is no join")


def _explain_join(trigger: CompiledJoin, envelope: Envelope) -> Explanation:
    """Say under which names the event comes, with which key, and why not under the others."""
    body = _ELSEWHERE if envelope.body_ref is not None else None
    seen_event = see(envelope, body, trigger.needs)
    steps: list[Step] = []
    for part in trigger.parts:
        listens = part.filter.listens(envelope.source)
        seen = {"event.source": envelope.source}
        steps.append(Step(f"{part.name}.on", ", ".join(part.config.on), "true" if listens else "false", seen))
        if listens:
            clauses = (*_steps(part, envelope, seen_event.bound), _key_step(part, seen_event.bound))
            steps += [replace(step, clause=f"{part.name}.{step.clause}") for step in clauses]
    failing = [step for step in steps if step.outcome != "true"]
    verdicts = trigger.verdicts(seen_event) if trigger.listens(envelope.source) else ()
    joined = tuple(JoinedAs(verdict.name, verdict.key) for verdict in verdicts if isinstance(verdict, Joined))
    wrong = next((verdict for verdict in verdicts if isinstance(verdict, Undecidable)), None)
    if wrong is not None:
        first = next((step for step in failing if step.outcome == "error"), None)
        return Explanation(
            trigger.name, "error", tuple(steps), first, code=wrong.code, message=wrong.reason, joined=joined
        )
    if joined:
        return Explanation(trigger.name, "matched", tuple(steps), None, joined=joined)
    reason = next((verdict.reason for verdict in verdicts if isinstance(verdict, Passed)), "listens to other sources")
    first = next((step for step in failing if step.outcome != "error" and not step.clause.endswith(".on")), None)
    return Explanation(trigger.name, "passed", tuple(steps), first or next(iter(failing), None), message=reason)


def _key_step(part: CompiledPart, bound: Bound) -> Step:
    """Show the key as one more condition: that there is one."""
    condition, seen = part.config.key, _values(_fields(part.config.key), bound)
    match part.key.evaluate(bound):
        case Absent(reason):
            return Step("key", condition, "absent", seen, reason)
        case Failed(reason):
            return Step("key", condition, "error", seen, reason)
        case Found(value):
            try:
                return Step("key", condition, "true", seen, f"the key is {key_text(value)!r}")
            except BadKeyError as error:
                return Step("key", condition, "error", seen, str(error))


def _steps(trigger: CompiledTrigger | CompiledPart, envelope: Envelope, bound: Bound) -> Iterator[Step]:
    config = trigger.config
    if config.during:
        hit = any(window.contains(getattr(envelope, window.of)) for window in config.during)
        seen = {f"event.{window.of}": getattr(envelope, window.of).isoformat() for window in config.during}
        yield Step("during", " or ".join(w.show() for w in config.during), "true" if hit else "false", seen)
    if config.match is not None:
        outcomes = set()
        for clause in patterns.clauses(config.match):
            outcome, detail = _outcome(clause.cel, bound)
            outcomes.add(outcome)
            names = [] if patterns.OR in clause.path else [_cel_path(clause.path)]
            yield Step("match", f"{clause.path}: {clause.pattern}", outcome, _values(names, bound), detail, clause.cel)
        whole = patterns.compile_pattern(config.match)
        outcome, detail = _outcome(whole, bound)
        if outcomes == {"true"} and outcome != "true":  # several fields, and no one object of a list has them all
            yield Step("match", "all fields in one object", outcome, {}, detail, whole)
    if config.when is not None:
        for part in conjuncts(config.when):
            outcome, detail = _outcome(part, bound)
            yield Step("when", part, outcome, _values(_fields(part), bound), detail)


def conjuncts(source: str) -> list[str]:
    """Split `a && b && c`; an expression that is anything else on its top level stays whole."""
    text = source.strip()
    while text.startswith("(") and macros.split_top(text, 1, "\x00")[1] == len(text) - 1:
        text = text[1:-1].strip()
    for other in ("||", "?"):
        if len(macros.split_top(text, 0, other)[0]) > 1:
            return [text]
    parts, end = macros.split_top(text, 0, "&&")
    if end < len(text) or len(parts) == 1:
        return [text]
    return [inner for part in parts for inner in conjuncts(part)]


def _outcome(source: str, bound: Bound) -> tuple[str, str]:
    try:
        result = EVENT.compile(source, limit=MAX_GENERATED).evaluate(bound)
    except RejectedInput as error:
        return "error", error.message
    match result:
        case Found(True):
            return "true", ""
        case Found(False):
            return "false", ""
        case Found(value):
            return "error", f"gave {type(value).__name__}, not true or false"
        case Absent(reason):
            return "absent", reason
        case Failed(reason):
            return "error", reason


def _fields(source: str) -> list[str]:
    return list(dict.fromkeys(re.sub(r"\s|\?", "", found.group()) for found in _FIELD.finditer(source)))


def _values(names: list[str], bound: Bound) -> dict[str, Any]:
    """Return what each field is; `(absent)` where the event has none."""
    seen: dict[str, Any] = {}
    for name in names[:8]:
        try:
            result = EVENT.compile(name).evaluate(bound)
        except RejectedInput:
            continue
        seen[name] = result.value if isinstance(result, Found) else "(absent)"
    return seen


def _cel_path(path: str) -> str:
    parts = ("." + part if re.fullmatch(r"[A-Za-z_]\w*", part) else f'["{part}"]' for part in path.split("."))
    return "event" + "".join(parts)


def _short(value: Any) -> str:
    text = value if value == "(absent)" else repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
