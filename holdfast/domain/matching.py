"""Deciding: which triggers take an event, and what exactly each would run.

Flow: consume → **match** → start. Pure: one event is bound once and evaluated against every trigger of its source.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.domain.actions import Action, DeliverySpec, HttpAction, LogAction, NatsAction, WorkflowAction
from holdfast.domain.deadletters import Stage
from holdfast.domain.events import Envelope
from holdfast.domain.expressions import EVENT, Absent, Bound, Failed, Found
from holdfast.domain.triggers import DeadLetterConfig, RunConfig, TriggerConfig
from holdfast.errors import ErrorCode, RejectedInput
from holdfast.ids import sha256_hex


@dataclass(frozen=True, slots=True)
class Matched:
    """The trigger takes the event."""

    spec: DeliverySpec


@dataclass(frozen=True, slots=True)
class Passed:
    """The trigger does not want the event."""

    trigger: str
    reason: str


@dataclass(frozen=True, slots=True)
class Undecidable:
    """The filter or a mapping could not be evaluated on this event: a dead letter of this trigger."""

    trigger: str
    trigger_hash: str
    code: ErrorCode
    reason: str
    dead_letter: DeadLetterConfig
    stage: Stage = Stage.FILTER


Verdict = Matched | Passed | Undecidable


class CompiledTrigger:
    """One trigger, its expressions compiled."""

    def __init__(self, name: str, config: TriggerConfig) -> None:
        """Compile. Raises RejectedInput `config.invalid` for an expression that cannot be right."""
        self.name = name
        self.config = config
        self.hash = trigger_hash(config)
        self._when = EVENT.compile(config.when) if config.when is not None else None
        if self._when is not None and self._when.returns not in {"BOOL", "DYN"}:
            raise RejectedInput(
                ErrorCode.CONFIG_INVALID, f"`when` is {self._when.returns.lower()}, it must be true or false"
            )
        self._mapped = {source: EVENT.compile(source) for source in expressions(config.run)}

    def verdict(self, bound: Bound, *, subject: str | None = None) -> Verdict:
        """Decide for one bound event; `subject` is the event's."""
        if self._when is not None:
            result = self._when.evaluate(bound)
            match result:
                case Absent(reason):
                    return Passed(self.name, reason)
                case Failed(reason):
                    return self._undecidable(ErrorCode.FILTER_FAILED, f"when: {reason}")
                case Found(value) if value is False:
                    return Passed(self.name, "the filter is false")
                case Found(value) if value is not True:
                    return self._undecidable(
                        ErrorCode.FILTER_FAILED, f"when: gave {type(value).__name__}, not true or false"
                    )
        return self.map(bound, subject=subject)

    def map(self, bound: Bound, *, subject: str | None = None) -> Matched | Undecidable:
        """Resolve the action for one bound event, without asking the filter; `subject` is the event's."""
        try:
            action = self._action(self.config.run, bound)
        except _MappingError as error:
            return self._undecidable(ErrorCode.MAPPING_FAILED, str(error))
        return Matched(
            DeliverySpec(
                trigger=self.name,
                trigger_hash=self.hash,
                action=action,
                retry=self.config.retry,
                dead_letter=self.config.dead_letter,
                key=subject if self.config.dead_letter.resolve_on_newer else None,
            )
        )

    def _undecidable(self, code: ErrorCode, reason: str) -> Undecidable:
        return Undecidable(self.name, self.hash, code, reason, self.config.dead_letter)

    def _action(self, run: RunConfig, bound: Bound) -> Action:
        if run.http is not None:
            http = run.http
            body = None if http.body is None else _json(self._value(http.body, bound))
            return HttpAction(url=http.url, method=http.method, headers=http.headers, body=body, timeout=http.timeout)
        if run.nats is not None:
            body = None if run.nats.body is None else _json(self._value(run.nats.body, bound))
            return NatsAction(subject=run.nats.subject, body=body)
        if run.log is not None:
            message = self._value(run.log.message, bound)
            return LogAction(message=message if isinstance(message, str) else _json(message), level=run.log.level)
        return WorkflowAction(
            workflow=run.workflow or "",
            task_queue=run.task_queue or "",
            args=tuple(self._value(source, bound) for source in run.args or ("event",)),
            timeout=run.timeout,
            start_within=run.start_within,
        )

    def _value(self, source: str, bound: Bound) -> Any:
        match self._mapped[source].evaluate(bound):
            case Found(value):
                return value
            case Absent(reason) | Failed(reason):
                raise _MappingError(f"{source}: {reason}")


class CompiledTriggers:
    """Every trigger of a configuration."""

    def __init__(self, triggers: Mapping[str, TriggerConfig]) -> None:
        """Compile all. Raises RejectedInput `config.invalid`; `holdfast check` names the place."""
        self._all = {name: CompiledTrigger(name, config) for name, config in triggers.items()}

    def get(self, name: str) -> CompiledTrigger | None:
        """Return the trigger of that name, if the configuration still has it."""
        return self._all.get(name)

    def decide(self, envelope: Envelope) -> tuple[Verdict, ...]:
        """Decide for every trigger that listens to the event's source, in the order of the configuration."""
        listening = [t for t in self._all.values() if envelope.source in t.config.on]
        if not listening:
            return ()
        bound = EVENT.bind(event=envelope.view())
        return tuple(trigger.verdict(bound, subject=envelope.subject) for trigger in listening)


class _MappingError(Exception):
    """An argument or a body could not be computed for this event."""


def expressions(run: RunConfig) -> tuple[str, ...]:
    """Return every mapping expression of an action, in order."""
    if run.http is not None:
        return (run.http.body,) if run.http.body is not None else ()
    if run.nats is not None:
        return (run.nats.body,) if run.nats.body is not None else ()
    if run.log is not None:
        return (run.log.message,)
    return run.args or ("event",)


def trigger_hash(config: TriggerConfig) -> str:
    """Sixteen hex digits that change when the trigger's configuration does."""
    canonical = json.dumps(config.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return sha256_hex(canonical.encode())[:16]


def _json(value: Any) -> str:
    # CEL's maps have no order, so the keys are sorted: equal events give equal bytes
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
