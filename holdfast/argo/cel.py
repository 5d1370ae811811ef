"""Writes a tree of `holdfast/argo/terms.py` as CEL, keeping what the language it came from would have decided.

A field that is missing makes the filter false, as Argo's documentation promises of an error; a comparison of kinds that
cannot be compared is an error, which is a dead letter here and not a silent drop.
"""

import re
from collections.abc import Callable

from holdfast.argo.findings import Untranslatable
from holdfast.argo.payload import quoted, select
from holdfast.argo.terms import Binary, Call, Choice, Constant, Dialect, Get, Items, Name, Term, Unary

NIL = "[null][1]"  # reading a field of Lua's nil, or an unknown variable: always absent
_COMPARES = frozenset({"==", "!=", "<", "<=", ">", ">=", "=~", "!~", "in", "not in", "contains", "startsWith", "endsWith", "matches"})  # fmt: skip  # noqa: E501 - a table
_METHODS = {
    "contains": "contains",
    "startsWith": "startsWith",
    "endsWith": "endsWith",
    "matches": "matches",
    "=~": "matches",
}
_CALLS = {
    "string.lower": "lower({0})", "string.upper": "upper({0})", "string.len": "{0}.size()", "tostring": "argo.text({0})",  # noqa: E501 - a table
    "tonumber": "argo.number({0})", "lower": "lower({0})", "upper": "upper({0})", "trim": "{0}.trim()", "len": "size({0})",  # noqa: E501 - a table
    "toJson": "json.encode({0})", "asInt": "int(argo.number({0}))", "asFloat": "double(argo.number({0}))",
    "int": "int(argo.number({0}))", "float": "double(argo.number({0}))", "string": "argo.text({0})",
    "hasPrefix": "{0}.startsWith({1})", "hasSuffix": "{0}.endsWith({1})", "indexOf": "{0}.indexOf({1})",
    "split": "{0}.split({1})",
}  # fmt: skip


