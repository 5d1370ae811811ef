"""Reading what a secret reference (`env:NAME`, `file:PATH`) points to."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from holdfast.errors import ErrorCode, RejectedInput


class Secrets:
    """Resolves references; `file:` paths are relative to the configuration file. Values are never shown."""

    def __init__(self, base: Path, environment: Mapping[str, str] | None = None) -> None:
        self._base = base
        self._environment = os.environ if environment is None else environment

    def resolve(self, reference: str) -> SecretStr:
        """Read one secret. Raises RejectedInput `config.invalid` where it is missing or empty."""
        kind, _, where = reference.partition(":")
        value = self._environment.get(where, "") if kind == "env" else self._read(where)
        if not value:
            what = f"the environment variable {where}" if kind == "env" else f"the file {where}"
            raise RejectedInput(ErrorCode.CONFIG_INVALID, f"{reference}: {what} is missing or empty")
        return SecretStr(value)

    def _read(self, where: str) -> str:
        try:
            return (self._base / where).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            return ""
