"""CEL expressions: compiled and type-checked when the configuration is loaded, evaluated within bounds.

Google's CEL brings RE2, an iteration budget and a recursion limit, so an expression ends, whatever the event is.
One event is bound once and then evaluated against every trigger (binding costs ten times an evaluation).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings

from holdfast.clock import rfc3339
from holdfast.domain import argo_functions, functions, macros
from holdfast.domain.functions import Function
from holdfast.domain.quantities import format_duration
from holdfast.errors import ErrorCode, RejectedInput, bounded

MAX_EXPRESSION = 2_048  # characters; longer ones are programs and belong in a workflow
MAX_GENERATED = 65_536  # characters of what a pattern compiles to; nobody has to read it
_INT64 = range(-(2**63), 2**63)
_ABSENT = (
    "NOT_FOUND",  # a missing key
    "INVALID_ARGUMENT: Applying SELECT to non-message type",  # a field of null, a text, a number or a list
    "UNKNOWN: Index error",  # an element past the end of a list
    "UNKNOWN: nothing matches",  # regex.extract
    argo_functions.ABSENT,
)


@dataclass(frozen=True, slots=True)
class Found:
    """The expression has a value: plain JSON data."""

    value: Any


@dataclass(frozen=True, slots=True)
class Absent:
    """The expression asked for a field that this event does not have."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The expression could not be evaluated on this event."""

    reason: str


Evaluation = Found | Absent | Failed


@dataclass(frozen=True, slots=True)
class Bound:
    """Variables bound for one event, to be evaluated against many expressions; `error` where binding failed."""

    activation: Any
    error: str | None = None


class Expression:
    """One compiled expression over the variables of its `Language`."""

    __slots__ = ("_program", "source")

    def __init__(self, source: str, program: Any) -> None:
        self.source = source
        self._program = program

    @property
    def returns(self) -> str:
        """The type the checker found: BOOL, STRING, DYN (known only when evaluated), …."""
        return str(self._program.return_type().name())

    def evaluate(self, bound: Bound) -> Evaluation:
        """Evaluate; never raises, whatever the event holds."""
        if bound.error is not None:
            return Failed(bound.error)
        try:
            value = self._program.eval(bound.activation)
            if value.type().name() == cel.Type.ERROR.name():
                reason = bounded(str(value.plain_value()), 300)
                return Absent(reason) if reason.startswith(_ABSENT) else Failed(reason)
            return Found(to_json(value.plain_value()))
        except Exception as error:  # noqa: BLE001 - the binding raises bare RuntimeErrors; all become Failed, which is visible
            return Failed(bounded(str(error), 300))


class Language:
    """The variables an expression may name, e.g. `event`; each is typed at run time."""

    def __init__(self, *variables: str) -> None:
        self._env = cel.NewEnv(
            variables=dict.fromkeys(variables, cel.Type.DYN),
            extensions=[
                ext_strings.ExtStrings(),
                ext_math.ExtMath(),
                ext_optional.ExtOptional(),
                ext_bindings.ExtBindings(),
                cel.CelExtension("holdfast", _declared((*functions.standard(), *argo_functions.library()))),
            ],
        )

    def compile(self, source: str, *, limit: int = MAX_EXPRESSION) -> Expression:
        """Compile. Raises RejectedInput `config.invalid` with CEL's own pointer to the place."""
        if len(source) > limit:
            raise RejectedInput(
                ErrorCode.CONFIG_INVALID, f"the expression is longer than {limit} characters; start a workflow"
            )
        try:
            return Expression(source, self._env.compile(macros.expand(source)))
        except RejectedInput:
            raise
        except Exception as error:
            text = (
                str(error)
                .removeprefix("INVALID_ARGUMENT: ")
                .replace("ERROR: <input>:", "")
                .removesuffix("[INVALID_ARGUMENT]")
            )
            raise RejectedInput(ErrorCode.CONFIG_INVALID, f"not a CEL expression: {text.strip()}") from error

    def bind(self, **values: Any) -> Bound:
        """Bind the variables for one event; a value that CEL cannot hold makes every evaluation `Failed`."""
        try:
            return Bound(self._env.Activation(to_cel(values)))
        except Exception as error:  # noqa: BLE001 - as above: it becomes Failed, which is visible
            return Bound(None, bounded(str(error), 300))


def _declared(library: tuple[Function, ...]) -> list[Any]:
    """Declare our functions in the binding's terms; the texts of types are CEL's."""
    overloads: dict[str, list[Any]] = {}
    for one in library:
        parameters = [getattr(cel.Type, name.upper()) for name in one.parameters]
        known = overloads.setdefault(one.name, [])
        known.append(
            cel.Overload(
                f"{one.name.replace('.', '_')}_{len(known)}",
                return_type=getattr(cel.Type, one.returns.upper()),
                parameters=parameters,
                impl=one.run,
            )
        )
    return [cel.FunctionDecl(name, of_name) for name, of_name in overloads.items()]


EVENT = Language("event")
"""What triggers and sources are written in."""

JOINED = Language("event", "events", "key")
"""What the action of a join is written in: `events.paid.data…`, and `event` for all of it."""

TICK = Language("tick")
"""What the payload and the `when` of a schedule are written in."""

TICKS = Language("ticks")
"""What the `stop_when` of a schedule is written in."""

STEP = Language("event", "steps")
"""What a step is written in: `steps.NAME.result` of the steps before it."""

COMPENSATION = Language("event", "steps", "failed")
"""What a step's compensation is written in: `failed` has step, code, message."""

RESPONSE = Language("response")
"""What `success` and `result` of an HTTP action are written in."""


def to_cel(value: Any) -> Any:
    """JSON data with every integer CEL can hold; a larger one becomes a double, as CEL's JSON mapping has it.

    Raises ValueError for a text with a NUL: the binding would cut it there, and two different ids would become one.
    """
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("the event holds a text with a NUL character, which an expression cannot see whole")
        return value
    if isinstance(value, dict):
        return {to_cel(str(key)): to_cel(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_cel(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and value not in _INT64:
        return float(value)
    return value


def to_json(value: Any) -> Any:
    """Turn CEL's plain value into JSON data; times become RFC 3339, durations `5m`, bytes UTF-8 text."""
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"a {type(value).__name__} cannot be written as JSON")
