"""The stack under measurement: embedded, on free ports, with a verified source and one trigger."""

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from bench.load import SECRET
from holdfast.embedded.stack import EmbeddedStack

CONFIG = """version: 1
sources:
  github:
    verify: {{preset: github, secrets: ["file:secret"]}}
triggers:
  bench:
    on: github
    when: event.data.ref == "refs/heads/deliver"
    run: {{http: {{url: "{sink}/ok"}}}}
"""


@contextlib.asynccontextmanager
async def running(sink_url: str, *only: str, more: str = "") -> AsyncIterator[EmbeddedStack]:
    """Start the named processes, or all; `more` is added to the configuration."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as directory:
        home = Path(directory)
        (home / "secret").write_text(SECRET)
        (home / "holdfast.yaml").write_text(CONFIG.format(sink=sink_url) + more)
        stack = (
            EmbeddedStack(home / "data", home / "holdfast.yaml", only=only)
            if only
            else EmbeddedStack(home / "data", home / "holdfast.yaml")
        )
        try:
            await stack.start()
            yield stack
        finally:
            await stack.stop()


def resident(pid: int) -> float:
    """Resident memory of a process, MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_048_576
