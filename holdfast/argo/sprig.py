"""Argo's text templates (Go templates with sprig): `{{ b64dec .Input }}`, `{{ .Input.body.ref | upper }}`.

Only pipelines of known functions; `if`, `range`, variables and everything else is refused, with the reason.
"""

import re
from collections.abc import Callable

from holdfast.argo.findings import Untranslatable
from holdfast.argo.payload import quoted

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|\||[()]|[^\s|()]+')
_FUNCTIONS = {
    "b64dec": "string(base64.decode({0}))", "b64enc": "base64.encode({0})", "lower": "lower({0})", "upper": "upper({0})",  # noqa: E501 - a table
    "trim": "{0}.trim()", "toString": "argo.text({0})", "toJson": "json.encode({0})", "sha256sum": "sha256({0})",
    "sha1sum": "sha1({0})", "urlquery": "url.encode({0})", "urlencode": "url.encode({0})", "print": "{0}",
    "trimPrefix": "regex.replace({1}, '^' + {0}, '')", "trimSuffix": "regex.replace({1}, {0} + '$', '')",
    "replace": "{2}.replace({0}, {1})", "trunc": "{1}.substring(0, math.least({0}, {1}.size()))", "default": "default({1}, {0})",  # noqa: E501 - a table
    "int": "int(argo.number({0}))", "int64": "int(argo.number({0}))", "atoi": "int(argo.number({0}))",
    "float64": "double(argo.number({0}))", "add": "argo.calculate('+', {0}, {1})", "sub": "argo.calculate('-', {0}, {1})",  # noqa: E501 - a table
    "mul": "argo.calculate('*', {0}, {1})", "div": "argo.calculate('/', {0}, {1})", "reverse": "{0}.reverse()",
    "contains": "{1}.contains({0})", "hasPrefix": "{1}.startsWith({0})", "hasSuffix": "{1}.endsWith({0})",
    "regexMatch": "{1}.matches({0})", "join": "{1}.join({0})", "quote": "json.encode({0})", "nospace": "regex.replace({0}, '\\\\s', '')",  # noqa: E501 - a table
}  # fmt: skip
_LITERAL_ONLY = {"trimPrefix", "trimSuffix"}


def template(text: str, field: Callable[[list[str]], str]) -> str:
    """CEL of a template's text; `field` gives the CEL of `.Input.a.b`. Raises Untranslatable."""
    parts, position = [], 0
    for found in _ACTION.finditer(text):
        if text[position : found.start()]:
            parts.append(quoted(text[position : found.start()]))
        parts.append(_pipeline(found.group(1), field))
        position = found.end()
    if text[position:] or not parts:
        parts.append(quoted(text[position:]))
    if len(parts) == 1:
        return parts[0]
    return " + ".join(part if part.startswith('"') else f"argo.text({part})" for part in parts)


def _pipeline(text: str, field: Callable[[list[str]], str]) -> str:
    words = _WORD.findall(text)
    value, rest = _command(words, 0, field, None)
    while rest < len(words):
        if words[rest] != "|":
            raise Untranslatable(f"the template {text!r}")
        value, rest = _command(words, rest + 1, field, value)
    return value


def _command(words: list[str], at: int, field: Callable[[list[str]], str], piped: str | None) -> tuple[str, int]:
    arguments: list[str] = []
    if at >= len(words):
        raise Untranslatable("an empty template")
    function = words[at] if re.fullmatch(r"[A-Za-z]\w*", words[at]) and words[at] not in {"true", "false"} else None
    at += function is not None
    while at < len(words) and words[at] not in {"|", ")"}:
        if words[at] == "(":
            value, at = _command(words, at + 1, field, None)
            if at >= len(words) or words[at] != ")":
                raise Untranslatable("a ( in a template is not closed")
            at += 1
        else:
            value, at = _operand(words[at], field), at + 1
        arguments.append(value)
    arguments += [piped] if piped is not None else []
    if function is None:
        if len(arguments) != 1:
            raise Untranslatable("a template with several values")
        return arguments[0], at
    form = _FUNCTIONS.get(function)
    if form is None or len(arguments) != 1 + max(int(n) for n in re.findall(r"\{(\d)\}", form)):
        raise Untranslatable(f"the template function {function}")
    if function in _LITERAL_ONLY and not re.fullmatch(r'"[\w/ :-]*"', arguments[0]):
        raise Untranslatable(f"{function} with anything but a plain text")
    return form.format(*arguments), at


def _operand(word: str, field: Callable[[list[str]], str]) -> str:
    if word.startswith(('"', "`")):
        return quoted(word[1:-1]) if word[0] == "`" else word
    if re.fullmatch(r"-?\d+(\.\d+)?", word) or word in {"true", "false"}:
        return word
    if re.fullmatch(r"\.Input(\.\w+)*", word):
        return field(word.split(".")[2:])
    raise Untranslatable(f"{word} in a template")
