"""Deciding: which triggers take an event, and what exactly each would run.

Flow: consume → **match** → start. Pure: one event is bound once and evaluated against every trigger of its source.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from holdfast.domain.actions import DeliverySpec
from holdfast.domain.deadletters import Stage
from holdfast.domain.events import Data, Envelope
from holdfast.domain.expressions import EVENT, MAX_GENERATED, Absent, Bound, Failed, Found
from holdfast.domain.json_scan import Path
from holdfast.domain.large_bodies import data_of
from holdfast.domain.mapping import CompiledRun, MappingError
from holdfast.domain.needs import needs
from holdfast.domain.patterns import compile_pattern, data_paths
from holdfast.domain.pressure import Pressure
from holdfast.domain.resolve_pressure import CompiledPressure
from holdfast.domain.triggers import DeadLetterConfig, TriggerConfig
from holdfast.errors import ErrorCode, PermanentFailure, RejectedInput, bounded
from holdfast.ids import sha256_hex

MAX_SOURCES = 10_000  # names remembered with their triggers; a stray on the bus cannot grow this without end


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


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as expressions see it. `plain`: what `event` by itself is, where its body lies elsewhere."""

    envelope: Envelope
    bound: Bound
    plain: dict[str, Any] | None = None
    trouble: PermanentFailure | None = None  # why the body cannot be read


def see(envelope: Envelope, body: bytes | PermanentFailure | None, paths: frozenset[Path]) -> Seen:
    """Bind an event, once for all triggers; of a body that lies elsewhere, what stands at `paths`."""
    if envelope.body_ref is None:
        return Seen(envelope, EVENT.bind(event=envelope.view()))
    data = data_of(body, envelope.datacontenttype, paths) if isinstance(body, bytes) else Data()
    trouble = body if isinstance(body, PermanentFailure) else None
    return Seen(envelope, EVENT.bind(event=envelope.view(data)), envelope.view(), trouble)


class CompiledTrigger:
    """One trigger, its expressions compiled."""

    def __init__(self, name: str, config: TriggerConfig) -> None:
        """Compile. Raises RejectedInput `config.invalid` for an expression that cannot be right."""
        self.name = name
        self.config = config
        self.hash = trigger_hash(config)
        self._match = (
            EVENT.compile(compile_pattern(config.match), limit=MAX_GENERATED) if config.match is not None else None
        )
        self._when = EVENT.compile(config.when) if config.when is not None else None
        if self._when is not None and self._when.returns not in {"BOOL", "DYN"}:
            raise RejectedInput(
                ErrorCode.CONFIG_INVALID, f"`when` is {self._when.returns.lower()}, it must be true or false"
            )
        self._run = CompiledRun(config.run)
        self._pressure = CompiledPressure(config) if CompiledPressure.needed(config) else None
        texts = [text for text in (config.when, config.key, config.not_before) if text is not None]
        self.needs = needs(texts) | self._run.needs | data_paths(config.match or {})

    def listens(self, source: str) -> bool:
        """Whether events of a source are for this trigger."""
        return any(fnmatchcase(source, pattern) for pattern in self.config.on)

    def verdict(self, seen: Seen) -> Verdict:
        """Decide for one event: `during`, then `match`, then `when`; all must hold."""
        envelope = seen.envelope
        if self.config.during and not any(w.contains(getattr(envelope, w.of)) for w in self.config.during):
            return Passed(self.name, "during: outside of every window")
        if self.needs and seen.trouble is not None:
            return self._undecidable(seen.trouble.code, seen.trouble.message)
        for clause, expression in (("match", self._match), ("when", self._when)):
            if expression is None:
                continue
            match expression.evaluate(seen.bound):
                case Absent(reason):
                    return Passed(self.name, f"{clause}: {reason}")
                case Failed(reason):
                    return self._undecidable(ErrorCode.FILTER_FAILED, f"{clause}: {reason}")
                case Found(value) if value is False:
                    return Passed(self.name, f"{clause}: is false")
                case Found(value) if value is not True:
                    return self._undecidable(
                        ErrorCode.FILTER_FAILED, f"{clause}: gave {type(value).__name__}, not true or false"
                    )
        return self.map(seen)

    def map(self, seen: Seen) -> Matched | Undecidable:
        """Resolve the action for one bound event, without asking the filter."""
        if self._run.needs and seen.trouble is not None:
            return self._undecidable(seen.trouble.code, seen.trouble.message)
        try:
            action = self._run.action(seen.bound, seen.plain)
            pressure = self._pressure.resolve(seen.bound, seen.envelope) if self._pressure is not None else None
        except MappingError as error:
            return self._undecidable(ErrorCode.MAPPING_FAILED, bounded(str(error), 500))
        return Matched(
            DeliverySpec(
                trigger=self.name,
                trigger_hash=self.hash,
                action=action,
                retry=self.config.retry,
                dead_letter=self.config.dead_letter,
                pressure=pressure,
                key=self._key(seen.envelope, pressure),
            )
        )

    def _key(self, envelope: Envelope, pressure: Pressure | None) -> str | None:
        """Of what the event is, where a newer one supersedes it."""
        if not self.config.dead_letter.resolve_on_newer:
            return None
        ordered = pressure.key if pressure is not None and self.config.key is not None else None
        return ordered or envelope.subject

    def _undecidable(self, code: ErrorCode, reason: str) -> Undecidable:
        return Undecidable(self.name, self.hash, code, reason, self.config.dead_letter)


class CompiledTriggers:
    """Every trigger of a configuration."""

    def __init__(self, triggers: Mapping[str, TriggerConfig]) -> None:
        """Compile all. Raises RejectedInput `config.invalid`; `holdfast check` names the place."""
        self._all = {name: CompiledTrigger(name, config) for name, config in triggers.items()}
        self._by_source: dict[str, tuple[CompiledTrigger, ...]] = {}

    def get(self, name: str) -> CompiledTrigger | None:
        """Return the trigger of that name, if the configuration still has it."""
        return self._all.get(name)

    def listening(self, source: str) -> tuple[CompiledTrigger, ...]:
        """Return the triggers for events of a source, in the order of the configuration."""
        known = self._by_source.get(source)
        if known is None:
            known = tuple(trigger for trigger in self._all.values() if trigger.listens(source))
            if len(self._by_source) < MAX_SOURCES:
                self._by_source[source] = known
        return known

    def decide(self, envelope: Envelope, body: bytes | PermanentFailure | None = None) -> tuple[Verdict, ...]:
        """Decide for every trigger that listens to the event's source, in the order of the configuration.

        `body` is that of an event that only refers to it, where `needs` says that it is read; or why it is not there.
        """
        listening = self.listening(envelope.source)
        if not listening:
            return ()
        seen = see(envelope, body, frozenset().union(*(trigger.needs for trigger in listening)))
        return tuple(trigger.verdict(seen) for trigger in listening)

    def needs(self, source: str) -> frozenset[Path]:
        """Return what the triggers of a source read of `event.data`; nothing: a body that lies elsewhere may stay."""
        return frozenset().union(*(trigger.needs for trigger in self.listening(source)))


def trigger_hash(config: TriggerConfig) -> str:
    """Sixteen hex digits that change when the trigger's configuration does."""
    canonical = json.dumps(config.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return sha256_hex(canonical.encode())[:16]
