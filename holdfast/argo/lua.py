"""Argo's Lua filter scripts, as far as they are decisions: `if`, `return`, `local`, comparisons and simple calls.

A script must return exactly `true`. What loops, assigns or calls the library is refused, with the reason.
"""

from dataclasses import dataclass
from typing import Any

from holdfast.argo.cel import NIL, Writer
from holdfast.argo.findings import Untranslatable
from holdfast.argo.payload import Layout
from holdfast.argo.terms import Constant, Name, Parser, Term, tokens


@dataclass(frozen=True, slots=True)
class Return:
    """`return term`."""

    term: Term


@dataclass(frozen=True, slots=True)
class If:
    """One `if` with its branches; the last condition may be None: `else`."""

    branches: tuple[tuple[Term | None, tuple["Statement", ...]], ...]


@dataclass(frozen=True, slots=True)
class Local:
    """`local name = term`."""

    name: str
    term: Term


Statement = Return | If | Local


def script(text: str, layout: Layout) -> str:
    """CEL of a script. Raises Untranslatable."""
    parser = Parser(tokens(text), "lua")
    block = _block(parser)
    if parser.peek()[0] != "end":
        raise Untranslatable(f"syntax error at {parser.peek()[1]!r}")
    return f"type(event.data) == map && {_written(block, {}, layout)}"


def _block(parser: Parser) -> tuple[Statement, ...]:
    found: list[Statement] = []
    while parser.peek()[0] != "end" and parser.peek()[1] not in {"end", "else", "elseif"}:
        if parser.take(";"):
            continue
        if parser.take("return"):
            ends = parser.peek()[0] == "end" or parser.peek()[1] in {"end", "else", "elseif", ";"}
            found.append(Return(Constant(None) if ends else parser.term()))
            parser.take(";")
            break
        found.append(_statement(parser))
    return tuple(found)


def _statement(parser: Parser) -> Statement:
    if parser.take("if"):
        branches: list[tuple[Term | None, tuple[Statement, ...]]] = []
        condition: Term | None = parser.term()
        parser.expect("then")
        branches.append((condition, _block(parser)))
        while parser.take("elseif"):
            condition = parser.term()
            parser.expect("then")
            branches.append((condition, _block(parser)))
        if parser.take("else"):
            branches.append((None, _block(parser)))
        parser.expect("end")
        return If(tuple(branches))
    if parser.take("local"):
        kind, name = parser.peek()
        if kind != "name" or parser.peek(1)[1] != "=":
            raise Untranslatable(f"`local {name}` is not simple")
        parser.position += 2
        return Local(name, parser.term())
    raise Untranslatable(f"`{parser.peek()[1]}`: only if, local and return are simple enough")


def _written(block: tuple[Statement, ...], known: dict[str, Term], layout: Layout) -> str:
    """CEL of statements; a block that ends without `return` gives nil, which is not true."""
    if not block:
        return "false"
    first, rest = block[0], block[1:]
    writer = Writer("lua", lambda name: _variable(name, layout))
    match first:
        case Return(term):
            return writer.strict(_inlined(term, known))
        case Local(name, term):
            return _written(rest, known | {name: _inlined(term, known)}, layout)
        case If(branches):
            text = _written(rest, known, layout)
            for condition, inner in reversed(branches):
                body = _written((*inner, *rest), known, layout)
                text = (
                    body if condition is None else f"({writer.condition(_inlined(condition, known))} ? {body} : {text})"
                )
            return text


def _inlined(term: Term, known: dict[str, Term]) -> Term:
    """Put the terms of locals in their place: a script without assignments has no other order of things."""
    if isinstance(term, Name):
        return known.get(term.name, term)
    if isinstance(term, Constant):
        return term
    changes: dict[str, Any] = {}
    for name in term.__slots__:
        value = getattr(term, name)
        if isinstance(value, tuple):
            changes[name] = tuple(_inlined(one, known) for one in value)
        else:
            changes[name] = value if isinstance(value, str) else _inlined(value, known)
    return type(term)(**changes)


def _variable(path: str, layout: Layout) -> str:
    name, *names = path.split("\x00")
    if name != "event":
        return f"{NIL}.field" if names else "null"
    return layout.names(names) if names else layout.whole()