class Writer:
    """Writes terms of one expression; `variable` gives the CEL of a free name, or raises Untranslatable."""

    def __init__(self, dialect: Dialect, variable: Callable[[str], str]) -> None:
        self._dialect = dialect
        self._variable = variable

    def value(self, term: Term) -> str:  # noqa: C901 - one case per kind of term
        """CEL of a term's value; an absent field stays absent."""
        match term:
            case Constant(value):
                return literal(value)
            case Name(name):
                return self._variable(name)
            case Get():
                return self._get(term)
            case Items(items):
                return "[" + ", ".join(map(self.value, items)) + "]"
            case Choice(if_, then, otherwise):
                return f"({self.condition(if_)} ? {self.value(then)} : {self.value(otherwise)})"
            case Unary("-", inner):
                return (
                    f"argo.calculate('-', 0, {self.value(inner)})"
                    if not isinstance(inner, Constant)
                    else f"-{self.value(inner)}"
                )
            case Unary("#", inner):
                return f"{self.value(inner)}.size()"
            case Call(function, arguments):
                return self._call(function, arguments)
            case Binary(operator, left, right) if operator in {"+", "-", "*", "/", "%", "**", ".."}:
                return f"argo.calculate({quoted(operator)}, {self.value(left)}, {self.value(right)})"
            case Binary("??", left, right):
                return f"default({self.value(left)}, {self.value(right)})"
        return self.condition(term)

    def condition(self, term: Term) -> str:
        """CEL that is true or false: as the language takes the term in a condition."""
        match term:
            case Constant(value):
                return (
                    "true"
                    if (value is not None and value is not False and self._dialect == "lua") or value is True
                    else "false"
                )
            case Unary("!", inner):
                return f"!({self.condition(inner)})"
            case Binary("&&", left, right):
                return f"({self.condition(left)} && {self.condition(right)})"
            case Binary("||", left, right):
                return f"({self.condition(left)} || {self.condition(right)})"
            case Binary(operator, left, right) if operator in _COMPARES:
                return self._compare(operator, left, right)
            case Choice(if_, then, otherwise):
                return f"({self.condition(if_)} ? {self.condition(then)} : {self.condition(otherwise)})"
            case Call(function, arguments) if function in {"string.find", "string.match"}:
                return self._lua_match(function, arguments)
            case Call("hasPrefix" | "hasSuffix" | "any" | "all" | "none", _):
                return self.value(term)
        if self._dialect == "lua":
            value = self.nullable(term)
            return f"({value} != null && {value} != false)"
        return f"{self.value(term)} == true"

    def strict(self, term: Term) -> str:
        """CEL that is true where the term's value is exactly `true`: what a Lua script must return."""
        match term:
            case Constant(value):
                return "true" if value is True else "false"
            case Binary("&&", left, right):
                return f"({self.condition(left)} && {self.strict(right)})"
            case Binary("||", left, right):
                return f"({self.condition(left)} ? {self.strict(left)} : {self.strict(right)})"
            case Unary("!", _):
                return self.condition(term)
            case Binary(operator, _, _) if operator in _COMPARES:
                return self.condition(term)
            case Call("string.find" | "string.match", _):
                return "false"
        return f"{self.nullable(term)} == true"

    def nullable(self, term: Term) -> str:
        """CEL of a term's value, null where only its last field is missing."""
        if isinstance(term, Name) and self._dialect == "lua" and term.name != "event":
            return "null"
        if isinstance(term, Get) and isinstance(term.key, Constant) and isinstance(term.key.value, str):
            field = self._get(term)
            if field.startswith(NIL):
                return field
            parent, key = _split(field)
            return f"({key} in {parent} ? {field} : null)" if parent else field
        return self.value(term)

    def _get(self, term: Get) -> str:
        names: list[str] = []
        inner: Term = term
        while isinstance(inner, Get):
            match inner.key:
                case Constant(str(name)):
                    names.insert(0, name)
                case Constant(int(index)):
                    names.insert(0, str(index - 1 if self._dialect == "lua" else index))
                case key:
                    return f"{self.value(term.of)}[{self.value(key)}]"
            inner = inner.of
        if isinstance(inner, Name):
            return self._variable("\x00".join((inner.name, *names)))
        return select(self.value(inner), names)

    def _compare(self, operator: str, left: Term, right: Term) -> str:
        if operator in {"==", "!="} and self._dialect == "lua":
            return f"{self.nullable(left)} {operator} {self.nullable(right)}"
        one, other = self.value(left), self.value(right)
        if operator in {"in", "not in"}:
            if not isinstance(right, Items) and self._dialect == "govaluate":
                other = f"[{other}]"
            return f"{one} in {other}" if operator == "in" else f"!({one} in {other})"
        if operator == "!~":
            return f"!{one}.matches({other})"
        if operator in _METHODS:
            if operator == "contains" and not isinstance(right, Constant):
                return f"(type({one}) == list ? {other} in {one} : {one}.contains({other}))"
            return f"{one}.{_METHODS[operator]}({other})"
        return f"{one} {operator} {other}"

    def _call(self, function: str, arguments: tuple[Term, ...]) -> str:
        form = _CALLS.get(function)
        if form is None or (("{1}" in form) + 1 != len(arguments)):
            raise Untranslatable(f"the function {function}() has no counterpart")
        return form.format(*map(self.value, arguments))

    def _lua_match(self, function: str, arguments: tuple[Term, ...]) -> str:
        if len(arguments) < 2 or not isinstance(arguments[1], Constant) or not isinstance(arguments[1].value, str):
            raise Untranslatable(f"{function}() with a pattern that is computed")
        subject, pattern = self.value(arguments[0]), arguments[1].value
        plain = len(arguments) == 4 and arguments[3] == Constant(value=True)
        if plain:
            return f"{subject}.contains({quoted(pattern)})"
        return f"{subject}.matches({quoted(lua_pattern(pattern))})"


_CLASSES = {
    "a": "[A-Za-z]",
    "d": "[0-9]",
    "l": "[a-z]",
    "s": r"\s",
    "u": "[A-Z]",
    "w": "[A-Za-z0-9]",
    "x": "[0-9A-Fa-f]",
}


def lua_pattern(pattern: str) -> str:
    """RE2 of a Lua pattern. Raises Untranslatable for `%b`, `%f`, back references and sets with classes."""
    written, position = "", 0
    while position < len(pattern):
        char = pattern[position]
        if char == "%":
            position += 1
            name = pattern[position : position + 1]
            if name.isalnum() and name not in _CLASSES:
                raise Untranslatable(f"the Lua pattern %{name}")
            written += _CLASSES.get(name) or "\\" + name
        elif char == "-":
            written += "*?"
        elif char in "|{}\\":
            written += "\\" + char
        elif char == "[":
            end = pattern.find("]", position + 2)
            if end < 0 or "%" in pattern[position:end]:
                raise Untranslatable("a set with classes in a Lua pattern")
            written += pattern[position : end + 1]
            position = end
        else:
            written += char
        position += 1
    return written


def literal(value: object) -> str:
    """A constant as CEL writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return quoted(value) if isinstance(value, str) else repr(value)


def _split(field: str) -> tuple[str, str]:
    """The object that a field is read from, and the key as CEL writes it; nothing where it is no field."""
    found = re.fullmatch(r'(.+?)(?:\.([A-Za-z_]\w*)|\[("(?:[^"\\]|\\.)*")\])', field, re.DOTALL)
    if found is None or field.startswith("["):
        return "", ""
    return found.group(1), found.group(3) or quoted(found.group(2))
