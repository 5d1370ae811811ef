"""Mapping: what exactly an action would do for one event, every expression evaluated.

Flow: match → **map** → start. Plain CEL stands where a value is wanted (args, body, message), `${…}` in what is text.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from holdfast.domain import templates
from holdfast.domain.actions import (
    Action,
    ActivityAction,
    EmailAction,
    HttpAction,
    LogAction,
    MessageAction,
    NatsAction,
    SearchAttribute,
    SlackAction,
    StepPlan,
    StepsAction,
    WorkflowAction,
)
from holdfast.domain.expressions import EVENT, Bound, Expression, Language
from holdfast.domain.json_scan import Path
from holdfast.domain.mapped import MESSAGES, Mapped, Place, compile_one, mappings, of_action
from holdfast.domain.messages import SignalWithStartRun
from holdfast.domain.needs import needs
from holdfast.domain.notifiers import EmailNotifier
from holdfast.domain.people_runs import EmailRun, SlackRun
from holdfast.domain.runs import ActionConfig, RunConfig, StepConfig
from holdfast.domain.templates import MappingError, Template
from holdfast.errors import bounded

_EVENT = "event"
MAX_MESSAGE = 30_000  # characters; Slack takes 40,000
_SHAPES: dict[str, tuple[type, ...]] = {"keyword": (str,), "text": (str,), "bool": (bool,), "int": (int,)}


class CompiledRun:
    """One action's mappings, compiled."""

    def __init__(self, run: ActionConfig, language: Language = EVENT) -> None:
        """Compile. Raises RejectedInput `config.invalid`."""
        self._run = run
        self._compiled = {one.place: compile_one(one) for one in of_action(run, language) if one.language is language}
        if isinstance(run, RunConfig):
            for one in mappings(run, language):
                compile_one(one)

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
        if run.slack is not None:
            return self._slack(run.slack, bound)
        if run.email is not None:
            return self._email(run.email, bound)
        if run.activity is not None:
            return self._activity(bound, plain)
        for kind in MESSAGES:
            if getattr(run, kind) is not None:
                return self._message(kind, bound, plain)
        if isinstance(run, RunConfig) and run.steps is not None:
            return StepsAction(steps=tuple(_plan(step) for step in run.steps))
        return WorkflowAction(
            workflow=run.workflow or "",
            task_queue=run.task_queue or "",
            args=tuple(self._value(("args", n), bound, plain) for n in range(len(run.args or (_EVENT,)))),
            timeout=run.timeout,
            start_within=run.start_within,
            id=None if run.id is None else templates.workflow_id(self._template("id"), bound),
            search_attributes=tuple(self._attributes(bound)),
            detached=run.detached,
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
            options=http.options,
            guarded=self._template("http", "url").whole is not None,
        )

    def _slack(self, slack: SlackRun, bound: Bound) -> SlackAction:
        channel = self._template("slack", "channel").render(bound) if slack.channel is not None else None
        text = self._template("slack", "text").render(bound, _mrkdwn)
        return SlackAction(url=slack.url, token=slack.token, channel=channel, text=text[:MAX_MESSAGE], api=slack.api)

    def _email(self, email: EmailRun, bound: Bound) -> EmailAction:
        to = [self._template("email", "to", number).render(bound) for number in range(len(email.to))]
        try:
            settings = EmailNotifier.model_validate({**email.server, "to": to})
        except ValidationError:
            raise MappingError("email.to: a value is no address") from None
        subject = " ".join(self._template("email", "subject").render(bound).split())
        if not subject.isprintable():
            raise MappingError("email.subject: has control characters")
        return EmailAction(
            settings=settings, subject=bounded(subject, 500), text=self._template("email", "text").render(bound)
        )

    def _message(self, kind: str, bound: Bound, plain: Any) -> MessageAction:
        run: Any = getattr(self._run, kind)
        starts = isinstance(run, SignalWithStartRun)
        given: dict[str, Any] = {"within": run.within} if hasattr(run, "within") else {}
        if starts:
            given |= {"workflow": run.workflow, "task_queue": run.task_queue, "timeout": run.timeout}
            given["start_args"] = tuple(
                self._value((kind, "start_args", n), bound, plain) for n in range(len(run.start_args))
            )
        else:
            given["when_missing"] = run.when_missing
        count = 1 if run.args is None else len(run.args)
        return MessageAction(
            how="update" if kind.startswith("update") else "signal",
            workflow_id=templates.workflow_id(self._template(kind, "workflow_id"), bound),
            name=run.name,
            args=tuple(self._value((kind, "args", n), bound, plain) for n in range(count)),
            **given,
        )

    def _activity(self, bound: Bound, plain: Any) -> ActivityAction:
        activity = self._run.activity
        assert activity is not None  # noqa: S101 - the caller looked

        def filled(value: Any, place: Place) -> Any:
            if isinstance(value, str):
                return self._value(place, bound, plain)
            if isinstance(value, dict):
                return {str(key): filled(item, (*place, str(key))) for key, item in value.items()}
            if isinstance(value, list | tuple):
                return [filled(item, (*place, number)) for number, item in enumerate(value)]
            return value

        return ActivityAction(
            name=activity.name, args=filled(activity.args, ("activity", "args")), timeout=activity.timeout
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


def _mrkdwn(value: str) -> str:
    """Escape what Slack reads as markup, so that no event can mention a channel or make a link."""
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plan(step: StepConfig) -> StepPlan:
    own = {name: getattr(step, name) for name in ActionConfig.model_fields if name in step.model_fields_set}
    return StepPlan(name=step.name, run=ActionConfig(**own), compensate=step.compensate)


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
