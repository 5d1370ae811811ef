"""Why a trigger took an event or not: every clause looked at by itself, with the values it saw.

For people, before a trigger is live: the dispatcher decides with `matching`, and so does this; only the reasons are
worked out here. Flow: `holdfast triggers test` → **explain**.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from holdfast.domain import macros, patterns
from holdfast.domain.actions import Action
from holdfast.domain.events import Envelope
from holdfast.domain.expressions import EVENT, MAX_GENERATED, Absent, Bound, Failed, Found
from holdfast.domain.matching import CompiledTrigger, Matched, Passed, Undecidable, see
from holdfast.errors import ErrorCode, PermanentFailure, RejectedInput

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
class Explanation:
    """One trigger and one event: `outcome` is matched, passed or error; `decided_by` what made it so."""

    trigger: str
    outcome: str
    steps: tuple[Step, ...]
    decided_by: Step | None
    action: Action | None = None
    code: ErrorCode | None = None
    message: str = ""


def explain(trigger: CompiledTrigger, envelope: Envelope) -> Explanation:
    """Decide as the dispatcher does, and say why."""
    listens = trigger.listens(envelope.source)
    seen = {"event.source": envelope.source}
    on = Step("on", ", ".join(trigger.config.on), "true" if listens else "false", seen)
    if not listens:
        return Explanation(trigger.name, "passed", (on,), on, message="listens to other sources")
    seen_event = see(envelope, _ELSEWHERE if envelope.body_ref is not None else None, trigger.needs)
    bound = seen_event.bound
    steps = (on, *_steps(trigger, envelope, bound))
    failing = [step for step in steps if step.outcome != "true"]
    match trigger.verdict(seen_event):
        case Matched(spec):
            return Explanation(trigger.name, "matched", steps, None, spec.action)
        case Passed(_, reason):
            first = next((step for step in failing if step.outcome != "error"), None)
            return Explanation(trigger.name, "passed", steps, first, message=reason)
        case Undecidable(code=code, reason=reason):
            wrong = next((step for step in failing if step.outcome == "error"), None)
            return Explanation(trigger.name, "error", steps, wrong, code=code, message=reason)


def _steps(trigger: CompiledTrigger, envelope: Envelope, bound: Bound) -> Iterator[Step]:
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
