"""Which names of a join an event comes under, and with which key.

Flow: consume → match → **join** → offer. Pure, as `matching.py`; what the window makes of it is `joins.py`.
"""

from typing import Any

from holdfast.domain.actions import DeliverySpec
from holdfast.domain.expressions import EVENT, JOINED, Absent, Failed, Found
from holdfast.domain.filters import CompiledFilter, Unclear, Unwanted
from holdfast.domain.join_config import JoinPart
from holdfast.domain.joined import is_joined, joined_values
from holdfast.domain.json_scan import Path
from holdfast.domain.mapping import CompiledRun, MappingError
from holdfast.domain.needs import needs
from holdfast.domain.triggers import TriggerConfig
from holdfast.domain.verdicts import Joined, Matched, Passed, Seen, Undecidable, Verdict
from holdfast.errors import ErrorCode, bounded

MAX_KEY = 1_000  # characters


class BadKeyError(Exception):
    """The key of an event is no text, number or truth value."""


class CompiledPart:
    """One name of a join, its expressions compiled."""

    def __init__(self, name: str, config: JoinPart) -> None:
        """Compile. Raises RejectedInput `config.invalid`."""
        self.name = name
        self.config = config
        self.filter = CompiledFilter(config)
        self.key = EVENT.compile(config.key)
        self.needs = self.filter.needs | needs((config.key,))

    def ask(self, seen: Seen) -> str | Unwanted | Unclear:
        """Return the key of an event that passes the filter."""
        if not self.filter.in_time(seen.envelope):
            return Unwanted("during: outside of every window")
        refused = self.filter.ask(seen.bound)
        if refused is not None:
            return refused
        match self.key.evaluate(seen.bound):
            case Absent(reason):
                return Unwanted(f"key: {reason}")
            case Failed(reason):
                return Unclear(f"key: {reason}")
            case Found(value):
                try:
                    return key_text(value)
                except BadKeyError as problem:
                    return Unclear(f"key: {problem}")


class CompiledJoin:
    """One trigger over several events, its expressions compiled; it stands beside `CompiledTrigger`."""

    def __init__(self, name: str, config: TriggerConfig, trigger_hash: str) -> None:
        """Compile. Raises RejectedInput `config.invalid` for an expression that cannot be right."""
        self.name = name
        self.config = config
        self.hash = trigger_hash
        self.parts = tuple(CompiledPart(part, each) for part, each in (config.join or {}).items())
        self._run = CompiledRun(config.run, JOINED)
        if config.otherwise is not None:
            CompiledRun(config.otherwise, JOINED)
        self.needs: frozenset[Path] = frozenset().union(*(part.needs for part in self.parts))

    def listens(self, source: str) -> bool:
        """Whether events of a source come under one of its names."""
        return any(part.filter.listens(source) for part in self.parts)

    def verdicts(self, seen: Seen) -> tuple[Verdict, ...]:
        """Decide for one event: one verdict per name that takes it or cannot tell; one that says why none does."""
        asked = [(part, self._ask(part, seen)) for part in self.parts if part.filter.listens(seen.envelope.source)]
        found: list[Verdict] = []
        for part, answer in asked:
            if isinstance(answer, str):
                found.append(Joined(self.name, self.hash, self.config, part.name, answer))
            elif isinstance(answer, Undecidable):
                found.append(answer)
        if found:
            return tuple(found)
        reasons = "; ".join(f"{part.name}: {a.reason}" for part, a in asked if isinstance(a, Unwanted))
        return (Passed(self.name, bounded(reasons, 500)),)

    def verdict(self, seen: Seen) -> Verdict:
        """Decide for a redrive: what was joined already is mapped, any other event is offered anew."""
        return self.map(seen) if is_joined(seen.envelope) else self.verdicts(seen)[0]

    def map(self, seen: Seen) -> Matched | Undecidable:
        """Resolve the action over what was joined, whatever of it has come."""
        values = joined_values(seen.envelope) if is_joined(seen.envelope) else None
        if values is None:
            return self._undecidable(ErrorCode.MAPPING_FAILED, "it is not what this join puts together")
        try:
            action = self._run.action(JOINED.bind(**values))
        except MappingError as error:
            return self._undecidable(ErrorCode.MAPPING_FAILED, bounded(str(error), 500))
        return Matched(
            DeliverySpec(
                trigger=self.name,
                trigger_hash=self.hash,
                action=action,
                retry=self.config.retry,
                dead_letter=self.config.dead_letter,
                key=seen.envelope.subject if self.config.dead_letter.resolve_on_newer else None,
            )
        )

    def _ask(self, part: CompiledPart, seen: Seen) -> str | Unwanted | Undecidable:
        if part.needs and seen.trouble is not None:
            return self._undecidable(seen.trouble.code, seen.trouble.message)
        answer = part.ask(seen)
        if isinstance(answer, Unclear):
            return self._undecidable(ErrorCode.FILTER_FAILED, f"{part.name}: {answer.reason}")
        return answer

    def _undecidable(self, code: ErrorCode, reason: str) -> Undecidable:
        return Undecidable(self.name, self.hash, code, reason, self.config.dead_letter)


def key_text(value: Any) -> str:
    """Write a key as text: 17, 17.0 and "17" are one. Raises BadKeyError."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if not isinstance(value, str | int | float):
        raise BadKeyError(f"gave {'null' if value is None else f'a {type(value).__name__}'}, not text or a number")
    text = str(value)
    if not text or len(text) > MAX_KEY:
        raise BadKeyError("is empty" if not text else f"is longer than {MAX_KEY} characters")
    return text


__all__ = ["BadKeyError", "CompiledJoin", "CompiledPart", "key_text"]
