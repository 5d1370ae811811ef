"""Checks JSON as strictly as `parse_json` and picks values out of it, without building the rest: bounded memory.

A body of 25 MiB may become a gigabyte of Python objects; here it costs its bytes, a hash per key, and the values asked
for. No single step holds the interpreter for more than about a millisecond, so in a thread it stops nobody.
Flow: large body → **scan** → the values that presets, filters and mappings read.
"""

import codecs
import json
import math
import re
from array import array
from collections.abc import Iterable
from typing import Any, NoReturn

from holdfast.errors import ErrorCode, RejectedInput

MAX_DEPTH = 64  # levels; deeper JSON is an attack or an accident, and recursion ends near 1,000
MAX_VALUES = 1_250_000  # of one body; GitHub's payloads have one per 25 to 50 bytes, at most 1.1 million in 25 MB
MAX_PICKED = 4_194_304  # bytes of one value that is picked out; the whole of a body is asked for with the path ()

Path = tuple[str, ...]

_STEP = 65_536  # bytes looked at in one call into C
_BUCKETS = 16
_WS = rb"[ \t\r\n]*+"
_ESCAPE = (
    rb"\\(?:[\"\\/bfnrt]|u(?:[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?![dD][89a-fA-F])[0-9a-fA-F]{4}))"
)
_INSIDE = rb"(?:[^\"\\\x00-\x1f]++|" + _ESCAPE + rb")*+"
_NUMBER = rb"-?(?:0|[1-9][0-9]{0,199}+)(?:\.[0-9]{1,200}+)?(?:[eE][+-]?[0-9]{1,2}+)?(?![0-9.eE+-])"
_PLAIN = rb"(?:true|false|null|" + _NUMBER + rb")(?![0-9A-Za-z])"
_TEXT = re.compile(_INSIDE)
_SPACE = re.compile(_WS)
_RUN = re.compile(rb"(?:" + _WS + _PLAIN + _WS + rb",)*+")  # of an array
_SCALAR = re.compile(_PLAIN)
_LONG_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?(?![0-9A-Za-z.+-])")
_SIMPLE = _WS + rb"\"%s[^\"\\\x00-\x1f]*+%s\"" + _WS + rb":" + _WS
_SIMPLE += rb"(?:\"[^\"\\\x00-\x1f]*+\"|true(?!\w)|false(?!\w)|null(?!\w)|-?(?:0|[1-9][0-9]{0,18}+)(?![\w.+-]))" + _WS
_MEMBERS = re.compile(rb"(?:" + _SIMPLE % (b"", b"") + rb",)*+")  # of an object, without escapes
_FLAT = re.compile(rb"\{(?:(?:" + _SIMPLE % (b"", b"") + rb",)*+" + _SIMPLE % (b"", b"") + rb"|" + _WS + rb")\}")
_KEYS = re.compile(_SIMPLE % (b"(", b")") + rb"[,}]")
_MEMBER = re.compile(
    _WS
    + rb"\"("
    + _INSIDE
    + rb")\""
    + _WS
    + rb":"
    + _WS
    + rb"(?:(?:\""
    + _INSIDE
    + rb"\"|"
    + _PLAIN
    + rb")"
    + _WS
    + rb"([,}])|)"
)
_ELEMENT = re.compile(_WS + rb"\"" + _INSIDE + rb"\"" + _WS + rb"([,\]])")
_MAX_DIGITS = 4_300  # Python reads no longer whole number
_OBJECT, _ARRAY = ord("{"), ord("[")


def scan(body: bytes, paths: Iterable[Path] = ()) -> Any:
    """Check `body`, UTF-8, and return the values at `paths` (keys of objects) where they stood: `{"a": {"b": 1}}`.

    A path that meets something other than an object keeps that whole; `()` is everything. Raises RejectedInput
    `request.malformed` for what is not strict JSON, is too deep, has too many values, or holds a picked value
    over MAX_PICKED.
    """
    _check_utf8(body)
    scanner = _Scanner(body, _trie(paths))
    scanner.run()
    return scanner.picked


def _trie(paths: Iterable[Path]) -> dict[str, Any] | None:
    """Paths as nested dictionaries; None is the end of one: the whole value."""
    root: dict[str, Any] = {}
    for path in paths:
        if not path:
            return None
        node = root
        for step in path[:-1]:
            below = node.setdefault(step, {})
            if below is None:
                break
            node = below
        else:
            node[path[-1]] = None
    return root


class _Level:
    """An object or array that is open."""

    __slots__ = ("into", "is_object", "keys", "wanted")

    def __init__(self, is_object: bool, wanted: dict[str, Any], into: dict[str, Any]) -> None:
        self.is_object = is_object
        self.keys = array("q")  # hashes: of a million keys 8 MB
        self.wanted = wanted
        self.into = into


