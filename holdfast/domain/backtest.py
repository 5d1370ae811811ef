"""What another set of triggers would do differently with an event that has been: pure, one event at a time.

Flow: `holdfast triggers backtest` → stream → **differences**.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from holdfast.domain.events import Envelope
from holdfast.domain.explain import Explanation, explain
from holdfast.domain.matching import CompiledTriggers, Matched

Kind = Literal["newly_matched", "no_longer_matched", "changed", "newly_failing", "mended"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One event and trigger. `reason` says what decided, `changes` path by path what would be run otherwise."""

    trigger: str
    kind: Kind
    before: str  # matched, passed or error
    after: str
    reason: str
    changes: tuple[tuple[str, Any, Any], ...] = ()


def differences(running: CompiledTriggers, changed: CompiledTriggers, envelope: Envelope) -> Iterator[Difference]:
    """Compare what both would do with an event, trigger by trigger; `envelope` has its body."""
    names = dict.fromkeys(each.name for side in (changed, running) for each in side.listening(envelope.source))
    for name in names:
        before, after = _side(running, name, envelope), _side(changed, name, envelope)
        changes = tuple(_diff("", before[1], after[1])) if before[0] == after[0] == "matched" else ()
        kind = _kind(before[0], after[0], bool(changes))
        if kind is not None:
            deciding = before[2] if kind == "mended" and after[0] == "matched" else after[2]
            yield Difference(name, kind, before[0], after[0], deciding, changes)


def _kind(before: str, after: str, changes: bool) -> Kind | None:
    if before == after:
        return "changed" if changes else None
    if after == "error":
        return "newly_failing"
    if before == "error":
        return "mended"
    return "newly_matched" if after == "matched" else "no_longer_matched"


def _side(triggers: CompiledTriggers, name: str, envelope: Envelope) -> tuple[str, dict[str, Any], str]:
    """Return the outcome, what would be run, and why."""
    trigger = triggers.get(name)
    if trigger is None:
        return "passed", {}, "there is no such trigger"
    why = explain(trigger, envelope)
    if why.outcome != "matched":
        return why.outcome, {}, _reason(why)
    for each, verdict in zip(triggers.listening(envelope.source), triggers.decide(envelope), strict=True):
        if each.name == name and isinstance(verdict, Matched):
            return "matched", verdict.spec.model_dump(mode="json", exclude={"trigger_hash", "config_hash"}), "matched"
    return "passed", {}, "no trigger decided"


def _reason(why: Explanation) -> str:
    return why.decided_by.show() if why.decided_by is not None else why.message


def _diff(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            yield from _diff(f"{path}.{key}".lstrip("."), before.get(key), after.get(key))
        return
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _diff(f"{path}[{index}]", old, new)
        return
    yield path, before, after
