"""A curl line that works when it is pasted: a signed webhook for a source of the configuration.

Flow: configuration → request → **curl** → the table of `holdfast up`.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from holdfast.cli.request import Sender, Wish
from holdfast.domain.presets import preset_of, tolerance_of
from holdfast.domain.quantities import format_duration
from holdfast.domain.schemes import Token
from holdfast.domain.sources import SourceConfig
from holdfast.errors import HoldfastError
from holdfast.settings.secrets import Secrets


@dataclass(frozen=True, slots=True)
class CurlLine:
    """One line for a shell; `note` says where it has a limit."""

    source: str
    line: str
    note: str = ""


def find_line(sources: Mapping[str, SourceConfig], gateway: str, base: Path, now: datetime) -> CurlLine | None:
    """Return a line for the source that is easiest to try; None where no secret of any source can be read here."""
    secrets = Secrets(base)
    for name, source in sorted(sources.items(), key=lambda item: _effort(item[1])):
        try:
            return _line(Sender(name, source, gateway, secrets), base, now)
        except HoldfastError:
            continue  # a secret that is not on this machine; `holdfast check` names it
    return None


def _effort(source: SourceConfig) -> int:
    """How hard a source is to try: expressions need a body of their own, timestamps grow stale."""
    hard = 4 if source.event.id is not None or "{" in (source.path or "") else 0
    if source.verify is None:
        return hard + 1
    return hard + (2 if preset_of(source.verify).scheme.timestamp_place else 0)


def _line(sender: Sender, base: Path, now: datetime) -> CurlLine:
    request = sender.build(Wish(), now)
    words = ["curl", "-i"] if request.method == "POST" else ["curl", "-i", "-X", request.method]
    words.append(shlex.quote(request.url))
    token = _token_header(sender.source, base)
    carrier = token.partition(":")[0].strip('"') if token else None
    for header, value in request.headers.items():
        if header == "user-agent":
            continue
        words += ["-H", token if token and header == carrier else shlex.quote(f"{header}: {value}")]
    words += ["-d", shlex.quote(request.body.decode())]
    verify = sender.source.verify
    stale = verify is not None and preset_of(verify).scheme.timestamp_place is not None
    note = f"its timestamp is good for {format_duration(tolerance_of(verify))}" if stale and verify else ""
    return CurlLine(sender.name, " ".join(words), note)


def _token_header(source: SourceConfig, base: Path) -> str | None:
    """Return the header that carries the secret as the shell reads it, so that the secret is not on the screen."""
    if source.verify is None:
        return None
    scheme = preset_of(source.verify).scheme
    mark = next(iter(scheme.marks), None)
    header = scheme.headers[0].signature if scheme.headers else ""
    if mark is None or scheme.jwt is not None or not isinstance(mark.method, Token) or ":" in header:
        return None
    kind, _, where = source.verify.secrets[0].partition(":")
    read = f"${where}" if kind == "env" else f"$(cat {shlex.quote(str(base / where))})"
    if mark.encoding == "base64":
        read = f"$(printf %s \"{read}\" | base64 | tr -d '\\n')"
    return f'"{header}: {mark.prefix}{read}"'
