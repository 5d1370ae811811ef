"""Deciding: which triggers take an event, and what exactly each would run.

Flow: consume → **match** → start. Pure: one event is bound once and evaluated against every trigger of its source.
"""

import json
from collections.abc import Mapping

from holdfast.domain.actions import DeliverySpec
from holdfast.domain.events import Envelope
from holdfast.domain.filters import CompiledFilter, Unclear, Unwanted
from holdfast.domain.join_matching import CompiledJoin
from holdfast.domain.json_scan import Path
from holdfast.domain.mapping import CompiledRun, MappingError
from holdfast.domain.needs import needs
from holdfast.domain.pressure import Pressure
from holdfast.domain.resolve_pressure import CompiledPressure
from holdfast.domain.triggers import TriggerConfig
from holdfast.domain.verdicts import Joined, Matched, Passed, Seen, Undecidable, Verdict, see
from holdfast.errors import ErrorCode, PermanentFailure, bounded
from holdfast.ids import sha256_hex

MAX_SOURCES = 10_000  # names remembered with their triggers; a stray on the bus cannot grow this without end


class CompiledTrigger:
    """One trigger, its expressions compiled."""

    def __init__(self, name: str, config: TriggerConfig) -> None:
        """Compile. Raises RejectedInput `config.invalid` for an expression that cannot be right."""
        self.name = name
        self.config = config
        self.hash = trigger_hash(config)
        self._filter = CompiledFilter(config)
        self._run = CompiledRun(config.run)
        self._pressure = CompiledPressure(config) if CompiledPressure.needed(config) else None
        texts = [text for text in (config.key, config.not_before) if text is not None]
        self.needs = self._filter.needs | self._run.needs | needs(texts)

    def listens(self, source: str) -> bool:
        """Whether events of a source are for this trigger."""
        return self._filter.listens(source)

    def verdicts(self, seen: Seen) -> tuple[Verdict, ...]:
        """Decide for one event."""
        return (self.verdict(seen),)

    def verdict(self, seen: Seen) -> Verdict:
        """Decide for one event: `during`, then `match`, then `when`; all must hold."""
        if not self._filter.in_time(seen.envelope):
            return Passed(self.name, "during: outside of every window")
        if self.needs and seen.trouble is not None:
            return self._undecidable(seen.trouble.code, seen.trouble.message)
        match self._filter.ask(seen.bound):
            case Unwanted(reason):
                return Passed(self.name, reason)
            case Unclear(reason):
                return self._undecidable(ErrorCode.FILTER_FAILED, reason)
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
        self._all = {
            name: CompiledTrigger(name, config)
            if config.join is None
            else CompiledJoin(name, config, trigger_hash(config))
            for name, config in triggers.items()
        }
        self._by_source: dict[str, tuple[CompiledTrigger | CompiledJoin, ...]] = {}

    def get(self, name: str) -> CompiledTrigger | CompiledJoin | None:
        """Return the trigger of that name, if the configuration still has it."""
        return self._all.get(name)

    def listening(self, source: str) -> tuple[CompiledTrigger | CompiledJoin, ...]:
        """Return the triggers for events of a source, in the order of the configuration."""
        known = self._by_source.get(source)
        if known is None:
            known = tuple(trigger for trigger in self._all.values() if trigger.listens(source))
            if len(self._by_source) < MAX_SOURCES:
                self._by_source[source] = known
        return known

    def decide(self, envelope: Envelope, body: bytes | PermanentFailure | None = None) -> tuple[Verdict, ...]:
        """Decide for every trigger that listens to the event's source, in the order of the configuration.

        A join gives a verdict per name that takes the event.

        `body` is that of an event that only refers to it, where `needs` says that it is read; or why it is not there.
        """
        listening = self.listening(envelope.source)
        if not listening:
            return ()
        seen = see(envelope, body, frozenset().union(*(trigger.needs for trigger in listening)))
        return tuple(verdict for trigger in listening for verdict in trigger.verdicts(seen))

    def needs(self, source: str) -> frozenset[Path]:
        """Return what the triggers of a source read of `event.data`; nothing: a body that lies elsewhere may stay."""
        return frozenset().union(*(trigger.needs for trigger in self.listening(source)))


def trigger_hash(config: TriggerConfig) -> str:
    """Sixteen hex digits that change when the trigger's configuration does."""
    canonical = json.dumps(config.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return sha256_hex(canonical.encode())[:16]


__all__ = [
    "CompiledJoin",
    "CompiledTrigger",
    "CompiledTriggers",
    "Joined",
    "Matched",
    "Passed",
    "Seen",
    "Undecidable",
    "Verdict",
    "see",
    "trigger_hash",
]
