"""What there is to compute in an action: every mapping with its place, its kind and the language it is written in.

`holdfast check` compiles them one by one, to name the line; `mapping.py` compiles them together, to evaluate them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from holdfast.domain import templates
from holdfast.domain.expressions import COMPENSATION, EVENT, RESPONSE, STEP, Expression, Language
from holdfast.domain.messages import SignalRun, SignalWithStartRun
from holdfast.domain.runs import ActionConfig, HttpRun, RunConfig
from holdfast.domain.secretrefs import is_reference
from holdfast.domain.templates import Template
from holdfast.errors import ErrorCode, RejectedInput

Place = tuple[int | str, ...]
MESSAGES = ("signal", "signal_with_start", "update", "update_with_start")
_EVENT = "event"
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STEP_NAME = re.compile(r"(?<![\w.])steps\s*\.\s*([A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class Mapped:
    """One thing to compute: where it stands in `run`, its kind, its text."""

    place: Place
    kind: str  # cel, truth, text, value, url, header, subject, id, target_id
    source: str
    language: Language = EVENT
    steps: tuple[str, ...] | None = None  # those whose results it may read; None: it is in no step


def mappings(run: RunConfig, language: Language = EVENT) -> Iterator[Mapped]:
    """Every mapping of an action, in order, those of its steps too."""
    yield from of_action(run, language)
    done: list[str] = []
    for number, step in enumerate(run.steps or ()):
        place: Place = ("steps", number)
        for one in of_action(step, STEP):
            yield replace(one, place=(*place, *one.place), steps=tuple(done))
        done.append(step.name)
        if step.compensate is not None:
            for one in of_action(step.compensate, COMPENSATION):
                # what comes later may have run when this is undone, or not: it cannot be relied on
                yield replace(one, place=(*place, "compensate", *one.place), steps=tuple(done))


def of_action(run: ActionConfig, language: Language = EVENT) -> Iterator[Mapped]:  # noqa: C901 - one step per kind
    """Every mapping of one action, in order."""
    if run.http is not None:
        yield from _of_http(run.http, language)
    if run.nats is not None:
        yield Mapped(("nats", "subject"), "subject", run.nats.subject, language)
        if run.nats.body is not None:
            yield Mapped(("nats", "body"), "cel", run.nats.body, language)
    if run.log is not None:
        yield Mapped(("log", "message"), "cel", run.log.message, language)
    if run.slack is not None:
        if run.slack.channel is not None:
            yield Mapped(("slack", "channel"), "text", run.slack.channel, language)
        yield Mapped(("slack", "text"), "text", run.slack.text, language)
    if run.email is not None:
        for number, address in enumerate(run.email.to):
            yield Mapped(("email", "to", number), "text", address, language)
        yield Mapped(("email", "subject"), "text", run.email.subject, language)
        yield Mapped(("email", "text"), "text", run.email.text, language)
    if run.activity is not None:
        yield from _nested(run.activity.args, ("activity", "args"), language)
    for kind in MESSAGES:
        message: SignalRun | SignalWithStartRun | None = getattr(run, kind)
        if message is not None:
            yield from _of_message(message, kind, language)
    if run.workflow is not None:
        yield from _of_workflow(run, language)


def compile_one(mapped: Mapped) -> Expression | Template:
    """Compile one mapping and check what can be known of its type. Raises RejectedInput `config.invalid`."""
    language = mapped.language
    if mapped.steps is not None:
        _look_back(mapped.source, mapped.steps)
    match mapped.kind:
        case "cel" | "truth" as kind:
            return _typed(language.compile(mapped.source), kind)
        case "url":
            return templates.parse_url(mapped.source, language)
        case "subject":
            return templates.parse_subject(mapped.source, language)
        case "value":
            return templates.parse(mapped.source, language)
        case "header" if not _HEADER.fullmatch(str(mapped.place[-1])):
            raise RejectedInput(ErrorCode.CONFIG_INVALID, "is no name of a header")
    template = templates.parse_text(mapped.source, language)
    if mapped.kind == "header" and re.search(r"[\x00-\x1f\x7f]", template.literal()):
        raise RejectedInput(ErrorCode.CONFIG_INVALID, "a header has no line breaks or control characters")
    if mapped.kind == "id" and ("/" in template.literal() or template.is_literal):
        raise RejectedInput(
            ErrorCode.CONFIG_INVALID, "needs a ${…}, or all runs would have one id, and no / outside of it"
        )
    return template


def _look_back(source: str, earlier: tuple[str, ...]) -> None:
    for name in _STEP_NAME.findall(source):
        if name not in earlier:
            known = ", ".join(earlier) or "none, it is the first"
            raise RejectedInput(ErrorCode.CONFIG_INVALID, f"steps.{name}: no step before this one; there are: {known}")


def _typed(expression: Expression, kind: str) -> Expression:
    if kind == "truth" and expression.returns not in {"BOOL", "STRING", "DYN"}:
        raise RejectedInput(ErrorCode.CONFIG_INVALID, f"is {expression.returns.lower()}, it must be true or false")
    return expression


def _of_http(http: HttpRun, language: Language) -> Iterator[Mapped]:
    yield Mapped(("http", "url"), "url", http.url, language)
    for name, value in http.headers.items():
        if not is_reference(value):
            yield Mapped(("http", "headers", name), "header", value, language)
    if http.body is not None:
        yield Mapped(("http", "body"), "cel", http.body, language)
    if http.success is not None:
        yield Mapped(("http", "success"), "truth", http.success, RESPONSE)
    if http.result is not None:
        yield Mapped(("http", "result"), "cel", http.result, RESPONSE)


def _of_message(run: SignalRun | SignalWithStartRun, kind: str, language: Language) -> Iterator[Mapped]:
    yield Mapped((kind, "workflow_id"), "target_id", run.workflow_id, language)
    for number, source in enumerate((_EVENT,) if run.args is None else run.args):
        yield Mapped((kind, "args", number), "cel", source, language)
    for number, source in enumerate(run.start_args if isinstance(run, SignalWithStartRun) else ()):
        yield Mapped((kind, "start_args", number), "cel", source, language)


def _of_workflow(run: ActionConfig, language: Language) -> Iterator[Mapped]:
    for number, source in enumerate(run.args or (_EVENT,)):
        yield Mapped(("args", number), "cel", source, language)
    if run.id is not None:
        yield Mapped(("id",), "id", run.id, language)
    for name, attribute in run.search_attributes.items():
        yield Mapped(("search_attributes", name), "value", attribute.value, language)


def _nested(value: Any, place: Place, language: Language) -> Iterator[Mapped]:
    """Every text in a structure is an expression."""
    if isinstance(value, str):
        yield Mapped(place, "cel", value, language)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _nested(item, (*place, str(key)), language)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _nested(item, (*place, number), language)
