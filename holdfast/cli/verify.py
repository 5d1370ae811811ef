"""`holdfast verify`: why a request fails. Flow: file → entries → **the verifier of the gateway** → one line each."""

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from holdfast.cli.output import say
from holdfast.clock import SystemClock
from holdfast.domain.captured import CapturedRequest, judge
from holdfast.domain.signatures import Refused
from holdfast.errors import ErrorCode, RejectedInput

MAX_FILE = 67_108_864  # bytes

app = typer.Typer(add_completion=False)


@app.command()
def verify(
    file: Annotated[
        Path,
        typer.Option("--file", "-f", metavar="FILE", help="JSON: one captured request, or a list of them. - is stdin."),
    ],
) -> None:
    """Verify captured requests offline, by the very code of the gateway.

    A captured request is a JSON object: `preset`, `secret` (text, or a list of texts), `method`, `url`, `headers`,
    `body` or `body_base64`, and `now`, the Unix time at which it is judged; without `now` its age does not count.
    `generic` holds further fields of `verify` as in holdfast.yaml. `certificate` (PEM) and `jwks` stand for what the
    gateway would fetch, `peer` and `trusted_proxies` for the connection. `expect` is `ok` or `fail`.

    Each entry is one line, `ID ok` or `ID fail CODE`; reasons go to standard error. An entry that cannot be used is
    `input.invalid`; one marked `incomplete` that does not hold is `signature.key_unavailable`, and does not count. The
    exit code is 0 only if every entry came out as it says itself in `expect`, or ok where it says nothing.
    """
    now = SystemClock().now()
    unexpected = 0
    for name, entry in _entries(_load(file)):
        unexpected += not _as_expected(name, entry, now)
    if unexpected:
        raise typer.Exit(1)


def _as_expected(name: str, entry: CapturedRequest | str, now: datetime) -> bool:
    """Print an entry's line; whether it came out as it says. One that cannot be used never did."""
    if isinstance(entry, str):
        return _failed(name, ErrorCode.INPUT_INVALID, entry)
    try:
        verdict = judge(entry, now)
    except RejectedInput as error:
        if entry.incomplete:
            return not _failed(name, ErrorCode.SIGNATURE_KEY_UNAVAILABLE, "is marked as incomplete")
        _failed(name, error.code, error.message)
        return entry.expect == "fail" and error.code is ErrorCode.CONFIG_INVALID  # by such a secret nothing holds
    if isinstance(verdict, Refused):
        if entry.incomplete:
            return not _failed(name, ErrorCode.SIGNATURE_KEY_UNAVAILABLE, "is marked as incomplete")
        _failed(name, verdict.code, verdict.reason if entry.expect != "fail" else "")
        return entry.expect == "fail"
    sys.stdout.write(f"{name} ok\n")
    if entry.expect != "ok":
        say(f"{name}: verified, though it says that it must not")
    return entry.expect == "ok" or entry.incomplete


def _failed(name: str, code: ErrorCode, reason: str) -> bool:
    sys.stdout.write(f"{name} fail {code}\n")
    if reason:
        say(f"{name}: {reason}")
    return False


def _load(file: Path) -> Any:
    try:
        if str(file) == "-":
            text = sys.stdin.buffer.read(MAX_FILE + 1)
        else:
            with file.open("rb") as opened:
                text = opened.read(MAX_FILE + 1)
    except OSError as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"{file}: {error.strerror or error}") from error
    if len(text) > MAX_FILE:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"{file}: is larger than {MAX_FILE} bytes")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise RejectedInput(
            ErrorCode.INPUT_INVALID, f"{file}: not JSON: {error.msg}, line {error.lineno} column {error.colno}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RejectedInput(ErrorCode.INPUT_INVALID, f"{file}: not JSON in UTF-8") from error


def _entries(tree: Any) -> Iterator[tuple[str, CapturedRequest | str]]:
    """Every entry with its name, or with what is wrong with it: one that is broken hides no other."""
    listed = tree if isinstance(tree, list) else [tree]
    if not listed:
        raise RejectedInput(ErrorCode.INPUT_INVALID, "the file holds an empty list: there is nothing to verify")
    for number, given in enumerate(listed, 1):
        name = f"request-{number}"
        if not isinstance(given, dict):
            yield name, "is no object; it needs at least preset, secret, headers and body"
            continue
        named = given.get("id")
        name = _printable(str(named)) or name if isinstance(named, str | int) else name
        try:
            yield name, CapturedRequest.model_validate(given)
        except ValidationError as error:
            yield name, "; ".join(_problems(error))


def _printable(text: str | None) -> str | None:
    """Return an id that keeps its line to itself."""
    return "".join(c if c.isprintable() and not c.isspace() else "_" for c in text) if text else None


def _problems(error: ValidationError) -> Iterator[str]:
    seen = set()
    for one in error.errors(include_url=False, include_input=False):
        path = ".".join(str(step) for step in one["loc"][:1])
        text = "is required" if one["type"] == "missing" else str(one["msg"]).removeprefix("Value error, ")
        line = f"{path + ': ' if path else ''}{text}"
        if line not in seen:
            seen.add(line)
            yield line
