"""Actions of the user's own: a name, a pydantic model of its parameters, and the function that carries it out.

Flow: a module of the user's → **RegisteredAction** → `holdfast check`, the activity `deliver`. The public names are in
`holdfast/actions.py`.
"""

import difflib
import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from holdfast.domain.events import Envelope
from holdfast.domain.expressions import EVENT, Found
from holdfast.domain.runs import ActivityRun
from holdfast.errors import ErrorCode, RejectedInput

_READS = re.compile(r"(?<![\w.])(event|steps|failed)\b")
Place = tuple[int | str, ...]


class NoParameters(BaseModel):
    """Parameters of an action that takes none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class ActionContext:
    """What an action may know beside its parameters.

    `delivery` is the idempotency key: equal for every attempt, so hand it on to whatever must not be done twice.
    """

    delivery: str
    event: Envelope
    trigger: str
    attempt: int  # from 1


@dataclass(frozen=True, slots=True)
class RegisteredAction:
    """One action. `run` takes the parameters, or the parameters and the context; it may be async."""

    name: str
    parameters: type[BaseModel]
    run: Callable[..., Any]
    takes: int  # how many arguments it takes: 0, 1 or 2


def register(name: str, function: Callable[..., Any]) -> RegisteredAction:
    """Read a function's signature. Raises RejectedInput `config.invalid` where it cannot be called as an action."""
    hints = typing.get_type_hints(function)
    arguments = [
        one
        for one in inspect.signature(function).parameters.values()
        if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}
    ]
    if len(arguments) > 2:
        raise RejectedInput(
            ErrorCode.CONFIG_INVALID, f"action {name}: takes its parameters and an ActionContext, no more"
        )
    model = hints.get(arguments[0].name) if arguments else NoParameters
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise RejectedInput(
            ErrorCode.CONFIG_INVALID,
            f"action {name}: its first argument needs a pydantic model as its annotation, it has {model!r}",
        )
    return RegisteredAction(name, model, function, len(arguments))


def problems(run: ActivityRun, known: Mapping[str, RegisteredAction]) -> Iterator[tuple[Place, str, str]]:
    """Find what is wrong with the use of an action, as (place below `activity`, message, hint)."""
    found = known.get(run.name)
    if found is None:
        near = difflib.get_close_matches(run.name, known, n=1)
        listed = f"registered: {', '.join(sorted(known))}" if known else "list its module under `actions`"
        yield ("name",), f"no action {run.name!r} is registered", f"did you mean {near[0]!r}?" if near else listed
        return
    fields = {field.alias or name: field for name, field in found.parameters.model_fields.items()}
    strict = found.parameters.model_config.get("extra") != "allow"
    for name in run.args:
        if name not in fields and strict:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(fields) or 'none'}"
            yield ("args", name), f"{run.name} has no such parameter", hint
    for name, field in fields.items():
        if name not in run.args:
            if field.is_required():
                yield ("args",), f"{run.name} needs {name!r}", ""
            continue
        value = _constant(run.args[name])
        if value is _UNKNOWN:
            continue
        kind: Any = Annotated[field.annotation, field]
        try:
            TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            yield ("args", name), str(error.errors()[0]["msg"]), ""


_UNKNOWN = object()


def _constant(value: Any) -> Any:
    """Return the value where no event is needed to know it."""
    if isinstance(value, str):
        if _READS.search(value):
            return _UNKNOWN
        try:
            known = EVENT.compile(value).evaluate(EVENT.bind(event={}))
        except RejectedInput:
            return _UNKNOWN  # said already, where expressions are checked
        return known.value if isinstance(known, Found) else _UNKNOWN
    if isinstance(value, dict):
        items = {key: _constant(item) for key, item in value.items()}
        return _UNKNOWN if _UNKNOWN in items.values() else items
    if isinstance(value, list | tuple):
        entries = [_constant(item) for item in value]
        return _UNKNOWN if any(entry is _UNKNOWN for entry in entries) else entries
    return value
