"""Log lines that a machine can read and nobody can forge: one line each, every control character escaped.

The message is an event's name, the facts are in `extra`. Values are cut short, bytes are shown as their length and
nothing is evaluated, so a body that strays into a log call stays mostly out of the log.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from pydantic import ValidationError

from holdfast.errors import HoldfastError, bounded
from holdfast.telemetry.tracing import current_trace_id

MAX_VALUE = 500  # characters of one field; a URL and an error's text fit
MAX_FRAMES = 30  # of one traceback
_CAUSES = 4  # exceptions shown of one chain

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls (CR, LF, ANSI escapes), line separators, bidirectional marks and lone surrogates."""

_QUIET = {
    "httpx": logging.WARNING,  # one INFO line per request, with its URL
    "httpcore": logging.WARNING,
    "nats": logging.ERROR,  # our callbacks report its state
    "asyncio": logging.WARNING,
    "uvicorn.access": logging.CRITICAL,  # one line per webhook, with its query; the metrics count them
    "uvicorn.error": logging.WARNING,
    "temporalio": logging.WARNING,
    "opentelemetry": logging.WARNING,
    "urllib3": logging.WARNING,
}


def configure_logging(level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Send all logging of this process to `stream` (standard error); `log_format` is `json` or `text`."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(TextFormatter() if log_format == "text" else JsonFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(quiet, root.level))


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `ts`, `level`, `logger`, `event`, the fields, and `trace_id` and `error` if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record; pure ASCII, so no terminal and no parser is surprised."""
        line: dict[str, Any] = {
            "ts": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _text(record.getMessage()),
        }
        for name, value in _fields(record):
            line.setdefault(name, value)
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = list(_chain(record.exc_info[1]))
        return json.dumps(line, ensure_ascii=True, separators=(",", ":"))


class TextFormatter(logging.Formatter):
    """One readable line: time, level, logger, event, `name=value` …; a traceback follows indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        facts = "".join(f" {name}={value}" for name, value in _fields(record))
        head = f"{_time(record)[11:23]} {record.levelname:<7} {record.name}: {_text(record.getMessage())}{facts}"
        if record.exc_info and record.exc_info[1] is not None:
            for error in _chain(record.exc_info[1]):
                head += f"\n    {error['type']}: {error['message']}" + "".join(f"\n      {f}" for f in error["frames"])
        return head


def escape(text: str) -> str:
    r"""Return `text` with everything unprintable written as `\x1b` or `\u2028`, so that it stays in its line."""
    return _UNSAFE.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    for name, value in vars(record).items():
        if name not in _STANDARD and not name.startswith("_"):
            yield _text(name), _value(value)
    trace_id = current_trace_id()
    if trace_id is not None:
        yield "trace_id", trace_id


def _value(value: object) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return f"<{len(value)} entries>"  # headers and data come as mappings; their values are not for the log
    if isinstance(value, list | tuple | set | frozenset):
        return _text(", ".join(str(_value(item)) for item in list(value)[:20]))
    if isinstance(value, BaseException):
        return _text(_message(value))
    return _text(str(value))


def _text(text: str) -> str:
    return escape(bounded(text, MAX_VALUE))


def _chain(error: BaseException) -> Iterator[dict[str, Any]]:
    """Show an exception and its causes: type, bounded text, frames as `file:line function`, no locals."""
    current: BaseException | None = error
    for _ in range(_CAUSES):
        if current is None:
            return
        frames = traceback.extract_tb(current.__traceback__)[-MAX_FRAMES:]
        yield {
            "type": type(current).__name__,
            "message": _text(_message(current)),
            "frames": [_text(f"{frame.filename}:{frame.lineno} {frame.name}") for frame in frames],
        }
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _message(error: BaseException) -> str:
    """Return an exception's text; pydantic's quotes its input, so of that only the places are shown."""
    if isinstance(error, HoldfastError):
        return f"{error.code}: {error.message}"
    if isinstance(error, ValidationError):
        places = (".".join(map(str, e["loc"])) for e in error.errors(include_url=False, include_input=False))
        return f"{error.error_count()} invalid: {', '.join(places)}"
    return str(error)
