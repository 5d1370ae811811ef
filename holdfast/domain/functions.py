"""The functions an expression may call beyond CEL's own: JSON, base64, hashes, URLs, expressions, time, networks.

All are pure: equal events give equal results, so nothing here reads the clock, draws a random number or looks anything
up. A text or bytes with a NUL is refused, because the binding would cut it there.
"""

import base64
import hashlib
import ipaddress
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urlencode
from zoneinfo import ZoneInfo

import re2

from holdfast.clock import rfc3339
from holdfast.domain.windows import Days, inside, parse_days, parse_time

_NAMESPACES = {"dns": uuid.NAMESPACE_DNS, "url": uuid.NAMESPACE_URL, "oid": uuid.NAMESPACE_OID}


@dataclass(frozen=True, slots=True)
class Function:
    """One function: `parameters` and `returns` are CEL's names of types; `example` is for people."""

    name: str
    parameters: tuple[str, ...]
    returns: str
    run: Callable[..., Any]
    example: str
    gives: str


def plain(value: Any) -> Any:
    """JSON data of what CEL hands over: times as RFC 3339, bytes as UTF-8 text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8")
    return rfc3339(value) if isinstance(value, datetime) else value


def compact(value: Any) -> str:
    """JSON without spaces, keys sorted: CEL's maps have no order, and equal events must give equal texts."""
    return json.dumps(plain(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def as_text(value: Any) -> str:
    """Any value as text: texts as they are, whole numbers without a point, everything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return rfc3339(value) if isinstance(value, datetime) else compact(value)


def moment(value: Any) -> datetime:
    """A timestamp, an RFC 3339 text or seconds since 1970 as an aware time. Raises ValueError."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"a {type(value).__name__} is not a time")
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return found


def cidr(address: Any, network: str) -> bool:
    """Whether a text is an address in a network; what is no address is in none."""
    try:
        return isinstance(address, str) and ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        ipaddress.ip_network(network, strict=False)  # the network is the author's: an error, not a mismatch
        return False


def in_window(at: Any, days: str, start: str, end: str, zone: str) -> bool:
    """Whether a time lies in a daily window of a time zone."""
    allowed: Days = parse_days(days)
    return inside(moment(at), allowed, parse_time(start), parse_time(end), zone)


def _bytes(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes | bytearray) else as_text(value).encode("utf-8")


def _unbase64(value: str) -> bytes:
    text = "".join(value.split()).replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _hash(name: str) -> Callable[[Any], str]:
    return lambda value: hashlib.new(name, _bytes(value), usedforsecurity=False).hexdigest()


def _extract(text: str, pattern: str) -> str:
    found = regular(pattern).search(text)
    if found is None:
        raise LookupError(f"nothing matches {pattern!r}")
    return found.group(1 if found.re.groups else 0) or ""


def regular(pattern: str) -> Any:
    """Compile RE2, which takes linear time whatever the text is. Raises ValueError."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        raise ValueError(f"not a regular expression (RE2): {pattern!r}") from error


def _uuid5(namespace: str, name: str) -> str:
    return str(uuid.uuid5(_NAMESPACES.get(namespace) or uuid.UUID(namespace), name))


def _query(values: dict[str, Any]) -> str:
    pairs = {
        name: [as_text(v) for v in item] if isinstance(item, list) else as_text(item) for name, item in values.items()
    }
    return urlencode(sorted(pairs.items()), doseq=True)


def _parsed(text: str, layout: str, zone: str) -> datetime:
    found = datetime.strptime(text, layout)  # noqa: DTZ007 - the zone is given beside it
    return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)


def _formatted(at: Any, layout: str, zone: str) -> str:
    return moment(at).astimezone(ZoneInfo(zone)).strftime(layout)


def _whole(value: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse a result that the binding would cut at a NUL without a word."""

    def guarded(*arguments: Any) -> Any:
        result = value(*arguments)
        if (isinstance(result, str) and "\x00" in result) or (isinstance(result, bytes) and b"\x00" in result):
            raise ValueError("the result holds a NUL, which an expression cannot see whole")
        return result

    return guarded


def standard() -> tuple[Function, ...]:
    """Return every function, in the order of the documentation."""
    return tuple(
        Function(n, tuple(p.split()), r, _whole(run), example, gives) for n, p, r, run, example, gives in _ROWS
    )


_ROWS: tuple[tuple[str, str, str, Callable[..., Any], str, str], ...] = (
    ("json.encode", "dyn", "string", compact, 'json.encode({"a": 1})', '{"a":1}'),
    ("json.decode", "string", "dyn", json.loads, "json.decode('[1]')[0]", "1"),
    ("text", "dyn", "string", as_text, "text(12.0)", "12"),
    ("lower", "string", "string", str.lower, 'lower("ÄB")', "äb"),
    ("upper", "string", "string", str.upper, 'upper("äb")', "ÄB"),
    (
        "base64.encode",
        "dyn",
        "string",
        lambda v: base64.b64encode(_bytes(v)).decode("ascii"),
        'base64.encode("hi")',
        "aGk=",
    ),
    ("base64.decode", "string", "bytes", _unbase64, 'string(base64.decode("aGk="))', "hi"),
    ("sha256", "dyn", "string", _hash("sha256"), 'sha256("a").substring(0, 6)', "ca9781"),
    ("sha512", "dyn", "string", _hash("sha512"), 'sha512("a").substring(0, 6)', "1f40fc"),
    ("sha1", "dyn", "string", _hash("sha1"), 'sha1("a").substring(0, 6)', "86f7e4"),
    ("md5", "dyn", "string", _hash("md5"), 'md5("a").substring(0, 6)', "0cc175"),
    ("uuid5", "string string", "string", _uuid5, 'uuid5("url", "a").size()', "36"),
    ("url.encode", "dyn", "string", lambda v: quote(as_text(v), safe=""), 'url.encode("a/b c")', "a%2Fb%20c"),
    ("url.decode", "string", "string", lambda v: unquote(v, errors="strict"), 'url.decode("a%2Fb")', "a/b"),
    ("url.query", "map", "string", _query, 'url.query({"b": [1, 2], "a": "x y"})', "a=x+y&b=1&b=2"),
    ("regex.extract", "string string", "string", _extract, 'regex.extract("v1.2", "v([0-9]+)")', "1"),
    (
        "regex.replace",
        "string string string",
        "string",
        lambda text, pattern, by: regular(pattern).sub(by, text),
        'regex.replace("a1b2", "[0-9]", "-")',
        "a-b-",
    ),
    (
        "time.format",
        "dyn string string",
        "string",
        _formatted,
        'time.format("2026-01-02T23:30:00Z", "%Y-%m-%d %H:%M", "Europe/Berlin")',
        "2026-01-03 00:30",
    ),
    (
        "time.parse",
        "string string string",
        "timestamp",
        _parsed,
        'time.parse("02.01.2026 08:00", "%d.%m.%Y %H:%M", "Europe/Berlin")',
        "2026-01-02T07:00:00.000Z",
    ),
    ("time.of", "dyn", "timestamp", moment, "time.of(1767225600)", "2026-01-01T00:00:00.000Z"),
    (
        "in_window",
        "dyn string string string string",
        "bool",
        in_window,
        'in_window("2026-01-02T08:30:00Z", "mon-fri", "09:00", "17:00", "Europe/Berlin")',
        "true",
    ),
    ("cidr", "dyn string", "bool", cidr, 'cidr("10.1.2.3", "10.0.0.0/8")', "true"),
)
