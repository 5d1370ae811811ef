"""Trigger conditions: `a || b` is a trigger for each, `a && b` is a join."""

from holdfast.argo.findings import Untranslatable
from holdfast.argo.terms import Binary, Name, Term, parse


def alternatives(condition: str, dependencies: list[str]) -> list[str] | None:
    """The dependencies any of which fires the trigger; None where some must come together. Raises Untranslatable."""
    if not condition:
        return dependencies if len(dependencies) == 1 else None
    return _flat(parse(_quote(condition, dependencies), "govaluate"), dependencies)


def _quote(condition: str, dependencies: list[str]) -> str:
    """Names with a dash are one name, not a subtraction."""
    for name in sorted((d for d in dependencies if not d.isidentifier()), key=len, reverse=True):
        condition = condition.replace(name, f"[{name}]") if f"[{name}" not in condition else condition
    return condition


def _flat(term: Term, dependencies: list[str]) -> list[str] | None:
    match term:
        case Name(name):
            if name not in dependencies:
                raise Untranslatable(f"there is no dependency {name!r}")
            return [name]
        case Binary("||", left, right):
            one, other = _flat(left, dependencies), _flat(right, dependencies)
            return None if one is None or other is None else [*dict.fromkeys([*one, *other])]
    return None
