"""Log lines: one each, whatever strays into them."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from holdfast.errors import ErrorCode, Unavailable
from holdfast.telemetry.logs import MAX_VALUE, configure_logging

HOSTILE = 'x\r\n{"level":"error"}\x1b[2J\u2028\u202e\ud800\x00'


@pytest.fixture(autouse=True)
def root_logger_is_put_back() -> Iterator[None]:
    """Undo what configure_logging does to the process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logger.level for name, logger in root.manager.loggerDict.items() if hasattr(logger, "level")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_a_json_line_carries_event_and_fields() -> None:
    """One object: time, level, logger, event, fields with their types."""
    line = _json(lambda log: log.info("dispatched", extra={"source": "github", "attempt": 2, "duplicate": False}))
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "holdfast.test",
        "event": "dispatched",
        "source": "github",
        "attempt": 2,
        "duplicate": False,
    }


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_nothing_can_forge_a_line(log_format: str) -> None:
    """CR, LF, ANSI escapes, separators, bidirectional marks and lone surrogates never reach the stream."""
    text = _lines(log_format, lambda log: log.warning(HOSTILE, extra={"path": HOSTILE}))
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert text[:-1].isprintable()


def test_fields_cannot_replace_ours() -> None:
    """A field named like one of the line's own does not overwrite it."""
    line = _json(lambda log: log.info("real", extra={"event": "forged", "level": "critical", "ts": "never"}))
    assert (line["event"], line["level"]) == ("real", "info")
    assert line["ts"] != "never"


def test_bodies_and_headers_are_not_shown() -> None:
    """Bytes are shown as their length, mappings as their size, long texts cut."""
    extra = {
        "body": b"secret",
        "headers": {"authorization": "secret"},
        "nested": ["ok", b"secret"],
        "long": "y" * 9_999,
    }
    line = _json(lambda log: log.info("odd", extra=extra))
    assert "secret" not in json.dumps(line)
    assert line["body"] == "<6 bytes>"
    assert len(line["long"]) == MAX_VALUE


def test_an_exception_is_shown_with_its_cause_and_without_its_input() -> None:
    """Type, code and frames of the whole chain; what pydantic quotes of the input is left out."""

    class Model(BaseModel):
        number: int

    def fail(log: logging.Logger) -> None:
        try:
            try:
                Model.model_validate({"number": "the secret body"})
            except ValidationError as error:
                raise Unavailable(ErrorCode.BUS_TIMEOUT, "no answer") from error
        except Unavailable:
            log.exception("failed")

    line = _json(fail)
    assert [error["type"] for error in line["error"]] == ["Unavailable", "ValidationError"]
    assert line["error"][0]["message"] == "bus.timeout: no answer"
    assert line["error"][1]["message"] == "1 invalid: number"
    assert any("test_logs.py" in frame for frame in line["error"][0]["frames"])
    assert "secret" not in json.dumps(line)


def test_libraries_are_toned_down() -> None:
    """A library that logs every request is silent at INFO, and its warnings come through."""
    text = _lines("text", lambda _: logging.getLogger("httpx").info("GET https://a.example/?token=secret"))
    assert text == ""
    assert "slow" in _lines("text", lambda _: logging.getLogger("httpx").warning("slow"))


def test_level_holds() -> None:
    """What is below the level is not written."""
    assert _lines("json", lambda log: log.debug("detail")) == ""


def _lines(log_format: str, write: Any) -> str:
    stream = io.StringIO()
    configure_logging("INFO", log_format, stream)
    write(logging.getLogger("holdfast.test"))
    return stream.getvalue()


def _json(write: Any) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(_lines("json", write))
    return line