_NOTHING: dict[str, Any] = {}


class _Scanner:
    def __init__(self, body: bytes, wanted: dict[str, Any] | None) -> None:
        self._body = body
        self._wanted = wanted
        self._at = 0
        self._values = 0
        self._levels: list[_Level] = []
        self._pending: list[tuple[int, int, dict[str, Any], str]] = []  # depth, begin, into, key: picked when it ends
        self._root: dict[str, Any] = {}
        self.picked: Any = {}

    def run(self) -> None:
        self._space()
        begin, wanted = self._at, self._wanted
        if wanted is None or self._byte() != _OBJECT:
            stands_for: Any = [] if self._byte() == _ARRAY else None  # what no path of keys can lead into
            self._value(_NOTHING, {}, None)
            while self._levels:
                self._step()
            self.picked = _read(self._body[begin : self._at], whole=True) if wanted is None else stands_for
        else:
            self._open(is_object=True, wanted=wanted, into=self._root)
            while self._levels:
                self._step()
            self.picked = self._root
        self._space()
        if self._at != len(self._body):
            _refuse("the body is not valid JSON")

    def _step(self) -> None:
        if self._levels[-1].is_object:
            self._member(self._levels[-1])
        else:
            self._elements(self._levels[-1])

    def _member(self, level: _Level) -> None:
        """Read one member; where its value is short and a scalar, all in one match."""
        if not level.wanted and self._run(level):
            return
        found = _MEMBER.match(self._body, self._at, self._at + _STEP)
        if found is None:
            key = self._long_key()
            end = None
        else:
            key = found.group(1)
            self._at, end = found.end(), found.group(2)
        if b"\\" in key:
            key = json.loads(b'"' + key + b'"').encode("utf-8", "surrogatepass")
        level.keys.append(hash(key))
        wanted = level.wanted
        if wanted and (name := key.decode()) in wanted:
            if end is not None:  # read it again, to keep it
                raw = found.group(0) if found is not None else b""
                level.into[name] = _read(raw[raw.index(b":", len(found.group(1)) + 2) + 1 : -1]) if found else None
                self._count()
                self._close_or_go_on(level, end)
                return
            self._value(wanted[name] if wanted[name] is not None else _NOTHING, level.into, name)
            return
        if end is None:
            self._value(_NOTHING, {}, None)
            return
        self._count()
        self._close_or_go_on(level, end)

    def _run(self, level: _Level) -> bool:
        """Read the members up to the next that is an object, an array, long or the last; nothing of them is kept."""
        run = _MEMBERS.match(self._body, self._at, self._at + _STEP // 4)
        if run is None or run.end() == self._at:
            return False
        keys = _KEYS.findall(self._body, self._at, run.end())
        level.keys.extend(map(hash, keys))
        self._count(len(keys))
        self._at = run.end()
        if not self._next_is(b'"'):
            _refuse("the body is not valid JSON")
        return True

    def _flat(self) -> bool:
        """Read a short object of plain members at once, which most objects are."""
        flat = _FLAT.match(self._body, self._at, self._at + _STEP // 16)
        if flat is None or len(self._levels) >= MAX_DEPTH:
            return False
        keys = _KEYS.findall(self._body, self._at + 1, flat.end())
        if len(set(keys)) != len(keys):
            _refuse("a key comes twice in one object")
        self._count(1 + len(keys))
        self._at = flat.end()
        return True

    def _close_or_go_on(self, level: _Level, end: bytes) -> None:
        if end == b",":
            if self._next_is(b'"'):
                return
            _refuse("the body is not valid JSON")
        self._close(level)

    def _elements(self, level: _Level) -> None:
        """Read elements of an array: runs of numbers at once, then one."""
        run = _RUN.match(self._body, self._at, self._at + _STEP)
        if run is not None and run.end() > self._at:
            self._count(self._body.count(b",", self._at, run.end()))
            self._at = run.end()
            if self._at_close():
                _refuse("the body is not valid JSON")
            return
        text = _ELEMENT.match(self._body, self._at, self._at + _STEP)
        if text is None:
            self._space()
            self._value(_NOTHING, {}, None)
            return
        self._at = text.end()
        self._count()
        if text.group(1) == b"]":
            self._close(level)
        elif self._at_close():
            _refuse("the body is not valid JSON")

    def _value(self, wanted: dict[str, Any], into: dict[str, Any], key: str | None) -> None:
        """Read one value at the place; an object or array is only entered."""
        begin, kind = self._at, self._byte()
        if key is not None and (kind != _OBJECT or not wanted):
            self._pending.append((len(self._levels), begin, into, key))
            wanted = _NOTHING
        if kind == _OBJECT and not wanted and self._flat():
            self._ended()
            return
        if kind == _OBJECT:
            below: dict[str, Any] = {}
            if key is not None and wanted:
                into[key] = below
            self._open(is_object=True, wanted=wanted, into=below)
            return
        if kind == _ARRAY:
            self._open(is_object=False, wanted=_NOTHING, into={})
            return
        self._count()
        if kind == ord('"'):
            self._text()
        else:
            self._scalar()
        self._ended()

    def _ended(self) -> None:
        """A value has ended here: keep it where it was asked for, and go on behind it."""
        if self._pending and self._pending[-1][0] == len(self._levels):
            _, begin, into, key = self._pending.pop()
            into[key] = _read(self._body[begin : self._at])
        if not self._levels:
            return
        self._space()
        level, byte = self._levels[-1], self._byte()
        self._at += 1
        if byte == ord(","):
            if level.is_object:
                if not self._next_is(b'"'):
                    _refuse("the body is not valid JSON")
            elif self._at_close():
                _refuse("the body is not valid JSON")
        elif byte == ord("}" if level.is_object else "]"):
            self._close(level)
        else:
            _refuse("the body is not valid JSON")

    def _open(self, *, is_object: bool, wanted: dict[str, Any], into: dict[str, Any]) -> None:
        if len(self._levels) >= MAX_DEPTH:
            _refuse(f"the JSON is nested deeper than {MAX_DEPTH} levels")
        self._count()
        self._at += 1
        self._levels.append(_Level(is_object, wanted, into))
        if self._next_is(b"}" if is_object else b"]"):
            self._at += 1
            self._close(self._levels[-1])

    def _close(self, level: _Level) -> None:
        """End the innermost level; the place is behind its bracket."""
        if level.is_object and _repeats(level.keys):
            _refuse("a key comes twice in one object")
        self._levels.pop()
        self._ended()

    def _text(self) -> None:
        """Pass one text, a piece at a time."""
        self._at += 1
        while True:
            found = _TEXT.match(self._body, self._at, self._at + _STEP)
            end = found.end() if found is not None else self._at
            if self._body[end : end + 1] == b'"':
                self._at = end + 1
                return
            if end == self._at:
                _refuse("the body is not valid JSON, or a text holds a lone surrogate")
            self._at = end

    def _long_key(self) -> bytes:
        self._space()
        if self._byte() != ord('"'):
            _refuse("the body is not valid JSON")
        begin = self._at
        self._text()
        key = self._body[begin + 1 : self._at - 1]
        self._space()
        if self._byte() != ord(":"):
            _refuse("the body is not valid JSON")
        self._at += 1
        self._space()
        return key

    def _scalar(self) -> None:
        found = _SCALAR.match(self._body, self._at, self._at + _STEP)
        if found is None:
            found = _LONG_NUMBER.match(self._body, self._at, self._at + _STEP)
            if found is None or not _readable(found.group()):
                _refuse("the body is not valid JSON, or a number is too large")
        self._at = found.end()

    def _count(self, values: int = 1) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            _refuse(f"the JSON has more than {MAX_VALUES} values")

    def _byte(self) -> int:
        if self._at >= len(self._body):
            _refuse("the body is not valid JSON: it ends too early")
        return self._body[self._at]

    def _next_is(self, byte: bytes) -> bool:
        self._space()
        return self._body[self._at : self._at + 1] == byte

    def _at_close(self) -> bool:
        return self._next_is(b"]")

    def _space(self) -> None:
        while True:
            found = _SPACE.match(self._body, self._at, self._at + _STEP)
            if found is None or found.end() == self._at:
                return
            self._at = found.end()


def _repeats(keys: "array[int]") -> bool:
    """Whether a hash comes twice, looking at a part of many at a time."""
    if len(keys) < 2:
        return False
    if len(keys) <= MAX_VALUES // _BUCKETS:
        return len(set(keys)) != len(keys)
    for bucket in range(_BUCKETS):
        part = [key for key in keys if key % _BUCKETS == bucket]
        if len(set(part)) != len(part):
            return True
    return False


def _readable(number: bytes) -> bool:
    text = number.decode()
    if text.lstrip("-").isdigit():
        return len(text) <= _MAX_DIGITS
    return math.isfinite(float(text))


def _read(raw: bytes, *, whole: bool = False) -> Any:
    if len(raw) > MAX_PICKED and not whole:
        _refuse(f"a value that an expression of the source or a trigger reads is larger than {MAX_PICKED} bytes")
    return json.loads(raw)


def _check_utf8(body: bytes) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(body)
    try:
        for at in range(0, len(body), 16 * _STEP):
            decoder.decode(view[at : at + 16 * _STEP])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise RejectedInput(ErrorCode.REQUEST_MALFORMED, "the body is not UTF-8") from error


def _refuse(reason: str) -> NoReturn:
    raise RejectedInput(ErrorCode.REQUEST_MALFORMED, reason)
