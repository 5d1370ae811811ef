"""A dependency's filters as CEL: data, exprs, context, time, script, and the operators between them.

An error in a filter is false, as Argo's documentation has it (its code drops the event instead); a filter that cannot
be right, like a regular expression that is none, is `false` with a finding. docs/argo.md has the table.
"""

import re
from dataclasses import dataclass, field
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

from holdfast.argo.cel import Writer
from holdfast.argo.findings import Notes, Untranslatable
from holdfast.argo.lua import script
from holdfast.argo.payload import Layout, quoted
from holdfast.argo.sprig import template
from holdfast.argo.terms import parse
from holdfast.domain.expressions import EVENT
from holdfast.domain.functions import regular
from holdfast.domain.gjson import find
from holdfast.errors import RejectedInput

_COMPARATORS = {"": "==", "=": "==", "==": "==", "!=": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}
_TRUTHS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
_PLAIN = re.compile(r"[^.^$|()\[\]{}*+?\\]+")
NEVER = "false"


@dataclass(slots=True)
class Filter:
    """What a dependency lets through: CEL (None: everything), and a daily window where it stands beside it."""

    when: str | None = None
    during: dict[str, Any] | None = None
    comments: list[str] = field(default_factory=list)


def translate(filters: dict[str, Any] | None, layout: Layout, notes: Notes) -> Filter:  # noqa: C901 - one step per kind
    """Translate all filters of a dependency."""
    result = Filter()
    given = filters or {}
    operator = "||" if str(given.get("filtersLogicalOperator") or "and").lower() == "or" else "&&"
    kinds: list[tuple[str, str | None]] = []
    for name in given:
        if name not in {"exprs", "data", "context", "time", "script", *_OPERATORS}:
            notes.add("lost", name, "an unknown filter: nothing is let through")
            result.comments.append(f"{name}: an unknown filter")
            kinds.append((name, NEVER))
    if given.get("exprs"):
        kinds.append(
            ("exprs", _joined([_expr(one, layout, notes) for one in given["exprs"]], given.get(_OPERATORS[2])))
        )
    if given.get("data"):
        kinds.append(("data", _joined([_data(one, layout, notes) for one in given["data"]], given.get(_OPERATORS[1]))))
    if given.get("context"):
        kinds.append(("context", _context(given["context"], layout, notes)))
    if given.get("time"):
        window = _time(given["time"], notes)
        if window is not None and operator == "&&":
            result.during = window
        else:
            kinds.append(("time", NEVER if window is None else _in_window(window)))
    if given.get("script"):
        kinds.append(("script", _script(given["script"], layout, notes)))
    terms = [text for _, text in kinds if text is not None]
    if operator == "||" and "true" in terms:
        return Filter(comments=result.comments)
    result.when = f" {operator} ".join(terms if len(terms) == 1 else [f"({t})" for t in terms]) or None
    if NEVER in (result.when or "").replace("(", "").replace(")", "").split(" && "):
        result.comments.append(f"a part of this filter could not be translated, so it is false: {_short(given)}")
    return result


_OPERATORS = ("filtersLogicalOperator", "dataLogicalOperator", "exprLogicalOperator")


def source_expression(text: str, layout: Layout, notes: Notes) -> str:
    """CEL of an EventSource's `filter.expression`, which is expr over the top-level keys of the payload."""
    try:
        return _sound(Writer("expr", lambda name: _top_level(name, layout)).condition(parse(text, "expr")))
    except Untranslatable as error:
        notes.add("lost", f"filter.expression {text!r}", f"{error}; nothing is let through until you write it")
        return NEVER


def _top_level(path: str, layout: Layout) -> str:
    names = path.split("\x00")
    if "_" in names[0] and names[0] not in {"body", "header", "headers", "metadata"}:
        root = "event.data" if layout.kind is not None else "argo.payload(event)"
        rest = "".join(f"[{name if name.isdigit() else quoted(name)}]" for name in names[1:])
        return f"argo.named({root}, {quoted(names[0])}){rest}"
    return layout.names(names)


def _joined(terms: list[str], operator: Any) -> str:
    sign = " || " if str(operator or "and").lower() == "or" else " && "
    return terms[0] if len(terms) == 1 else sign.join(f"({term})" for term in terms)


def _guarded(notes: Notes, what: str, build: Any) -> str:
    try:
        return _sound(build())
    except Untranslatable as error:
        notes.add("lost", what, f"{error}; it is false until you write it")
        return NEVER


def _sound(text: str) -> str:
    """Compile what was written, so that a slip of the translation is found here and not when an event comes."""
    try:
        EVENT.compile(text)
    except RejectedInput as error:
        raise Untranslatable(f"no CEL came of it ({error.message.splitlines()[0]})") from None
    return text


def _data(one: dict[str, Any], layout: Layout, notes: Notes) -> str:
    return _guarded(notes, f"data filter {_short(one)}", lambda: data_filter(one, layout, notes))


