"""The condition of a join, `paid && !shipped`: read once, and asked what is certain before everything has come.

The language is the part of CEL that is made of names, `&&`, `||`, `!` and parentheses. Pure and without CEL's library,
because workflow code asks it. Flow: configuration → **parse** → `joins.py`.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from holdfast.errors import ErrorCode, RejectedInput

MAX_MIXED = 8  # names that stand both plain and negated; each doubles what is looked at
MAX_DEPTH = 40  # parentheses and negations inside each other
_TOKEN = re.compile(r"\s*(?:(&&|\|\||!|\(|\))|([A-Za-z_]\w*)|(\S))")

Present = frozenset[str]


@dataclass(frozen=True, slots=True)
class _Name:
    name: str


@dataclass(frozen=True, slots=True)
class _Not:
    inner: "_Term"


@dataclass(frozen=True, slots=True)
class _Both:
    parts: tuple["_Term", ...]
    all: bool  # every part, or any


_Term = _Name | _Not | _Both


@dataclass(frozen=True, slots=True)
class Condition:
    """A boolean over names. A name is true once its event has come, and stays true."""

    source: str
    _term: _Term

    @property
    def names(self) -> frozenset[str]:
        """The names that it asks for."""
        return frozenset(name for name, _ in _literals(self._term, positive=True))

    @property
    def negated(self) -> frozenset[str]:
        """The names whose coming can make it false."""
        return frozenset(name for name, positive in _literals(self._term, positive=True) if not positive)

    def holds(self, present: Present) -> bool:
        """Whether it is true when exactly these have come."""
        return _value(self._term, present)

    def certain(self, present: Present) -> bool | None:
        """Return what it is whatever else may come; None while that can still change. Exact, never a guess."""
        plain = frozenset(name for name, positive in _literals(self._term, positive=True) if positive)
        mixed = sorted((plain & self.negated) - present)
        rising, falling = plain - self.negated - present, self.negated - plain - present
        found = set()
        for chosen in itertools.product((False, True), repeat=len(mixed)):
            base = present | {name for name, comes in zip(mixed, chosen, strict=True) if comes}
            # of a name that stands plain only, its absence is the worst case and its coming the best
            found |= {self.holds(base | falling), self.holds(base | rising)}
            if len(found) > 1:
                return None
        return found.pop()


def parse(source: str) -> Condition:
    """Read a condition. Raises RejectedInput `config.invalid`, with the place."""
    reader = _Reader(source)
    term = reader.read()
    condition = Condition(source, term)
    plain = {name for name, positive in _literals(term, positive=True) if positive}
    if len(plain & condition.negated) > MAX_MIXED:
        raise _wrong(f"more than {MAX_MIXED} names stand both plain and with `!`")
    return condition


class _Reader:
    """A recursive descent over the tokens."""

    def __init__(self, source: str) -> None:
        found = [(match.group().strip(), match.start()) for match in _TOKEN.finditer(source)]
        self._tokens = [(text, at) for text, at in found if text]
        self._at = 0
        self._depth = 0

    def read(self) -> _Term:
        term = self._any()
        if self._at < len(self._tokens):
            raise _wrong(f"{self._here()} is not expected; write names with &&, ||, ! and parentheses")
        return term

    def _any(self) -> _Term:
        return self._row("||", self._all, every=False)

    def _all(self) -> _Term:
        return self._row("&&", self._one, every=True)

    def _row(self, sign: str, part: Callable[[], _Term], *, every: bool) -> _Term:
        parts = [part()]
        while self._next() == sign:
            self._at += 1
            parts.append(part())
        return parts[0] if len(parts) == 1 else _Both(tuple(parts), every)

    def _one(self) -> _Term:
        word = self._next()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _wrong("is nested too deeply")
        try:
            if word == "!":
                self._at += 1
                return _Not(self._one())
            if word == "(":
                self._at += 1
                inner = self._any()
                if self._next() != ")":
                    raise _wrong("a parenthesis is not closed")
                self._at += 1
                return inner
        finally:
            self._depth -= 1
        if not re.fullmatch(r"[A-Za-z_]\w*", word):
            raise _wrong(f"{self._here()} stands where a name is expected")
        self._at += 1
        return _Name(word)

    def _next(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _here(self) -> str:
        if self._at >= len(self._tokens):
            return "the end"
        token, at = self._tokens[self._at]
        return f"{token!r} at character {at + 1}"


def _literals(term: _Term, *, positive: bool) -> Iterator[tuple[str, bool]]:
    match term:
        case _Name(name):
            yield name, positive
        case _Not(inner):
            yield from _literals(inner, positive=not positive)
        case _Both(parts):
            for part in parts:
                yield from _literals(part, positive=positive)


def _value(term: _Term, present: Present) -> bool:
    match term:
        case _Name(name):
            return name in present
        case _Not(inner):
            return not _value(inner, present)
        case _Both(parts, every):
            return (all if every else any)(_value(part, present) for part in parts)


def _wrong(message: str) -> RejectedInput:
    return RejectedInput(ErrorCode.CONFIG_INVALID, f"not a condition: {message}")
