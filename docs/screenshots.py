"""Takes the README's pictures again: a delivery and a dead letter as the Temporal UI shows them.

Needs a Chromium (`CHROMIUM=/path/to/it` where it is not called chromium): `make screenshots`.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
from rich.console import Console

from holdfast.cli.demo.play import CONFIG
from holdfast.cli.demo.stage import SECRET, Stage
from holdfast.contracts import names
from holdfast.embedded.sink import Reply, Sink
from holdfast.embedded.stack import EmbeddedStack
from holdfast.ids import case_id

IMAGES = Path(__file__).parent / "images"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--virtual-time-budget=10000"),
)


def shoot(address: str, name: str, height: int) -> None:
    """Take one picture of a page."""
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("no Chromium found; on Debian: apt-get install chromium, or set CHROMIUM=/path/to/it")
    with tempfile.TemporaryDirectory() as profile:
        target = IMAGES / f"{name}.png"
        size = f"--window-size=1440,{height}"
        command = [browser, *FLAGS, f"--user-data-dir={profile}", size, f"--screenshot={target}", address]
        subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603 - our own words
        Console().print(f"wrote {target}")


async def main() -> None:
    """Start a stack, let one event be delivered and one refused, and take the pictures."""
    with tempfile.TemporaryDirectory(prefix="holdfast-pictures-") as directory:
        home, sink = Path(directory), Sink(standing={"/refused": Reply(410), "/flaky": Reply(503)})
        await sink.start()
        (home / "github-secret").write_text(SECRET)
        (home / "holdfast.yaml").write_text(CONFIG.format(sink=sink.url))
        stack = EmbeddedStack(home / "data", home / "holdfast.yaml")
        exits = contextlib.AsyncExitStack()
        try:
            await stack.start()
            http = await exits.enter_async_context(httpx.AsyncClient(timeout=10))
            stage = Stage(stack, sink, Console(), http)
            delivered = stage.delivery_id("first", await stage.deliver("first"))
            dead = stage.delivery_id("refused", await stage.deliver("refused"))
            retrying = stage.delivery_id("flaky", await stage.deliver("flaky"))
            await stage.completed(delivered)
            open_cases = f'WorkflowType="{names.DEAD_LETTER}" AND {names.SA_STATE}="open"'
            await stage.until(lambda: len(stage.workflows(open_cases)) >= 1, "an open case")
            await stage.until(lambda: len(sink.at("/flaky")) >= 2, "a second attempt")
            pages = {
                "workflows": (f"{stage.stack.ui_url}/namespaces/default/workflows", 700),
                "delivery": (stage.link(delivered), 1000),
                "retrying": (stage.link(retrying), 1000),
                "dead-letter": (stage.link(case_id(dead)), 1300),
                "dead-lettered-delivery": (stage.link(dead), 1000),
            }
            for name, (address, height) in pages.items():
                await asyncio.to_thread(shoot, address, name, height)
        finally:
            await exits.aclose()
            await stack.stop()
            await sink.stop()


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    asyncio.run(main())