def data_filter(one: dict[str, Any], layout: Layout, notes: Notes) -> str:  # noqa: C901, PLR0912 - one case per type
    """CEL of one data filter. Raises Untranslatable."""
    path, kind, values = str(one.get("path") or ""), str(one.get("type") or ""), one.get("value")
    values = values if isinstance(values, list) else [] if values is None else [values]
    if not path:
        raise Untranslatable("it has no path")
    if not values:
        raise Untranslatable("it has no values")
    try:
        find({}, path)
    except ValueError as error:
        raise Untranslatable(f"the path {path!r}: {error}") from None
    comparator = str(one.get("comparator") or "")
    if comparator not in _COMPARATORS:
        raise Untranslatable(f"the comparator {comparator!r} is unknown")
    sign = _COMPARATORS[comparator]
    seen = layout.path(path)
    if one.get("template"):
        as_text = f"argo.text({seen})"
        seen = template(str(one["template"]), lambda names: _input(names, as_text))
    if sign == "!=" and len(values) > 1:
        notes.add("changed", f"data filter {path} !=", "none of the values, where Argo takes any one that differs")
    joined = " && " if sign == "!=" else " || "
    match kind:
        case "string":
            if sign not in {"==", "!="}:
                raise Untranslatable(f"texts are not compared with {comparator}; Argo lets nothing through")
            terms = [_text_term(f"argo.text({seen})", str(value), sign) for value in values]
        case "number":
            terms = [f"argo.number({seen}) {sign} {_number(value)}" for value in values]
        case "bool":
            if sign not in {"==", "!="}:
                raise Untranslatable(f"truth values are not compared with {comparator}")
            if sign == "!=":
                notes.add("changed", f"data filter {path} !=", "the comparator counts; Argo ignores it for bool")
            terms = [f"argo.bool({seen}) {sign} {_truth(value)}" for value in values]
        case _:
            raise Untranslatable(f"the type {kind!r} is none of bool, number, string")
    return terms[0] if len(terms) == 1 else joined.join(terms)


def _input(names: list[str], seen: str) -> str:
    if names:
        raise Untranslatable(".Input is a text here and has no fields")
    return seen


def _text_term(seen: str, pattern: str, sign: str) -> str:
    try:
        regular(pattern)
    except ValueError:
        raise Untranslatable(f"{pattern!r} is no regular expression") from None
    anchored = re.fullmatch(r"\^(.*)\$", pattern, re.DOTALL)
    if _PLAIN.fullmatch(pattern):
        term = f"{seen}.contains({quoted(pattern)})"
    elif anchored and _PLAIN.fullmatch(anchored.group(1)):
        return f"{seen} {sign} {quoted(anchored.group(1))}"
    else:
        term = f"{seen}.matches({quoted(pattern)})"
    return term if sign == "==" else f"!{term}"


def _number(value: Any) -> str:
    try:
        found = float(str(value))
    except ValueError:
        raise Untranslatable(f"{value!r} is no number") from None
    if found != found or found in {float("inf"), float("-inf")}:  # noqa: PLR0124 - NaN
        raise Untranslatable(f"{value!r} is no finite number")
    return repr(found)


def _truth(value: Any) -> str:
    if str(value).lower() not in _TRUTHS:
        raise Untranslatable(f"{value!r} is neither true nor false")
    return "true" if _TRUTHS[str(value).lower()] else "false"


def _expr(one: dict[str, Any], layout: Layout, notes: Notes) -> str:
    return _guarded(notes, f"expression {one.get('expr')!r}", lambda: expression(one, layout))


def expression(one: dict[str, Any], layout: Layout) -> str:
    """CEL of one `exprs` entry. Raises Untranslatable."""
    fields = {str(f.get("name")): str(f.get("path") or "") for f in one.get("fields") or ()}
    if not fields:
        raise Untranslatable("it names no fields, so Argo skips it")
    written = {name: layout.path(path) for name, path in fields.items()}

    def variable(path: str) -> str:
        name, *names = path.split("\x00")
        if name not in written:
            raise Untranslatable(f"{name!r} is none of its fields")
        return written[name] + "".join(f"[{quoted(n)}]" for n in names)

    text = Writer("govaluate", variable).condition(parse(str(one.get("expr") or ""), "govaluate"))
    if "||" in text or "?" in text or len(fields) > text.count("event"):
        # every field must be there, also one that would not be looked at
        present = [f"[{cel}].size() == 1" for cel in written.values()]
        return " && ".join([*present, f"({text})"])
    return text


def _context(given: dict[str, Any], layout: Layout, notes: Notes) -> str | None:
    terms = []
    for name, value in given.items():
        seen = layout.context(name)
        if not value:
            continue
        if seen is None:
            notes.add("lost", f"context.{name}", "Argo ignores it, so it is left out here too")
            continue
        terms.append(f"{seen} == {quoted(str(value))}")
    return " && ".join(terms) or ("true" if given else None)


def _time(given: dict[str, Any], notes: Notes) -> dict[str, Any] | None:
    start, stop, zone = str(given.get("start") or ""), str(given.get("stop") or ""), str(given.get("timezone") or "UTC")
    try:
        for text in (start, stop):
            if not re.fullmatch(r"\d\d:\d\d:\d\d", text):
                raise ValueError(f"{text!r} is not HH:MM:SS")  # noqa: TRY301 - told with the others
            time.fromisoformat(text)
        if start == stop:
            raise ValueError("start and stop are equal")  # noqa: TRY301 - as above
        ZoneInfo(zone)
    except (ValueError, KeyError, OSError) as error:
        notes.add("lost", f"time filter {_short(given)}", f"{error}; nothing is let through until you write it")
        return None
    return {"from": start, "to": stop, "timezone": zone}


def _in_window(window: dict[str, Any]) -> str:
    return f'in_window(event.time, "", {quoted(window["from"])}, {quoted(window["to"])}, {quoted(window["timezone"])})'


def _script(text: str, layout: Layout, notes: Notes) -> str:
    return _guarded(notes, "script", lambda: script(str(text), layout))


def _short(value: Any) -> str:
    text = re.sub(r"\s+", " ", str(value))
    return text if len(text) <= 120 else text[:119] + "…"
