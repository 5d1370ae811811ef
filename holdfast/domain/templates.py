"""Texts with `${ … }`: what stands in the braces is CEL, the rest is itself. `$${` is a plain `${`.

Everything of a trigger that is text by nature is such a template (url, headers, subject, id, search attributes). What
an expression gives is put in by the place it stands in, so that an event can never write structure: percent-encoded in
a URL, without line breaks in a header, as one token in a subject.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from holdfast.domain import macros
from holdfast.domain.expressions import EVENT, Absent, Bound, Expression, Failed, Found, Language
from holdfast.errors import ErrorCode, RejectedInput, bounded

_HOST = re.compile(r"https?://[^\s/?#@\\]+[/?#]")
_WHOLE_URL = re.compile(r"https?://[^\s/?#@\\]+[^\s\\]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TOKENS = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_NO_TEXT = ("LIST", "MAP", "NULL", "BYTES", "TYPE", "OPTIONAL")
MAX_ID = 400  # characters; Temporal takes 1,000 bytes
MAX_TEXT = 8_192  # characters of a URL or a header


class MappingError(Exception):
    """A value could not be computed for this event, or may not stand where it should."""


@dataclass(frozen=True, slots=True)
class Template:
    """One compiled text; `parts` are texts and expressions in their order."""

    source: str
    parts: tuple[str | Expression, ...]

    @property
    def whole(self) -> Expression | None:
        """The expression, where the text is nothing but one."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only if isinstance(only, Expression) else None

    @property
    def is_literal(self) -> bool:
        """Whether nothing is to be evaluated."""
        return all(isinstance(part, str) for part in self.parts)

    def literal(self) -> str:
        """Return the text with its expressions left out."""
        return "".join(part for part in self.parts if isinstance(part, str))

    def render(self, bound: Bound, written: Callable[[str], str] = str) -> str:
        """Put the values in, each as `written` has it. Raises MappingError."""
        return "".join(
            part if isinstance(part, str) else written(_text(evaluate(part, bound), part.source)) for part in self.parts
        )


def has_template(text: str) -> bool:
    """Whether a text holds `${`, escaped or not."""
    return "${" in text


def parse(text: str, language: Language = EVENT) -> Template:
    """Compile. Raises RejectedInput `config.invalid`."""
    parts: list[str | Expression] = []
    literal, position = "", 0
    while position < len(text):
        if text.startswith("$${", position):
            literal, position = literal + "${", position + 3
        elif text.startswith("${", position):
            _, end = macros.split_top(text, position + 2, "\x00")
            if end >= len(text) or text[end] != "}":
                raise RejectedInput(ErrorCode.CONFIG_INVALID, "a ${ is not closed; write $${ for a plain ${")
            expression = language.compile(text[position + 2 : end].strip())
            parts += [literal, expression] if literal else [expression]
            literal, position = "", end + 1
        else:
            literal, position = literal + text[position], position + 1
    return Template(text, tuple([*parts, literal] if literal or not parts else parts))


def parse_text(text: str, language: Language = EVENT) -> Template:
    """Compile a template whose values must be texts, numbers, truth values or times. Raises RejectedInput."""
    template = parse(text, language)
    for part in template.parts:
        if isinstance(part, Expression) and part.returns.startswith(_NO_TEXT):
            raise RejectedInput(
                ErrorCode.CONFIG_INVALID, f"${{{part.source}}} is a {part.returns.lower()}, it must be text or a number"
            )
    return template


def parse_url(text: str, language: Language = EVENT) -> Template:
    """Compile a URL: its scheme and host are written out, unless all of it is one `${…}`. Raises RejectedInput."""
    template = parse_text(text, language)
    first = template.parts[0]
    if template.whole is None and not (
        isinstance(first, str) and (_HOST.match(first) if not template.is_literal else _WHOLE_URL.fullmatch(first))
    ):
        raise RejectedInput(
            ErrorCode.CONFIG_INVALID,
            "must be http(s)://host/…: an event may choose path and query, never a part of the host; to map all of it,"
            " write one ${…}",
        )
    if any(isinstance(part, str) and re.search(r"\s", part) for part in template.parts):
        raise RejectedInput(ErrorCode.CONFIG_INVALID, "a URL holds no blanks; encode them as %20")
    return template


