"""Mapping: what exactly an action would do for one event, every expression evaluated.

Flow: match → **map** → start. Plain CEL stands where a value is wanted (args, body, message), `${…}` in what is text.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.domain import templates
from holdfast.domain.actions import Action, HttpAction, LogAction, NatsAction, SearchAttribute, WorkflowAction
from holdfast.domain.expressions import EVENT, Bound, Expression, Language
from holdfast.domain.json_scan import Path
from holdfast.domain.needs import needs
from holdfast.domain.secretrefs import is_reference
from holdfast.domain.templates import MappingError, Template
from holdfast.domain.triggers import RunConfig
from holdfast.errors import ErrorCode, RejectedInput

Place = tuple[int | str, ...]
_EVENT = "event"
_SHAPES: dict[str, tuple[type, ...]] = {"keyword": (str,), "text": (str,), "bool": (bool,), "int": (int,)}
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class Mapped:
    """One thing to compute: where it stands in `run`, its kind, its text."""

    place: Place
    kind: str  # cel, text, url, header, subject, id
    source: str


class CompiledRun:
    """One action's mappings, compiled."""

    def __init__(self, run: RunConfig, language: Language = EVENT) -> None:
        """Compile. Raises RejectedInput `config.invalid`."""
        self._run = run
        self._compiled = {one.place: compile_one(one, language) for one in mappings(run)}

    @property
    def needs(self) -> frozenset[Path]:
        """What the mappings read of `event.data`; of a large body, `event` by itself takes the reference."""
        return needs(source for source in self.expressions if source.strip() != _EVENT)

    @property
    def expressions(self) -> tuple[str, ...]:
        """The text of every expression."""
        found: list[str] = []
        for one in self._compiled.values():
            parts = one.parts if isinstance(one, Template) else (one,)
            found += [part.source for part in parts if isinstance(part, Expression)]
        return tuple(found)

    def action(self, bound: Bound, plain: Any = None) -> Action:
        """Resolve the action for one bound event. Raises MappingError.

        `plain` is what `event` by itself is where its body lies elsewhere.
        """
        run = self._run
        if run.http is not None:
            return self._http(bound, plain)
        if run.nats is not None:
            subject = templates.subject(self._template("nats", "subject"), bound)
            return NatsAction(subject=subject, body=self._body("nats", bound, plain))
        if run.log is not None:
            message = self._value(("log", "message"), bound, plain)
            return LogAction(message=message if isinstance(message, str) else _json(message), level=run.log.level)
        return WorkflowAction(
            workflow=run.workflow or "",
            task_queue=run.task_queue or "",
            args=tuple(self._value(("args", n), bound, plain) for n in range(len(run.args or (_EVENT,)))),
            timeout=run.timeout,
            start_within=run.start_within,
            id=None if run.id is None else templates.workflow_id(self._template("id"), bound),
            search_attributes=tuple(self._attributes(bound)),
        )

    def _http(self, bound: Bound, plain: Any) -> HttpAction:
        http = self._run.http
        assert http is not None  # noqa: S101 - the caller looked
        mapped = {
            name: templates.header(self._template("http", "headers", name), bound, name)
            for name in http.headers
            if ("http", "headers", name) in self._compiled
        }
        return HttpAction(
            url=templates.url(self._template("http", "url"), bound),
            method=http.method,
            headers={name: value for name, value in http.headers.items() if name not in mapped},
            mapped_headers=mapped,
            body=self._body("http", bound, plain),
            timeout=http.timeout,
        )

    def _attributes(self, bound: Bound) -> Iterator[SearchAttribute]:
        for name, attribute in self._run.search_attributes.items():
            template = self._template("search_attributes", name)
            whole = template.whole
            value = template.render(bound) if whole is None else templates.evaluate(whole, bound)
            yield SearchAttribute(name=name, type=attribute.type, value=_shaped(name, attribute.type, value))

    def _body(self, kind: str, bound: Bound, plain: Any) -> str | None:
        return _json(self._value((kind, "body"), bound, plain)) if (kind, "body") in self._compiled else None

    def _value(self, place: Place, bound: Bound, plain: Any = None) -> Any:
        expression = self._compiled[place]
        assert isinstance(expression, Expression)  # noqa: S101 - by its kind
        if plain is not None and expression.source.strip() == _EVENT:
            return plain
        return templates.evaluate(expression, bound)

    def _template(self, *place: int | str) -> Template:
        template = self._compiled[place]
        assert isinstance(template, Template)  # noqa: S101 - by its kind
        return template


def mappings(run: RunConfig) -> Iterator[Mapped]:  # noqa: C901 - one step per field
    """Every mapping of an action, in order."""
    if run.http is not None:
        yield Mapped(("http", "url"), "url", run.http.url)
        for name, value in run.http.headers.items():
            if not is_reference(value):
                yield Mapped(("http", "headers", name), "header", value)
        if run.http.body is not None:
            yield Mapped(("http", "body"), "cel", run.http.body)
    if run.nats is not None:
        yield Mapped(("nats", "subject"), "subject", run.nats.subject)
        if run.nats.body is not None:
            yield Mapped(("nats", "body"), "cel", run.nats.body)
    if run.log is not None:
        yield Mapped(("log", "message"), "cel", run.log.message)
    if run.workflow is not None:
        for number, source in enumerate(run.args or (_EVENT,)):
            yield Mapped(("args", number), "cel", source)
        if run.id is not None:
            yield Mapped(("id",), "id", run.id)
        for name, attribute in run.search_attributes.items():
            yield Mapped(("search_attributes", name), "value", attribute.value)


def compile_one(mapped: Mapped, language: Language = EVENT) -> Expression | Template:
    """Compile one mapping and check what can be known of its type. Raises RejectedInput `config.invalid`."""
    match mapped.kind:
        case "cel":
            return language.compile(mapped.source)
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


def _shaped(name: str, kind: str, value: Any) -> Any:
    """Bring a search attribute into its type. Raises MappingError."""
    if kind == "double" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind == "datetime" and isinstance(value, str):
        try:
            if datetime.fromisoformat(value).tzinfo is not None:
                return value
        except ValueError:
            pass
    if kind == "keyword_list" and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    if kind in {"keyword", "text"} and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, _SHAPES.get(kind, ())) and not (kind == "int" and isinstance(value, bool)):
        return value
    raise MappingError(f"search_attributes.{name}: gave a {type(value).__name__}, it is a {kind}")


def _json(value: Any) -> str:
    # CEL's maps have no order, so the keys are sorted: equal events give equal bytes
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


__all__ = ["CompiledRun", "Mapped", "MappingError", "compile_one", "mappings"]
