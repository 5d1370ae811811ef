"""Whether an event is wanted: `during`, `match` and `when` of a trigger, or of one name of a join; all must hold.

Flow: bind → **filter** → map | join.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

from holdfast.domain.events import Envelope
from holdfast.domain.expressions import EVENT, MAX_GENERATED, Absent, Bound, Failed, Found
from holdfast.domain.json_scan import Path
from holdfast.domain.needs import needs
from holdfast.domain.patterns import compile_pattern, data_paths
from holdfast.domain.windows import WindowConfig
from holdfast.errors import ErrorCode, RejectedInput


@dataclass(frozen=True, slots=True)
class Unwanted:
    """The event does not pass; `reason` begins with the clause that decided."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """The filter could not be evaluated on this event."""

    reason: str


class FilterConfig(Protocol):
    """What a filter is made of."""

    @property
    def on(self) -> tuple[str, ...]:
        """Names and patterns of sources."""
        ...

    @property
    def during(self) -> tuple[WindowConfig, ...]:
        """Daily windows."""
        ...

    @property
    def match(self) -> dict[str, Any] | None:
        """A pattern."""
        ...

    @property
    def when(self) -> str | None:
        """A CEL expression."""
        ...


class CompiledFilter:
    """One filter, its expressions compiled."""

    def __init__(self, config: FilterConfig) -> None:
        """Compile. Raises RejectedInput `config.invalid` for an expression that cannot be right."""
        self._config = config
        self._match = (
            EVENT.compile(compile_pattern(config.match), limit=MAX_GENERATED) if config.match is not None else None
        )
        self._when = EVENT.compile(config.when) if config.when is not None else None
        if self._when is not None and self._when.returns not in {"BOOL", "DYN"}:
            raise RejectedInput(
                ErrorCode.CONFIG_INVALID, f"`when` is {self._when.returns.lower()}, it must be true or false"
            )
        of_when: frozenset[Path] = needs((config.when,)) if config.when is not None else frozenset()
        self.needs = of_when | data_paths(config.match or {})

    def listens(self, source: str) -> bool:
        """Whether events of a source are for it."""
        return any(fnmatchcase(source, pattern) for pattern in self._config.on)

    def in_time(self, envelope: Envelope) -> bool:
        """Whether the event lies in one of the windows, where there are some."""
        windows = self._config.during
        return not windows or any(window.contains(getattr(envelope, window.of)) for window in windows)

    def ask(self, bound: Bound) -> Unwanted | Unclear | None:
        """Ask `match`, then `when`; None where both hold."""
        for clause, expression in (("match", self._match), ("when", self._when)):
            if expression is None:
                continue
            match expression.evaluate(bound):
                case Absent(reason):
                    return Unwanted(f"{clause}: {reason}")
                case Failed(reason):
                    return Unclear(f"{clause}: {reason}")
                case Found(value) if value is False:
                    return Unwanted(f"{clause}: is false")
                case Found(value) if value is not True:
                    return Unclear(f"{clause}: gave {type(value).__name__}, not true or false")
        return None
