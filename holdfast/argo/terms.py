"""Parses the three expression languages of Argo Events into one tree: govaluate (`exprs`), expr (`filter`), and Lua.

Flow: manifest → **terms** → cel → holdfast.yaml. Only reads; what a tree means is decided in `holdfast/argo/cel.py`.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

from holdfast.argo.findings import Untranslatable

Dialect = Literal["govaluate", "expr", "lua"]


@dataclass(frozen=True, slots=True)
class Constant:
    """A value: text, number, truth value or None."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    """A variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Get:
    """A field or an element."""

    of: "Term"
    key: "Term"


@dataclass(frozen=True, slots=True)
class Call:
    """A call; `method` is the name after `.` or `:`, else `function` alone."""

    function: str
    arguments: tuple["Term", ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """`!`, `-` or `#`."""

    operator: str
    term: "Term"


@dataclass(frozen=True, slots=True)
class Binary:
    """Two sides and an operator, spelled as in govaluate (`&&`, `==`, `=~`, `in`, …)."""

    operator: str
    left: "Term"
    right: "Term"


@dataclass(frozen=True, slots=True)
class Choice:
    """`if_ ? then : otherwise`."""

    if_: "Term"
    then: "Term"
    otherwise: "Term"


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple["Term", ...]


Term = Constant | Name | Get | Call | Unary | Binary | Choice | Items

_TOKEN = re.compile(
    r"""\s*(?:(?P<comment>--\[\[.*?\]\]|--[^\n]*)|(?P<number>(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?))"""
    r"""|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)|(?P<name>[A-Za-z_]\w*)"""
    r"""|(?P<op>===|!==|==|!=|~=|=~|!~|<=|>=|&&|\|\||\?\?|\?\.|\*\*|\.\.|[-+*/%^<>=!?:.,()\[\]{}#;]))""",
    re.DOTALL,
)
_BINDING = {
    "?": 0, "||": 1, "or": 1, "??": 2, "&&": 3, "and": 3,
    "==": 4, "!=": 4, "~=": 4, "=~": 4, "!~": 4, "<": 4, "<=": 4, ">": 4, ">=": 4,
    "in": 4, "not in": 4, "contains": 4, "startsWith": 4, "endsWith": 4, "matches": 4,
    "..": 5, "+": 6, "-": 6, "*": 7, "/": 7, "%": 7, "**": 9, "^": 9,
}  # fmt: skip
_SPELLED = {"or": "||", "and": "&&", "~=": "!=", "^": "**"}
_WORDS = {
    "expr": {"or", "and", "in", "contains", "startsWith", "endsWith", "matches", "not"},
    "lua": {"or", "and", "not"},
}
_SYMBOLS = {
    "govaluate": {
        "?",
        "||",
        "??",
        "&&",
        "==",
        "!=",
        "=~",
        "!~",
        "<",
        "<=",
        ">",
        ">=",
        "in",
        "+",
        "-",
        "*",
        "/",
        "%",
        "**",
    },
    "expr": {"?", "||", "??", "&&", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "**", "^"},
    "lua": {"==", "~=", "<", "<=", ">", ">=", "..", "+", "-", "*", "/", "%", "^"},
}
Token = tuple[str, str]


def tokens(text: str, dialect: Dialect = "lua") -> list[Token]:
    """Split a text. Raises Untranslatable."""
    found, position = [], 0
    while position < len(text):
        if dialect == "govaluate" and (name := re.match(r"\s*\[([^\[\]\"']+)\]", text[position:])):
            found.append(("name", name.group(1)))  # a variable whose name is no word
            position += name.end()
            continue
        match = _TOKEN.match(text, position)
        if match is None:
            if not text[position:].strip():
                break
            raise Untranslatable(f"cannot be read at {text[position : position + 20].strip()!r}")
        position, kind = match.end(), str(match.lastgroup)
        if kind != "comment":
            found.append((kind, match.group(kind)))
    return found


class Parser:
    """Reads terms from tokens, by the precedence of their operators."""

    def __init__(self, given: list[Token], dialect: Dialect) -> None:
        self.given, self.dialect, self.position = given, dialect, 0

    def peek(self, ahead: int = 0) -> Token:
        """The next token, or an end mark."""
        at = self.position + ahead
        return self.given[at] if at < len(self.given) else ("end", "")

    def take(self, *texts: str) -> bool:
        """Take the next token where it is one of these."""
        kind, text = self.peek()
        if kind in {"op", "name"} and text in texts:
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> None:
        """Take a token that must come. Raises Untranslatable."""
        if not self.take(text):
            raise Untranslatable(f"syntax error: {text!r} expected before {self.peek()[1] or 'the end'!r}")

    def term(self, least: int = 0) -> Term:
        """Read one term whose operators bind at least this much. Raises Untranslatable."""
        left = self._unary()
        while (operator := self._operator()) is not None and _BINDING[operator] >= least:
            self.position += 2 if operator == "not in" else 1
            if operator == "?":
                then = self.term(0)
                self.expect(":")
                left = Choice(left, then, self.term(0))
                continue
            right = self.term(_BINDING[operator] + (operator not in {"**", "^", ".."}))
            left = Binary(_SPELLED.get(operator, operator), left, right)
        return left

    def _operator(self) -> str | None:
        kind, text = self.peek()
        if kind == "name" and text == "not" and self.peek(1)[1] == "in" and self.dialect == "expr":
            return "not in"
        if kind not in {"op", "name"} or text == "not":
            return None
        known = _SYMBOLS[self.dialect] | _WORDS.get(self.dialect, set())
        if text in known and text in _BINDING:
            return text
        if kind == "op" and text in {"===", "!==", "=", "&&", "||", "!=", "=~", "!~", "~=", "**", "^", ".."}:
            raise Untranslatable(f"the operator {text!r} is not one of this language")
        return None

    def _unary(self) -> Term:
        kind, text = self.peek()
        if (kind == "op" and text == "!" and self.dialect != "lua") or (
            kind == "name" and text == "not" and self.dialect != "govaluate"
        ):
            self.position += 1
            return Unary("!", self.term(8))
        if kind == "op" and text in {"-", "#"} and (text == "-" or self.dialect == "lua"):
            self.position += 1
            return Unary(text, self.term(8))
        return self._postfix(self._primary())

    def _primary(self) -> Term:
        kind, text = self.peek()
        self.position += 1
        if kind == "number":
            return Constant(
                int(text, 16) if text.startswith("0x") else float(text) if re.search("[.eE]", text) else int(text)
            )
        if kind == "string":
            return Constant(_unquoted(text))
        if kind == "name":
            constants = {"true": True, "false": False, "nil": None, "null": None}
            return Constant(constants[text]) if text in constants else Name(text)
        if text == "(":
            items = self._until(")")
            return items[0] if len(items) == 1 else Items(items)
        if text == "[":
            return Items(self._until("]"))
        raise Untranslatable(f"syntax error at {text or 'the end'!r}")

    def _until(self, closing: str) -> tuple[Term, ...]:
        items: list[Term] = []
        if self.take(closing):
            return ()
        while True:
            items.append(self.term())
            if self.take(closing):
                return tuple(items)
            self.expect(",")

    def _postfix(self, term: Term) -> Term:
        while True:
            if self.take(".", "?."):
                kind, name = self.peek()
                if kind not in {"name", "number"}:
                    raise Untranslatable(f"syntax error after '.': {name!r}")
                self.position += 1
                term = Get(term, Constant(name))
            elif self.dialect != "govaluate" and self.take("["):
                term = Get(term, self.term())
                self.expect("]")
            elif self.dialect == "lua" and self.peek()[1] == ":" and self.peek(1)[0] == "name":
                name = self.peek(1)[1]
                self.position += 2
                self.expect("(")
                term = Call(f"string.{name}", (term, *self._until(")")))
            elif self.take("("):
                term = Call(_called(term), self._until(")"))
            else:
                return term


def _called(term: Term) -> str:
    match term:
        case Name(name):
            return name
        case Get(Name(name), Constant(str(field))):
            return f"{name}.{field}"
    raise Untranslatable("calls what is no function")


def _unquoted(text: str) -> str:
    if text[0] == "`":
        return text[1:-1]
    escapes = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda found: escapes.get(found.group(1), found.group(1)), text[1:-1], flags=re.DOTALL)


def parse(text: str, dialect: Dialect) -> Term:
    """Read a whole expression. Raises Untranslatable."""
    parser = Parser(tokens(text, dialect), dialect)
    term = parser.term()
    if parser.peek()[0] != "end":
        raise Untranslatable(f"syntax error at {parser.peek()[1]!r}")
    return term
