"""The first five minutes: a configuration that works, with secrets of its own, where there is none yet."""

import base64
import importlib.resources
import os
import re
import secrets
from pathlib import Path

from holdfast.embedded.files import write_private

_SECRET = re.compile(r"file:\.holdfast/secrets/([a-z0-9-]+)")


def example() -> str:
    """Return the packaged example, the same text as examples/holdfast.yaml."""
    return importlib.resources.files("holdfast.embedded").joinpath("example.yaml").read_text(encoding="utf-8")


def write_starter(config: Path, data_dir: Path) -> None:
    """Write the example to `config` and a generated secret for each of its sources to `data_dir`/secrets.

    Secrets that are there already are kept. `config` must not exist.
    """
    text, directory = example(), data_dir / "secrets"
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    shown = os.path.relpath(directory, config.absolute().parent)
    for name in sorted(set(_SECRET.findall(text))):
        if not (directory / name).exists():
            write_private(directory / name, _new_secret() + "\n")
    with config.open("x", encoding="utf-8") as file:
        file.write(_SECRET.sub(lambda match: f"file:{shown}/{match[1]}", text))


def _new_secret() -> str:
    """Return a secret that every scheme takes: Standard Webhooks wants base64 after whsec_, the others any text."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