def url(template: Template, bound: Bound) -> str:
    """Return the URL for an event; values are percent-encoded. Raises MappingError."""
    if template.whole is not None:
        text = template.render(bound)
        if not _WHOLE_URL.fullmatch(text) or _CONTROL.search(text):
            raise MappingError(f"url: {template.source} gave no http(s) URL with a host and without credentials")
    else:
        text = template.render(bound, lambda value: quote(value, safe=""))
        if not template.is_literal:
            _check_path(text, template)
    if len(text) > MAX_TEXT:
        raise MappingError(f"url: is longer than {MAX_TEXT} characters")
    return text


def _check_path(text: str, template: Template) -> None:
    """No segment may become empty, `.` or `..`: the call would go to another resource than the one meant."""
    written = [segment for part in template.parts if isinstance(part, str) for segment in part.split("/")]
    for segment in urlsplit(text).path.split("/"):
        if segment in {".", ".."} and segment not in written:
            raise MappingError("url: a value became the path segment . or ..")
    marked = urlsplit("".join(part if isinstance(part, str) else "\ue000" for part in template.parts)).path.split("/")
    for mark, segment in zip(marked, urlsplit(text).path.split("/"), strict=False):
        if "\ue000" in mark and not segment:
            raise MappingError("url: a value left a path segment empty")


def header(template: Template, bound: Bound, name: str) -> str:
    """Return a header's value for an event. Raises MappingError for what would begin another header."""
    text = template.render(bound)
    if _CONTROL.search(text) or len(text) > MAX_TEXT:
        raise MappingError(f"headers.{name}: the value has a line break or control character, or is too long")
    if not text.isascii():
        raise MappingError(f"headers.{name}: the value is not ASCII; url.encode() it")
    return text.strip()


def subject(template: Template, bound: Bound) -> str:
    """Return a NATS subject for an event; each value is one token. Raises MappingError."""

    def token(value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", value):
            raise MappingError(f"subject: {bounded(repr(value), 100)} is no token of letters, digits, - and _")
        return value

    return template.render(bound, token)


def parse_subject(text: str, language: Language = EVENT) -> Template:
    """Compile a NATS subject; its first word is written out. Raises RejectedInput."""
    template = parse_text(text, language)
    sample = "".join(part if isinstance(part, str) else "x" for part in template.parts)
    first = template.parts[0]
    if not _TOKENS.fullmatch(sample) or not isinstance(first, str) or (not template.is_literal and "." not in first):
        raise RejectedInput(ErrorCode.CONFIG_INVALID, "must be words with dots between them, the first written out")
    return template


def workflow_id(template: Template, bound: Bound) -> str:
    """Return a workflow id for an event; `/` in values is encoded, so it is never one of Holdfast's own."""
    text = template.render(bound, lambda value: value.replace("%", "%25").replace("/", "%2F"))
    if not text.strip() or _CONTROL.search(text) or len(text) > MAX_ID:
        raise MappingError(f"id: is empty, longer than {MAX_ID} characters or has control characters")
    return text


def evaluate(expression: Expression, bound: Bound) -> Any:
    """Return the value. Raises MappingError where there is none."""
    match expression.evaluate(bound):
        case Found(value):
            return value
        case Absent(reason) | Failed(reason):
            raise MappingError(f"{expression.source}: {reason}")


def _text(value: Any, source: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    kind = "null" if value is None else "a list" if isinstance(value, list) else "an object"
    raise MappingError(f"{source}: gave {kind}, not text or a number")
