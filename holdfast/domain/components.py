"""Takes the parts of a signature out of a request: headers, key=value lists, query, form and JSON fields.

Flow: `Scheme` and `SignedRequest` → **components** → material → signatures. What is parsed here is not proven yet, so
each parser is bounded by the size of the body, fails in one way (nothing found), and refuses what has two readings.
"""

import json
from typing import Any
from urllib.parse import parse_qsl

from holdfast.domain.bodies import FORM, media_type
from holdfast.domain.paths import MISSING, walk
from holdfast.domain.schemes import Place, SignedRequest

MAX_FIELDS = 1_000  # of a form or a query
MAX_READ = 1_048_576  # bytes of a body that is read before its sender is known
MAX_ENTRIES = 32  # of a list of key=value

Fields = list[tuple[str, str]]


class Components:
    """The parts of one request, each parsed at most once and only when it is asked for."""

    __slots__ = ("_form", "_json", "_query", "_separator", "request")

    def __init__(self, request: SignedRequest, separator: str | None = None) -> None:
        self.request = request
        self._separator = (separator or ",").encode()
        self._query: Fields | None = None
        self._form: Fields | None = None
        self._json: Any = None

    def values(self, place: Place) -> list[bytes]:
        """Everything that stands at a place: more than one value is for the caller to refuse."""
        match place.kind:
            case "header":
                return self.request.header(place.name)
            case "kv":
                return self._entries(place)
            case "query":
                return _named(self.query(), place.name)
            case "form":
                return _named(self.form() or [], place.name)
            case "json":
                value = self.json_text(place.name)
                return [] if value is None else [value]

    def query(self) -> Fields:
        """Fields of the query; none where it cannot be read."""
        if self._query is None:
            self._query = _parse(self.request.query) or []
        return self._query

    def form(self) -> Fields | None:
        """Fields of the body where it is a form by its type and can be read."""
        if self._form is None and len(self.request.body) <= MAX_READ and self._is_form():
            try:
                self._form = _parse(self.request.body.decode("utf-8"))
            except UnicodeDecodeError:
                return None
        return self._form

    def json_text(self, path: str) -> bytes | None:
        """Return the text, whole number or truth value at a dotted path of the body, as UTF-8."""
        value = walk(self.json(), path.split("."))
        if isinstance(value, bool):
            return b"true" if value else b"false"
        if isinstance(value, int) and abs(value) < 10**18:
            return str(value).encode()
        try:
            return value.encode("utf-8") if isinstance(value, str) else None
        except UnicodeEncodeError:
            return None

    def present(self, path: str) -> bool:
        """Whether anything but null stands at a dotted path of the body, in any element where it says `+`."""
        head, plus, rest = path.partition(".+.")
        found = walk(self.json(), head.split("."))
        if not plus:
            return found is not MISSING and found is not None
        elements = found if isinstance(found, list) else []
        inside = (walk(element, rest.split(".")) for element in elements)
        return any(one is not MISSING and one is not None for one in inside)

    def texts(self, path: str, limit: int) -> list[bytes]:
        """Return the list of texts at a path of the body; nothing where it is another thing, or longer than that."""
        found = walk(self.json(), path.split("."))
        if not isinstance(found, list) or len(found) > limit or not all(isinstance(one, str) for one in found):
            return []
        return [one.encode("utf-8", "replace") for one in found]

    def json(self) -> Any:
        """Return the body as JSON, whatever its type says; MISSING where it is none, names a key twice, or is large."""
        if len(self.request.body) > MAX_READ:
            return MISSING
        if self._json is None:
            try:
                self._json = json.loads(self.request.body, object_pairs_hook=_unique, parse_constant=_refuse)
            except (ValueError, RecursionError):
                self._json = MISSING
        return self._json

    def _entries(self, place: Place) -> list[bytes]:
        key = place.key.encode() + b"="
        found: list[bytes] = []
        for value in self.request.header(place.name):
            entries = value.split(self._separator, MAX_ENTRIES)
            found += [entry[len(key) :] for entry in entries[:MAX_ENTRIES] if entry.startswith(key)]
        return found

    def _is_form(self) -> bool:
        types = self.request.header("content-type")
        return len(types) == 1 and media_type(types[0].decode("latin-1")) == FORM


def _named(fields: Fields, name: str) -> list[bytes]:
    return [value.encode("utf-8") for key, value in fields if key == name]


def _parse(text: str) -> Fields | None:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that comes twice: the next reader may take the other one, which nobody signed."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _refuse(name: str) -> None:
    raise ValueError(name)
